"""Where our own telemetry goes: to the providers that `configure` was given, else to those the program has now."""

from __future__ import annotations

from typing import Any

from opentelemetry import metrics, trace
from opentelemetry._logs import Logger, LoggerProvider, get_logger_provider
from opentelemetry.metrics import Meter, MeterProvider
from opentelemetry.trace import Tracer, TracerProvider

from otel_llm._version import __version__

_used: dict[str, Any] = {}
_tracer: tuple[TracerProvider, Tracer] | None = None
_logger: tuple[LoggerProvider, Logger] | None = None


def use(**providers: Any) -> None:
    """Use these: `tracer_provider`, `meter_provider`, `logger_provider`; None stands for the global one."""
    for name, provider in providers.items():
        if provider is None:
            _used.pop(name, None)
        else:
            _used[name] = provider


def used(*names: str) -> dict[str, Any]:
    """Those of `names` that are not the global ones, as instrumentations take them."""
    return {name: provider for name, provider in _used.items() if name in names}


def tracer_provider() -> TracerProvider:
    """The provider of our spans."""
    return _used.get("tracer_provider") or trace.get_tracer_provider()


def meter_provider() -> MeterProvider:
    """The provider of our metrics."""
    return _used.get("meter_provider") or metrics.get_meter_provider()


def logger_provider() -> LoggerProvider:
    """The provider of our events and of the program's logs."""
    return _used.get("logger_provider") or get_logger_provider()


def tracer() -> Tracer:
    """The tracer of our spans; kept, since making one costs more than a span."""
    global _tracer  # noqa: PLW0603 - a cache
    provider = tracer_provider()
    if _tracer is None or _tracer[0] is not provider:
        _tracer = (provider, provider.get_tracer("otel_llm", __version__))
    return _tracer[1]


def meter(name: str = "otel_llm") -> Meter:
    """A meter of ours."""
    return meter_provider().get_meter(name, __version__)


def event_logger() -> Logger:
    """The logger of our events."""
    global _logger  # noqa: PLW0603 - a cache
    provider = logger_provider()
    if _logger is None or _logger[0] is not provider:
        _logger = (provider, provider.get_logger("otel_llm", __version__))
    return _logger[1]
