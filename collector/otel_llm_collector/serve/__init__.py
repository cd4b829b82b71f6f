"""The admin port: metrics, health, alerts."""
