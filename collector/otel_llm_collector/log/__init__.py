"""Keeping what was accepted until every destination has it."""
