"""`configure`: traces and metrics over OTLP/HTTP, in one call that is safe to make in any program.

It joins providers that are already there instead of replacing them, honours the `OTEL_*` variables, survives `fork`,
and at the end gives the collector one short budget of time.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from opentelemetry import metrics, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from otel_llm_semconv import attributes as attr

from otel_llm import content as content_module
from otel_llm._version import __version__
from otel_llm.instrument import instrument_libraries
from otel_llm.span_queue import SpanQueue

logger = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"

_lock = threading.Lock()
_handle: Handle | None = None


@dataclass
class Handle:
    """What `configure` set up. `instrumented` says what became of each library that could be instrumented."""

    service_name: str
    endpoint: str
    instrumented: dict[str, str]
    _queue: SpanQueue
    _meter_provider: object | None
    _shutdown_seconds: float

    @property
    def emitted_spans(self) -> int:
        """Sampled spans that ended in this process since `configure`."""
        return self._queue.ended_spans

    @property
    def exported_spans(self) -> int:
        """Spans that the endpoint took."""
        return self._queue.exported_spans

    @property
    def dropped_spans(self) -> int:
        """Spans that were given up: no room, refused, or not sent in time at the end."""
        return self._queue.dropped_spans

    def force_flush(self, seconds: float = 10.0) -> bool:
        """Send what is queued; True when all of it was handed over in `seconds`."""
        deadline = time.monotonic() + seconds
        done = self._queue.force_flush(int(seconds * 1000))
        left = max(0.0, deadline - time.monotonic())
        return _within(left, getattr(self._meter_provider, "force_flush", None), int(left * 1000)) and done

    def shutdown(self, seconds: float | None = None) -> None:
        """Send what is queued and stop; returns after `seconds` (the configured budget) whatever the endpoint does."""
        budget = self._shutdown_seconds if seconds is None else seconds
        deadline = time.monotonic() + budget
        self._queue.shutdown(int(budget * 1000))
        left = max(0.1, deadline - time.monotonic())
        _within(left, getattr(self._meter_provider, "shutdown", None), left * 1000)
        atexit.unregister(self.shutdown)


def configure(
    service_name: str | None = None,
    *,
    endpoint: str | None = None,
    headers: dict[str, str] | None = None,
    content: Literal["off", "full"] | None = None,
    instrument: bool | Iterable[str] = True,
    resource_attributes: dict[str, str] | None = None,
    shutdown_seconds: float = 2.0,
) -> Handle:
    """Set up tracing and metrics; returns a handle. A second call returns the first one's handle.

    Args:
        service_name: The service's name; else `OTEL_SERVICE_NAME`, else `unknown_service`.
        endpoint: Base URL of an OTLP/HTTP receiver; else `OTEL_EXPORTER_OTLP_ENDPOINT`, else a collector on this
            machine, http://127.0.0.1:4318.
        headers: Sent with every export; else `OTEL_EXPORTER_OTLP_HEADERS`.
        content: `full` records prompts, answers and documents on spans; `off`, the default, does not. Else
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`.
        instrument: True instruments what is installed of fastapi, threading and openai; or name them; False none.
        resource_attributes: Added to those of `OTEL_RESOURCE_ATTRIBUTES`.
        shutdown_seconds: The whole time that the end of the program may wait for the endpoint.

    Raises:
        ValueError: An argument that cannot be right. Nothing else is ever raised into the program.
    """
    global _handle  # noqa: PLW0603 - one per process, as the providers it joins
    if content not in (None, "off", "full"):
        msg = f"configure: content is {content!r}; use 'off' or 'full'"
        raise ValueError(msg)
    if endpoint is not None and not endpoint.startswith(("http://", "https://")):
        msg = f"configure: endpoint is {endpoint!r}, no URL; use for example {DEFAULT_ENDPOINT}"
        raise ValueError(msg)
    with _lock:
        if _handle is not None:
            return _handle
        content_module.configure(content, os.environ)
        base = (endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        resource = _resource(service_name, resource_attributes or {})
        queue = _trace(resource, base, headers)
        meter_provider = _measure(resource, base, headers)
        instrumented = instrument_libraries(instrument)
        name = str(resource.attributes.get(attr.SERVICE_NAME, ""))
        _handle = Handle(name, base, instrumented, queue, meter_provider, shutdown_seconds)
        atexit.register(_handle.shutdown)
        return _handle


def _resource(service_name: str | None, extra: dict[str, str]) -> Resource:
    attributes: dict[str, str] = dict(extra)
    if service_name:
        attributes[attr.SERVICE_NAME] = service_name
    return Resource.create(attributes)


def _trace(resource: Resource, base: str, headers: dict[str, str] | None) -> SpanQueue:
    """Join the program's tracer provider, or set one."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        trace.set_tracer_provider(provider)

    # Imported here and not in the queue's thread: a fork while that thread imports would leave the child a held lock.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - 30 ms

    def make_exporter() -> OTLPSpanExporter:
        url = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{base}/v1/traces"
        return OTLPSpanExporter(endpoint=url, headers=headers)

    queue = SpanQueue(make_exporter)
    provider.add_span_processor(queue)
    return queue


def _measure(resource: Resource, base: str, headers: dict[str, str] | None) -> object | None:
    """Set a meter provider unless the program has one, which then keeps its own exporter."""
    if os.environ.get("OTEL_METRICS_EXPORTER", "otlp") == "none":
        return None
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    if isinstance(metrics.get_meter_provider(), MeterProvider):
        return None
    url = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") or f"{base}/v1/metrics"
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=url, headers=headers))
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return provider


def _within(seconds: float, function: object, *arguments: object) -> bool:
    """Run `function` in a thread and wait `seconds` for it: the stock providers do not keep their own timeouts."""
    if not callable(function):
        return True
    done = threading.Event()

    def run() -> None:
        try:
            function(*arguments)
        except Exception:
            logger.debug("%s failed", function, exc_info=True)
        done.set()

    threading.Thread(target=run, name="otel-llm-end", daemon=True).start()
    return done.wait(seconds)


def tracer() -> trace.Tracer:
    """The tracer of our own spans."""
    return trace.get_tracer("otel_llm", __version__)
