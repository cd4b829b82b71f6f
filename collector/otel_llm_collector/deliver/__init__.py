"""Sending what the log keeps: one reader per destination."""
