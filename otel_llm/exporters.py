"""Where telemetry goes: OTLP over HTTP, or what the standard variables name instead.

`OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `OTEL_LOGS_EXPORTER` (`otlp`, `none`, `console`, or another that is
installed), `OTEL_EXPORTER_OTLP_PROTOCOL` and the endpoints are read here; the exporters read the rest themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any, Literal, TypeAlias

from otel_llm.guard import warn_once
from otel_llm.settings import DEFAULT_ENDPOINT

Signal: TypeAlias = Literal["traces", "metrics", "logs"]

_CLASSES = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}


@dataclass(frozen=True, slots=True)
class Target:
    """The argument `endpoint` (None: what the variables say) and headers."""

    endpoint: str | None
    headers: dict[str, str] | None

    @property
    def base(self) -> str:
        """The base URL."""
        return (self.endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")

    def url(self, signal: Signal) -> str:
        """Where a signal is posted to: the argument, else the signal's own variable, else below the base."""
        own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        return own if own and self.endpoint is None else f"{self.base}/v1/{signal}"


def chosen(signal: Signal, notes: list[str]) -> list[str]:
    """The exporters that a signal's variable names; `otlp` when it says nothing."""
    said = os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip() or "otlp"
    names = [name for part in said.split(",") if (name := part.strip()) and name != "none"]
    if not names:
        notes.append(f"OTEL_{signal.upper()}_EXPORTER is {said}: no {signal} are sent")
    return names


def maker(signal: Signal, target: Target, notes: list[str]) -> Callable[[], Any]:
    """A function that makes the OTLP exporter; what it needs is imported now.

    Not in another thread: a fork while that thread imports would leave the child a held lock.
    """
    module, name = _CLASSES[signal]
    if _protocol(signal) == "grpc":
        try:
            grpc = getattr(import_module(f"opentelemetry.exporter.otlp.proto.grpc.{module}"), name)
        except ImportError:
            sentence = (
                f"{signal} were to go over gRPC: pip install opentelemetry-exporter-otlp-proto-grpc; HTTP is used"
            )
            notes.append(sentence)
            warn_once(sentence)
        else:
            return lambda: grpc(endpoint=target.endpoint, headers=target.headers)
    http = getattr(import_module(f"opentelemetry.exporter.otlp.proto.http.{module}"), name)
    return lambda: http(endpoint=target.url(signal), headers=target.headers)


def _protocol(signal: Signal) -> str:
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL")
    return (own or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf").strip()


def make(signal: Signal, name: str, target: Target, notes: list[str]) -> Any:
    """One exporter, or None where it cannot be had; a note and a warning then say why."""
    if name == "otlp":
        return maker(signal, target, notes)()
    found = list(metadata.entry_points(group=f"opentelemetry_{signal}_exporter", name=name))
    try:
        return found[0].load()()
    except Exception as error:  # somebody else's exporter; IndexError when there is none of this name
        reason = "it is not installed" if not found else f"it failed: {type(error).__name__}: {error}"
        sentence = f"OTEL_{signal.upper()}_EXPORTER names {name!r}, but {reason}"
        notes.append(sentence)
        warn_once(sentence)
        return None


def add_span_exporter(provider: Any, name: str, notes: list[str]) -> None:
    """Add an exporter that is not ours, behind the stock processor."""
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - only for these

    exporter = make("traces", name, Target(None, None), notes)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))


def already_sent_to(provider: Any, target: Target) -> str:
    """The URL of our own endpoint if an exporter of the program sends spans there already, else nothing."""
    url = target.url("traces")
    for processor in getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ()):
        exporter = getattr(processor, "span_exporter", None)
        if str(getattr(exporter, "_endpoint", "")).rstrip("/") == url:
            return url
    return ""


def queue_limits() -> dict[str, Any]:
    """What the standard variables of the batch processor say about our queue."""
    limits: dict[str, Any] = {}
    for variable, name, factor in (
        ("OTEL_BSP_MAX_QUEUE_SIZE", "max_spans", 1),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "max_batch_spans", 1),
        ("OTEL_BSP_SCHEDULE_DELAY", "flush_seconds", 0.001),
    ):
        said = os.environ.get(variable, "").strip()
        try:
            value = float(said) * factor if said else 0
        except ValueError:
            warn_once(f"{variable} is {said!r}; use a number; the default is used")
            continue
        if value > 0:
            limits[name] = int(value) if factor == 1 else value
    return limits
