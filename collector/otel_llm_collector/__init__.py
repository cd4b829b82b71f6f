"""The collector: receives OTLP, prices, measures, alerts and forwards; see `docs/architecture.md`."""
