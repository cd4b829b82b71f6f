"""The collector: receives OTLP, prices, measures, alerts and forwards. `docs/architecture.md` follows a span through it."""
