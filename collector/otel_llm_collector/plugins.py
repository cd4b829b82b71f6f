"""Running processing plug-ins on what the engine let through, each in a thread of its own and with a time budget.

A plug-in that raises costs its edit, one that is slow the spans that its budget does not reach; the telemetry goes on
either way. A thread that does not come back is left behind, and after `limits.MAX_STUCK_THREADS` of them the plug-in is
passed by until one returns. (Python cannot end a thread: one that computes without end slows the collector down.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, ConfigDict, Field

from otel_llm_collector import limits
from otel_llm_collector.contract import Signal
from otel_llm_collector.errors import StartError
from otel_llm_collector.processing import Processor, SpanView, resource_of
from otel_llm_collector.selection import Matcher, Selections

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 0.1  # beyond the budget, for a span that is just being processed


class PluginSettings(BaseModel):
    """A processing plug-in: your Python, on the spans that it is meant for."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Its name in the entry point group otel_llm_collector.processors.")
    select: Selections | None = Field(None, min_length=1, description="The spans it gets; all when not given.")
    budget_seconds: float = Field(
        0.1, gt=0, le=60, description="Its time for one request; spans not reached by then pass as they are."
    )
    settings: dict[str, Any] = Field(default_factory=dict, description="What it is given when it is made.")


@dataclass(slots=True)
class _Job:
    payload: bytes
    done: Callable[[bytes | None], None]  # the new payload, or None when nothing changed
    began: float | None = None
    selected: int = 0
    tally: dict[str, int] = field(default_factory=dict)


