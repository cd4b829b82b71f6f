"""Evaluates alert rules and tells Alertmanager."""
