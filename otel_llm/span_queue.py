"""A span processor that bounds memory by bytes and time by one budget.

The stock batch processor bounds the number of spans; with prompts of 200 KB and a dead collector that is over half a
gigabyte. Here the bytes are bounded: over the bound a span loses its content (prompts, answers, documents), and if that
is not enough the span itself is dropped; both are counted. Exports run in one daemon thread, so nothing of it blocks
the program, and `shutdown` returns after its budget whatever the endpoint does. A forked child begins with an empty
queue and a thread of its own.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from otel_llm_semconv.attributes import CONTENT, OTEL_LLM_CONTENT_DROPPED

from otel_llm.guard import warn_once
from otel_llm.masking import masked, rebuilt
from otel_llm.settings import MAX_QUEUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

    from otel_llm.settings import Mask

MAX_QUEUE_SPANS = 20_000
MAX_BATCH_SPANS = 512
MAX_BATCH_BYTES = 4 * 1024 * 1024
FLUSH_SECONDS = 1.0

_BYTES_PER_SPAN = 600  # ids, times, name and Python's own objects, roughly
_BYTES_PER_ATTRIBUTE = 120


class SpanQueue(SpanProcessor):
    """Queues ended spans and exports them in batches.

    `make_exporter` is called at the first span and again in each forked child, whose sockets must be its own.
    """

    def __init__(
        self,
        make_exporter: Callable[[], SpanExporter],
        *,
        max_bytes: int = MAX_QUEUE_BYTES,
        max_spans: int = MAX_QUEUE_SPANS,
        max_batch_spans: int = MAX_BATCH_SPANS,
        flush_seconds: float = FLUSH_SECONDS,
        mask: Mask | None = None,
    ) -> None:
        self._make_exporter = make_exporter
        self._max_bytes = max_bytes
        self._max_spans = max_spans
        self._max_batch_spans = max_batch_spans
        self._mask = mask
        self._flush_seconds = flush_seconds
        self.ended_spans = 0  # sampled spans that ended
        self.exported_spans = 0
        self.dropped_spans = 0
        self.stripped_spans = 0  # spans that lost their content for want of room
        self._begin()
        reference = weakref.ref(self)

        def after_fork() -> None:
            queue = reference()
            if queue is not None:
                queue._after_fork()  # noqa: SLF001 - our own

        os.register_at_fork(after_in_child=after_fork)

    def _begin(self) -> None:
        # Reentrant: a signal handler that flushes may have interrupted this very thread inside `on_end`.
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._spans: deque[tuple[ReadableSpan, int]] = deque()
        self._bytes = 0
        self._has_content = False  # of some queued span content could be taken
        self._busy = False  # a batch is being exported
        self._closed = False
        self._hurry = False  # somebody waits for the queue to be empty
        self._exporter: SpanExporter | None = None
        self._thread: threading.Thread | None = None

    def _after_fork(self) -> None:
        """Start anew in a forked child: the parent exports what the parent queued."""
        closed = self._closed
        self._begin()
        self._closed = closed
        self.ended_spans = self.exported_spans = self.dropped_spans = self.stripped_spans = 0

    def on_start(self, span: Span, parent_context: context_api.Context | None = None) -> None:
        """Nothing to do when a span starts."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span; never blocks on the network, never raises."""
        if not span.context.trace_flags.sampled:
            return
        try:
            size = _size(span)
        except Exception:  # a value whose length cannot be had
            size = _BYTES_PER_SPAN
        with self._lock:
            self.ended_spans += 1
            if self._closed:
                self.dropped_spans += 1
                return
            if self._bytes + size > self._max_bytes:
                span, size = self._stripped(span, size)
                if self._bytes + size > self._max_bytes:
                    self._strip_queue()
            if self._bytes + size > self._max_bytes or len(self._spans) >= self._max_spans:
                self.dropped_spans += 1
                return
            self._spans.append((span, size))
            self._bytes += size
            self._has_content = self._has_content or _has_content(span)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="otel-llm-spans", daemon=True)
                self._thread.start()
            elif len(self._spans) >= self._max_batch_spans or self._bytes >= MAX_BATCH_BYTES:
                self._wake.notify_all()

    def _stripped(self, span: ReadableSpan, size: int) -> tuple[ReadableSpan, int]:
        """The span without its content, and its size; the same span when it has none."""
        if not _has_content(span):
            return span, size
        self.stripped_spans += 1
        bare = _without_content(span)
        return bare, _size(bare)

    def _strip_queue(self) -> None:
        """Make room: take the content from what is queued. Each span is stripped once, so the cost stays linear."""
        if not self._has_content:
            return
        self._spans = deque(self._stripped(span, size) for span, size in self._spans)
        self._bytes = sum(size for _, size in self._spans)
        self._has_content = False

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything queued was handed to the exporter; False when the time is over first."""
        deadline = time.monotonic() + timeout_millis / 1000
        with self._lock:
            self._hurry = True
            self._wake.notify_all()
            while self._spans or self._busy:
                left = deadline - time.monotonic()
                if left <= 0 or self._thread is None:
                    return False
                self._wake.wait(left)
            return True

    def shutdown(self, timeout_millis: int = 2000) -> None:
        """Export what is left within the time given, drop and count the rest. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.force_flush(timeout_millis)
        with self._lock:
            self.dropped_spans += len(self._spans)
            self._spans.clear()
            self._bytes = 0
            self._wake.notify_all()
        if self._exporter is not None:
            # The stock exporter may wait for its own retry: it is told to stop, and not waited for.
            threading.Thread(target=self._exporter.shutdown, daemon=True).start()

    def _run(self) -> None:
        exporter = self._exporter = self._make_exporter()
        token = context_api.attach(context_api.set_value(context_api._SUPPRESS_INSTRUMENTATION_KEY, True))  # noqa: SLF001
        try:
            while True:
                batch = self._next_batch()
                if not batch:
                    return
                exported = self._export(exporter, batch)
                with self._lock:
                    self._busy = False
                    self.exported_spans += exported
                    self.dropped_spans += len(batch) - exported
                    self._wake.notify_all()
        finally:
            context_api.detach(token)

    def _export(self, exporter: SpanExporter, batch: list[ReadableSpan]) -> int:
        """Send a batch; returns how many of it went. One span that cannot be encoded does not take others with it."""
        try:
            sent = batch if self._mask is None else [masked(span, self._mask) for span in batch]
            result = exporter.export(sent)
        except Exception as error:  # the exporter's answer to a failed request is no exception, so this is the data
            if len(batch) > 1 and not self._closed:
                half = len(batch) // 2
                return self._export(exporter, batch[:half]) + self._export(exporter, batch[half:])
            warn_once(f"a span could not be sent: {error}", f"export: {type(error).__name__}")
            return 0
        return len(batch) if result.name == "SUCCESS" else 0

    def _next_batch(self) -> list[ReadableSpan]:
        """Wait for spans and take one batch of them; empty when the queue is closed and drained."""
        with self._lock:
            began = time.monotonic()
            while not self._is_due(began):
                if self._closed and not self._spans:
                    return []
                self._wake.wait(max(0.01, began + self._flush_seconds - time.monotonic()))
                if not self._spans:
                    began = time.monotonic()
            batch: list[ReadableSpan] = []
            size = 0
            while (
                self._spans
                and len(batch) < self._max_batch_spans
                and (not batch or size + self._spans[0][1] < MAX_BATCH_BYTES)
            ):
                span, bytes_of_span = self._spans.popleft()
                batch.append(span)
                size += bytes_of_span
            self._bytes -= size
            self._busy = True
            self._hurry = self._hurry and bool(self._spans)
            return batch

    def _is_due(self, began: float) -> bool:
        if not self._spans:
            return False
        full = len(self._spans) >= self._max_batch_spans or self._bytes >= MAX_BATCH_BYTES
        return full or self._hurry or self._closed or time.monotonic() - began >= self._flush_seconds


