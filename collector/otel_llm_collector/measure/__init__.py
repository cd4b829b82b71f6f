"""Turns the engine's numbers into series and exposes them."""
