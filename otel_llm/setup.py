"""`configure`: traces, metrics and logs over OTLP, in one call that is safe to make in any program.

It joins providers that are already there instead of replacing them, honours the `OTEL_*` variables, survives `fork`,
and at the end gives the collector one short budget of time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry import metrics, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from otel_llm_semconv import attributes as attr

from otel_llm import content as content_module
from otel_llm import exporters, providers, settings
from otel_llm.content import Mode
from otel_llm.ending import Ending
from otel_llm.guard import warn_once
from otel_llm.instrument import instrument_libraries
from otel_llm.sessions import SessionProcessor
from otel_llm.settings import Instrument, Mask, Settings
from otel_llm.span_queue import SpanQueue

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_handle: Handle | None = None


@dataclass
class Handle:
    """What `configure` set up.

    `instrumented` says what became of each library that could be instrumented, `notes` what else was found: providers
    that were joined, exporters that were there already, signals that are off.
    """

    service_name: str
    endpoint: str
    instrumented: dict[str, str]
    notes: list[str] = field(default_factory=list)
    _queue: SpanQueue | None = field(default=None, repr=False)
    _others: list[Any] = field(default_factory=list, repr=False)  # meter and logger provider, where they are ours
    _shutdown_seconds: float = field(default=2.0, repr=False)
    _ending: Ending | None = field(default=None, repr=False)
    _chosen: Settings | None = field(default=None, repr=False)

    @property
    def emitted_spans(self) -> int:
        """Sampled spans that ended in this process since `configure`."""
        return self._queue.ended_spans if self._queue else 0

    @property
    def exported_spans(self) -> int:
        """Spans that the endpoint took."""
        return self._queue.exported_spans if self._queue else 0

    @property
    def dropped_spans(self) -> int:
        """Spans that were given up: no room, refused, or not sent in time at the end."""
        return self._queue.dropped_spans if self._queue else 0

    @property
    def stripped_spans(self) -> int:
        """Spans that lost their content for want of room."""
        return self._queue.stripped_spans if self._queue else 0

    def force_flush(self, seconds: float = 10.0) -> bool:
        """Send what is queued; True when all of it was handed over in `seconds`."""
        deadline = time.monotonic() + seconds
        done = self._queue.force_flush(int(seconds * 1000)) if self._queue else True
        for provider in self._others:
            left = max(0.0, deadline - time.monotonic())
            done = _within(left, provider.force_flush, int(left * 1000)) and done
        return done

    def shutdown(self, seconds: float | None = None) -> None:
        """Send what is queued and stop; returns after `seconds` (the configured budget) whatever the endpoint does."""
        budget = self._shutdown_seconds if seconds is None else seconds
        deadline = time.monotonic() + budget
        ended = [_started(provider.shutdown) for provider in self._others]
        if self._queue:
            self._queue.shutdown(int(budget * 1000))
        for done in ended:
            done.wait(max(0.0, deadline - time.monotonic()))
        if self._ending:
            self._ending.cancel()


def configure(
    service_name: str | None = None,
    *,
    endpoint: str | None = None,
    headers: Mapping[str, str] | None = None,
    content: Mode | None = None,
    max_content_bytes: int | None = None,
    mask: Mask | None = None,
    instrument: Instrument | None = None,
    stream_usage: Literal["request"] | None = None,
    resource_attributes: Mapping[str, str] | None = None,
    baggage_keys: Iterable[str] | None = None,
    baggage_hosts: Iterable[str] | None = None,
    max_queue_bytes: int | None = None,
    shutdown_seconds: float | None = None,
    flush_on_sigterm: bool | None = None,
    hardware: bool | None = None,
    disabled: bool | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
) -> Handle:
    """Set up tracing, metrics and logs; returns a handle. A second call returns the first one's handle.

    Each option is an environment variable as well (`docs/sdk.md` has the table); an argument wins over it.

    Args:
        service_name: The service's name; else `unknown_service`.
        endpoint: Base URL of an OTLP/HTTP receiver; else a collector on this machine, http://127.0.0.1:4318.
        headers: Sent with every export.
        content: `full` records prompts, answers and documents on spans, `metadata` how large they were; `off`, the
            default, neither.
        max_content_bytes: Largest text or JSON on a span; a longer one is shortened and marked.
        mask: A function of a text and the name of its attribute, which returns the text that may be sent. It is called
            for content and for texts of errors, of every span, off the program's path; if it fails, nothing of that
            text is sent.
        instrument: True instruments what is installed; False nothing; or names of libraries; or a dict of a library and
            the distribution that shall instrument it.
        stream_usage: `request` asks OpenAI's API for the tokens of streamed answers where the program does not, and
            hides the chunk that they come in.
        resource_attributes: Added to those of `OTEL_RESOURCE_ATTRIBUTES`.
        baggage_keys: Keys of `session` that other services may get, for example `session.id`.
        baggage_hosts: Hosts that get them; `*` stands for any part of a name.
        max_queue_bytes: Memory of spans that wait; over it content is dropped first, then spans.
        shutdown_seconds: The whole time that the end of the program may wait for the endpoint.
        flush_on_sigterm: Send what waits when SIGTERM ends the program, unless the program handles it itself.
        hardware: Report GPUs, machine and process, as `watch_hardware` does.
        disabled: Set up nothing.
        tracer_provider: A provider of the program's that is not the global one: spans of the helpers and of what is
            instrumented go to it, and no global provider of any signal is set.
        meter_provider: The same for metrics; it keeps its own exporters.
        logger_provider: The same for events and logs; it keeps its own exporters.

    Raises:
        ValueError: An argument that cannot be right. Nothing else is ever raised into the program.
    """
    global _handle  # noqa: PLW0603 - one per process, as the providers it joins
    given = dict(locals())
    chosen = settings.read(given, os.environ)
    with _lock:
        if _handle is None:
            _handle = _disabled(chosen) if chosen.disabled else _set_up(chosen)
            _handle._chosen = chosen  # noqa: SLF001 - ours
        elif _handle._chosen not in (None, chosen) and any(value is not None for value in given.values()):  # noqa: SLF001
            warn_once("configure was called before, with other options; those of the first call hold")
        return _handle


def flush(seconds: float = 10.0) -> bool:
    """Send what waits, as at the end of a notebook cell or of a serverless invocation; True when all of it went."""
    return _handle.force_flush(seconds) if _handle is not None else True


def current() -> Handle | None:
    """The handle of this process, if `configure` was called."""
    return _handle


def _disabled(chosen: Settings) -> Handle:
    return Handle(chosen.service_name or "", "", {}, ["OTEL_SDK_DISABLED is true: nothing is recorded or sent"])


def _set_up(chosen: Settings) -> Handle:
    content_module.configure(chosen.content, os.environ, chosen.max_content_bytes)
    said = content_module.from_environment(os.environ)
    if said != content_module.mode() or not content_module.is_official(os.environ):
        # OpenTelemetry's own instrumentations read this at each call, and know only their own words for it.
        os.environ[content_module.VARIABLE] = "SPAN_ONLY" if content_module.captured() else "NO_CONTENT"
    resource = _resource(chosen)
    name = str(resource.attributes.get(attr.SERVICE_NAME, ""))
    target = exporters.Target(chosen.endpoint, dict(chosen.headers) if chosen.headers else None)
    handle = Handle(name, target.base, {}, _shutdown_seconds=chosen.shutdown_seconds)
    handle._queue = _trace(resource, target, chosen, handle.notes)  # noqa: SLF001 - ours
    for make in (_measure, _log):
        provider = make(resource, target, chosen, handle.notes)
        if provider is not None:
            handle._others.append(provider)  # noqa: SLF001
    if chosen.baggage_keys and chosen.baggage_hosts:
        from otel_llm.session_baggage import propagate_sessions  # noqa: PLC0415 - it takes time to import

        propagate_sessions(chosen.baggage_keys, chosen.baggage_hosts)
    handle.instrumented = instrument_libraries(chosen.instrument)
    if chosen.hardware:
        import_module("otel_llm.hardware").watch_hardware()
    if chosen.stream_usage:  # around the instrumentation, which must see what is hidden from the program
        from otel_llm.stream_usage import request_usage  # noqa: PLC0415 - it imports the client

        handle.notes.append(f"usage of streams: {request_usage()}")
    handle._ending = Ending(handle.shutdown, on_sigterm=chosen.flush_on_sigterm)  # noqa: SLF001
    return handle


def _resource(chosen: Settings) -> Resource:
    attributes: dict[str, Any] = dict(chosen.resource_attributes)
    if chosen.service_name:
        attributes[attr.SERVICE_NAME] = chosen.service_name
    return Resource.create(attributes)


def _trace(resource: Resource, target: exporters.Target, chosen: Settings, notes: list[str]) -> SpanQueue | None:
    """Join the program's tracer provider, or set one."""
    provider: Any = chosen.tracer_provider or trace.get_tracer_provider()
    if chosen.tracer_provider is not None:
        notes.append("spans go to the tracer provider that was given; its resource and sampler hold")
        providers.use(tracer_provider=provider)
    elif isinstance(provider, TracerProvider):
        notes.append("joined the program's tracer provider; its resource and sampler hold")
    else:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SessionProcessor())
    queue = None
    for name in exporters.chosen("traces", notes):
        if name != "otlp":
            exporters.add_span_exporter(provider, name, notes)
        elif url := exporters.already_sent_to(provider, target):
            notes.append(f"the program's own exporter sends spans to {url} already; no second one was added")
        else:
            make = exporters.maker("traces", target, notes)
            queue = SpanQueue(make, mask=chosen.mask, max_bytes=chosen.max_queue_bytes, **exporters.queue_limits())
            provider.add_span_processor(queue)
    return queue


