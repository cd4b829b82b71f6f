"""The span queue is bounded by bytes, gives up content before spans, and counts what it gives up."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from otel_llm_semconv import attributes as attr

from otel_llm.span_queue import SpanQueue


class Exporter(SpanExporter):
    """Takes spans, once it is let."""

    def __init__(self) -> None:
        self.batches: list[Sequence[ReadableSpan]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.result = SpanExportResult.SUCCESS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.gate.wait(20)
        self.batches.append(spans)
        return self.result

    @property
    def spans(self) -> list[ReadableSpan]:
        """All that was taken."""
        return [span for batch in self.batches for span in batch]


def provider_of(queue: SpanQueue) -> Any:
    """A tracer whose spans go to the queue."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    return provider.get_tracer("test")


def test_flush_hands_everything_over() -> None:
    """After `force_flush` the exporter has every span, in order."""
    exporter = Exporter()
    queue = SpanQueue(lambda: exporter)
    tracer = provider_of(queue)
    for number in range(1500):
        tracer.start_span(str(number)).end()
    assert queue.force_flush(10_000)
    assert [span.name for span in exporter.spans] == [str(number) for number in range(1500)]
    assert (queue.ended_spans, queue.exported_spans, queue.dropped_spans) == (1500, 1500, 0)
    queue.shutdown()


def test_content_goes_before_spans_and_both_are_counted() -> None:
    """Under pressure spans lose their prompts first; beyond that they are dropped; the sum is right."""
    exporter = Exporter()
    exporter.gate.clear()
    queue = SpanQueue(lambda: exporter, max_bytes=200_000, max_spans=100, flush_seconds=0.01)
    tracer = provider_of(queue)
    tracer.start_span("first").end()
    time.sleep(0.1)  # the worker holds the first batch
    for number in range(150):
        tracer.start_span(str(number), attributes={attr.GEN_AI_INPUT_MESSAGES: "x" * 20_000, "kept": 1}).end()
    assert queue._bytes <= 200_000
    assert queue.stripped_spans > 90
    assert queue.dropped_spans == 50, "a hundred fit without their content"
    exporter.gate.set()
    assert queue.force_flush(10_000)
    stripped = [span for span in exporter.spans if (span.attributes or {}).get(attr.OTEL_LLM_CONTENT_DROPPED)]
    assert stripped
    assert all(attr.GEN_AI_INPUT_MESSAGES not in (span.attributes or {}) for span in stripped)
    assert all((span.attributes or {})["kept"] == 1 for span in stripped)
    assert queue.exported_spans + queue.dropped_spans == queue.ended_spans == 151
    queue.shutdown()


def test_shutdown_keeps_its_budget_when_the_exporter_hangs() -> None:
    """The program waits as long as the budget says and the rest is counted as dropped."""
    exporter = Exporter()
    exporter.gate.clear()
    queue = SpanQueue(lambda: exporter, flush_seconds=0.01)
    tracer = provider_of(queue)
    for _ in range(2000):
        tracer.start_span("x").end()
    started = time.monotonic()
    queue.shutdown(300)
    assert 0.25 < time.monotonic() - started < 1.5
    assert queue.dropped_spans >= 2000 - 512
    queue.shutdown(300)  # a second time does nothing
    tracer.start_span("late").end()
    assert queue.ended_spans == 2001
    exporter.gate.set()


def test_an_exporter_that_raises_or_fails_costs_only_its_batch() -> None:
    """After failures the queue works on; failed spans are counted as dropped."""
    exporter = Exporter()
    exporter.result = SpanExportResult.FAILURE
    queue = SpanQueue(lambda: exporter, flush_seconds=0.01)
    tracer = provider_of(queue)
    tracer.start_span("a").end()
    assert queue.force_flush(5000)
    exporter.result = SpanExportResult.SUCCESS
    tracer.start_span("b").end()
    assert queue.force_flush(5000)
    assert (queue.exported_spans, queue.dropped_spans) == (1, 1)
    queue.shutdown()


def test_unsampled_spans_are_not_queued() -> None:
    """Sampling is the provider's matter; what it left out does not count."""
    queue = SpanQueue(Exporter)
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(queue)
    provider.get_tracer("t").start_span("x").end()
    assert queue.ended_spans == 0
    queue.shutdown()


@pytest.mark.parametrize("seconds", [0.0])
def test_flush_of_an_empty_queue_is_at_once(seconds: float) -> None:
    """Nothing queued, nothing to wait for."""
    queue = SpanQueue(Exporter)
    assert queue.force_flush(int(seconds * 1000))