def _size(span: ReadableSpan) -> int:
    """About how many bytes `span` holds in memory."""
    size = _BYTES_PER_SPAN + _bytes_of(_attributes(span))
    for event in span.events:
        size += _BYTES_PER_SPAN + _bytes_of(event.attributes or {})
    return size


def _bytes_of(attributes: Mapping[str, Any]) -> int:
    size = _BYTES_PER_ATTRIBUTE * len(attributes)
    for value in attributes.values():
        kind = value.__class__
        if kind is str or kind is tuple or kind is bytes:
            size += len(value)
            if kind is tuple and value and value[0].__class__ is str:
                size += sum(map(len, value))
    return size


def _attributes(span: ReadableSpan) -> Mapping[str, Any]:
    """The attributes of an ended span as a plain dict; its public view costs a lock and a call for each key."""
    try:
        return span._attributes._dict  # type: ignore[no-any-return,union-attr] # noqa: SLF001
    except AttributeError:
        return span.attributes or {}


def _has_content(span: ReadableSpan) -> bool:
    if not _attributes(span).keys().isdisjoint(CONTENT):
        return True
    return any(not CONTENT.isdisjoint(event.attributes or ()) for event in span.events)


def _without_content(span: ReadableSpan) -> ReadableSpan:
    """The span without content in its attributes and without events that have any, marked."""
    attributes = {key: value for key, value in (span.attributes or {}).items() if key not in CONTENT}
    attributes[OTEL_LLM_CONTENT_DROPPED] = True
    return rebuilt(span, attributes, [one for one in span.events if CONTENT.isdisjoint(one.attributes or ())])
