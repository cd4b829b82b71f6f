"""The admin port: metrics, health, queries, alerts."""