def _measure(resource: Resource, target: exporters.Target, chosen: Settings, notes: list[str]) -> Any:
    """Set a meter provider unless the program has one, which then keeps its own exporter."""
    if chosen.meter_provider is not None:
        notes.append("metrics go to the meter provider that was given; it keeps its own exporters")
        providers.use(meter_provider=chosen.meter_provider)
        return None
    names = exporters.chosen("metrics", notes)
    if not names:
        return None
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - only where they are wanted
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    if chosen.tracer_provider is None and isinstance(metrics.get_meter_provider(), MeterProvider):
        notes.append("the program's meter provider keeps its own exporters")
        return None
    made = [exporters.make("metrics", name, target, notes) for name in names]
    readers = [PeriodicExportingMetricReader(exporter) for exporter in made if exporter is not None]
    provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    if chosen.tracer_provider is None:
        metrics.set_meter_provider(provider)
    else:
        providers.use(meter_provider=provider)
    return provider


def _log(resource: Resource, target: exporters.Target, chosen: Settings, notes: list[str]) -> Any:
    """Set a logger provider, for feedback and events, unless the program has one."""
    if chosen.logger_provider is not None:
        notes.append("events and logs go to the logger provider that was given; it keeps its own exporters")
        providers.use(logger_provider=chosen.logger_provider)
        return None
    names = exporters.chosen("logs", notes)
    if not names:
        return None
    from opentelemetry._logs import get_logger_provider, set_logger_provider  # noqa: PLC0415
    from opentelemetry.sdk._logs import LoggerProvider  # noqa: PLC0415
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: PLC0415

    if chosen.tracer_provider is None and isinstance(get_logger_provider(), LoggerProvider):
        notes.append("the program's logger provider keeps its own exporters")
        return None
    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    for name in names:
        exporter = exporters.make("logs", name, target, notes)
        if exporter is not None:
            provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    if chosen.tracer_provider is None:
        set_logger_provider(provider)
    else:
        providers.use(logger_provider=provider)
    return provider


def _started(function: Callable[..., object], *arguments: object) -> threading.Event:
    """Run `function` in a thread: the stock providers do not keep their own timeouts."""
    done = threading.Event()

    def run() -> None:
        try:
            function(*arguments)
        except Exception:
            logger.debug("%s failed", function, exc_info=True)
        done.set()

    threading.Thread(target=run, name="otel-llm-end", daemon=True).start()
    return done


def _within(seconds: float, function: Callable[..., object], *arguments: object) -> bool:
    return _started(function, *arguments).wait(seconds)
