"""What happened in a trace, read from requests as they pass: whether a span failed, how long it took, what it cost.

`summaries` reads the bytes of a request, in Rust (`otel_llm_wire.Summaries`) where that is built, else in Python. Both
say the same; what is not plain OTLP the one in Rust leaves to Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events

_FAILED_LABELS = frozenset({"fail", "failed"})
_STATUS_ERROR = 2
_EVALUATION_BYTES = events.GEN_AI_EVALUATION_RESULT.encode()


@dataclass(slots=True)
class TraceSummary:
    """What is known of a trace so far."""

    spans: int = 0
    root: bool = False  # its root was among them
    service: str = ""  # the root's, if that came
    error: bool = False
    start: int = 0  # nanoseconds since the epoch
    end: int = 0
    cost: float = 0.0  # USD
    feedback: float | None = None  # the lowest
    evaluation_failed: bool = False
    matched: int = 0  # a bit for each policy whose selection meant a span

    def add(self, other: TraceSummary) -> None:
        """What more spans said."""
        self.spans += other.spans
        if other.root or not self.service:
            self.service = other.service or self.service
        self.root |= other.root
        self.error |= other.error
        self.start = min(self.start, other.start) if self.start and other.start else self.start or other.start
        self.end = max(self.end, other.end)
        self.cost += other.cost
        if other.feedback is not None:
            self._feedback(other.feedback)
        self.evaluation_failed |= other.evaluation_failed
        self.matched |= other.matched

    def span(self, span: Any, service: str) -> None:
        """What `span` says, of a resource with this service's name."""
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        self.spans += 1
        if not self.service or not span.parent_span_id:
            self.service = service
        self.root |= not span.parent_span_id
        self.error |= span.status.code == _STATUS_ERROR
        self.start = min(self.start, start) if self.start else start
        self.end = max(self.end, end)
        values = {one.key: one.value for one in span.attributes if one.key in _KEYS}
        if attr.OTEL_LLM_COST_TOTAL in values:
            self.cost += values[attr.OTEL_LLM_COST_TOTAL].double_value
        if attr.OTEL_LLM_QUALITY_FAILED_CHECKS in values:
            self.evaluation_failed |= bool(values[attr.OTEL_LLM_QUALITY_FAILED_CHECKS].array_value.values)
        for event in span.events:
            if event.name == events.GEN_AI_EVALUATION_RESULT:
                self.evaluated(event.attributes)

    def evaluated(self, attributes: Any) -> None:
        """What the event of an evaluation or of feedback says."""
        values = {one.key: one.value for one in attributes}
        label = values.get(attr.GEN_AI_EVALUATION_SCORE_LABEL)
        self.evaluation_failed |= label is not None and label.string_value.lower() in _FAILED_LABELS
        score = values.get(attr.GEN_AI_EVALUATION_SCORE_VALUE)
        if attr.OTEL_LLM_FEEDBACK_KIND in values and score is not None:
            value = score.double_value if score.HasField("double_value") else float(score.int_value)
            if math.isfinite(value):
                self._feedback(value)

    def _feedback(self, score: float) -> None:
        self.feedback = score if self.feedback is None else min(self.feedback, score)


_KEYS = frozenset({attr.OTEL_LLM_COST_TOTAL, attr.OTEL_LLM_QUALITY_FAILED_CHECKS})

Summaries = Callable[[bytes], dict[bytes, TraceSummary]]


def summaries(payload: bytes) -> dict[bytes, TraceSummary]:
    """For each trace id what the spans in a trace request say."""
    found: dict[bytes, TraceSummary] = {}
    for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans:
        named = {one.key: one.value.string_value for one in resource_spans.resource.attributes}
        service = named.get(attr.SERVICE_NAME, "")
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                found.setdefault(span.trace_id, TraceSummary()).span(span, service)
    return found


def reading(wire: Any | None) -> Summaries:
    """`summaries` in Rust where `wire`, the module, is there."""
    if wire is None:
        return summaries
    reader = wire.Summaries(_NAMES)

    def read(payload: bytes) -> dict[bytes, TraceSummary]:
        found = reader.read(payload)
        return summaries(payload) if found is None else {trace_id: TraceSummary(*said) for trace_id, said in found}

    return read


_NAMES: Mapping[str, str | list[str]] = {
    "service_name": attr.SERVICE_NAME,
    "cost_total": attr.OTEL_LLM_COST_TOTAL,
    "failed_checks": attr.OTEL_LLM_QUALITY_FAILED_CHECKS,
    "evaluation_event": events.GEN_AI_EVALUATION_RESULT,
    "score_label": attr.GEN_AI_EVALUATION_SCORE_LABEL,
    "score_value": attr.GEN_AI_EVALUATION_SCORE_VALUE,
    "feedback_kind": attr.OTEL_LLM_FEEDBACK_KIND,
    "failed_labels": sorted(_FAILED_LABELS),
}


def feedback_of(record: Any) -> TraceSummary | None:
    """What a log record says of its trace: feedback and evaluations come as events. None: it says nothing."""
    if record.event_name != events.GEN_AI_EVALUATION_RESULT:
        return None
    summary = TraceSummary()
    summary.evaluated(record.attributes)
    return summary


def may_have_feedback(payload: bytes) -> bool:
    """False when no log record in `payload` is such an event."""
    return _EVALUATION_BYTES in payload
