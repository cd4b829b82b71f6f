"""Tracer, meter and logger of our own telemetry: of whichever providers the program has at the moment."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import Tracer, TracerProvider

from otel_llm._version import __version__

_tracer: tuple[TracerProvider, Tracer] | None = None


def tracer() -> Tracer:
    """The tracer of our spans; kept, since making one costs more than a span."""
    global _tracer  # noqa: PLW0603 - a cache
    provider = trace.get_tracer_provider()
    if _tracer is None or _tracer[0] is not provider:
        _tracer = (provider, provider.get_tracer("otel_llm", __version__))
    return _tracer[1]
