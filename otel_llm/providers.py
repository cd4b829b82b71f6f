"""Tracer, meter and logger of our own telemetry: of whichever providers the program has at the moment."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry._logs import Logger, LoggerProvider, get_logger_provider
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


_logger: tuple[LoggerProvider, Logger] | None = None


def event_logger() -> Logger:
    """The logger of our events."""
    global _logger  # noqa: PLW0603 - a cache
    provider = get_logger_provider()
    if _logger is None or _logger[0] is not provider:
        _logger = (provider, provider.get_logger("otel_llm", __version__))
    return _logger[1]