class Plugin:
    """One plug-in at work."""

    def __init__(self, name: str, processor: Processor, settings: PluginSettings, spans: Counter) -> None:
        self._name = name
        self._processor = processor
        self._matcher = Matcher(settings.select, Signal.TRACES) if settings.select is not None else None
        self._budget = settings.budget_seconds
        self._spans = spans
        self._jobs: queue.SimpleQueue[_Job | None] | None = None
        self._stuck: list[threading.Thread] = []
        self._thread: threading.Thread | None = None
        self._last_said = -1e9
        for outcome in ("changed", "unchanged", "failed", "timeout"):
            spans.labels(name, outcome)

    async def apply(self, payload: bytes, items: int) -> bytes:
        """`payload` as the plug-in leaves it; never raises."""
        if self._matcher is not None and not self._matcher.possible(payload):
            return payload
        jobs = self._queue()
        if jobs is None or jobs.qsize() >= limits.MAX_PLUGIN_QUEUE:
            self._spans.labels(self._name, "timeout").inc(items)
            return payload
        loop = asyncio.get_running_loop()
        result: asyncio.Future[bytes | None] = loop.create_future()

        def done(changed: bytes | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_set_result, result, changed)

        job = _Job(payload, done)
        jobs.put(job)
        while not result.done():
            waited = 0.0 if job.began is None else time.monotonic() - job.began
            if waited > self._budget + _GRACE_SECONDS:
                self._abandon(job)
                return payload
            await asyncio.wait({result}, timeout=self._budget + _GRACE_SECONDS - waited + 0.005)
        for outcome, count in job.tally.items():
            self._spans.labels(self._name, outcome).inc(count)
        return result.result() or payload

    def close(self) -> None:
        """Let the thread end."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None

    def _queue(self) -> queue.SimpleQueue[_Job | None] | None:
        """The queue of the thread at work; None when too many do not come back."""
        if self._jobs is None:
            self._stuck = [thread for thread in self._stuck if thread.is_alive()]
            if len(self._stuck) >= limits.MAX_STUCK_THREADS:
                return None
            self._jobs = queue.SimpleQueue()
            self._thread = threading.Thread(
                target=self._work, args=(self._jobs,), name=f"plug-in {self._name}", daemon=True
            )
            self._thread.start()
        return self._jobs

    def _abandon(self, job: _Job) -> None:
        """The thread does not come back in time: it is left alone, and what waits for it goes to a new one."""
        self._spans.labels(self._name, "timeout").inc(max(1, job.selected))
        if self._jobs is None or self._thread is None:
            return
        logger.warning("processors.plugins.%s: does not come back from a span; it is left behind", self._name)
        self._stuck.append(self._thread)
        left, self._jobs, self._thread = self._jobs, None, None
        fresh = self._queue()
        while not left.empty():
            waiting = left.get()
            if waiting is not None:
                fresh.put(waiting) if fresh is not None else waiting.done(None)
        left.put(None)  # if it ever comes back

    # in the thread

    def _work(self, jobs: queue.SimpleQueue[_Job | None]) -> None:
        while (job := jobs.get()) is not None:
            job.began = time.monotonic()
            try:
                changed = self._process(job)
            except Exception:
                logger.exception("processors.plugins.%s: failed", self._name)
                changed = None
            job.done(changed)

    def _process(self, job: _Job) -> bytes | None:
        request = ExportTraceServiceRequest.FromString(job.payload)
        chosen = self._chosen(request)
        job.selected = len(chosen)
        deadline = (job.began or 0.0) + self._budget
        tally = dict.fromkeys(("changed", "unchanged", "failed", "timeout"), 0)
        for number, (span, resource) in enumerate(chosen):
            if time.monotonic() > deadline:
                tally["timeout"] = len(chosen) - number
                break
            tally[self._outcome(span, resource)] += 1
        job.tally = tally
        return request.SerializeToString() if tally["changed"] else None

    def _chosen(self, request: ExportTraceServiceRequest) -> list[tuple[Any, Mapping[str, Any]]]:
        found: list[tuple[Any, Mapping[str, Any]]] = []
        for resource_spans in request.resource_spans:
            seen = resource_of(resource_spans.resource.attributes)
            matcher = self._matcher
            picked = matcher.picked(resource_spans.resource.attributes) if matcher is not None else {}
            for scope_spans in resource_spans.scope_spans:
                found += [
                    (span, seen)
                    for span in scope_spans.spans
                    if matcher is None or matcher.matches(picked, matcher.picked(span.attributes))
                ]
        return found

    def _outcome(self, span: Any, resource: Mapping[str, Any]) -> str:
        try:
            view = SpanView(span, resource)
            self._processor.process(view)
            return "changed" if view.write_back() else "unchanged"
        except Exception:
            now = time.monotonic()
            if now - self._last_said > limits.PLUGIN_LOG_SECONDS:
                self._last_said = now
                logger.exception("processors.plugins.%s: raised; the span passes as it was", self._name)
            return "failed"


def _set_result(result: asyncio.Future[bytes | None], changed: bytes | None) -> None:
    if not result.done():
        result.set_result(changed)


class Plugins:
    """All plug-ins, in the order of the configuration."""

    def __init__(
        self,
        configured: Mapping[str, PluginSettings],
        types: Mapping[str, Callable[[], Callable[[Mapping[str, Any]], Processor]]],
        registry: CollectorRegistry,
    ) -> None:
        spans = Counter(
            "otel_llm_processor_spans",
            "Spans given to a plug-in: changed, unchanged, failed (it raised), timeout (its budget was over).",
            ["processor", "outcome"],
            registry=registry,
        )
        self._plugins: Sequence[Plugin] = [
            Plugin(name, _made(name, settings, types), settings, spans) for name, settings in configured.items()
        ]

    async def apply(self, signal: Signal, payload: bytes, items: int) -> bytes:
        """`payload` as the plug-ins leave it; only traces are shown to them."""
        if signal is Signal.TRACES:
            for plugin in self._plugins:
                payload = await plugin.apply(payload, items)
        return payload

    async def start(self) -> None:
        """Threads start with the first request."""

    async def shutdown(self) -> None:
        """Let the threads end."""
        for plugin in self._plugins:
            plugin.close()


def _made(
    name: str,
    settings: PluginSettings,
    types: Mapping[str, Callable[[], Callable[[Mapping[str, Any]], Processor]]],
) -> Processor:
    """The plug-in, constructed. Raises `StartError` with what it said."""
    try:
        processor = types[settings.type]()(settings.settings)
    except Exception as error:
        msg = f"processors.plugins.{name}: {settings.type} cannot be made: {type(error).__name__}: {error}"
        raise StartError(msg) from error
    if not callable(getattr(processor, "process", None)):
        msg = f"processors.plugins.{name}: {settings.type} has no method process; see otel_llm_collector.processing"
        raise StartError(msg)
    return processor
