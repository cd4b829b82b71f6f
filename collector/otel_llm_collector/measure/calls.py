"""What budgets and span rules look at: the GenAI spans of a kept trace request, as the engine left them, priced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from otel_llm_semconv import attributes as attr

from otel_llm_collector.any_value import scalar_text

_NANO = 1e9
# Short names for attributes, for `by` and `where`; every other name is that of an attribute itself.
SHORT_NAMES = {
    "service": attr.SERVICE_NAME,
    "model": attr.GEN_AI_REQUEST_MODEL,
    "provider": attr.GEN_AI_PROVIDER_NAME,
    "operation": attr.GEN_AI_OPERATION_NAME,
    "user": attr.USER_ID,
}
_OPERATIONS = (attr.GEN_AI_OPERATION_NAME, attr.OTEL_LLM_OPERATION_NAME)
_SIGNS = tuple(name.encode() for name in _OPERATIONS)


@dataclass(frozen=True, slots=True)
class Call:
    """One GenAI operation. `said` are the attributes of the span and, where it has none of that name, its resource."""

    trace_id: bytes
    span_id: bytes
    ended_at: float
    seconds: float
    error: bool
    cost_nano: int | None
    said: dict[str, str]

    @property
    def identity(self) -> bytes:
        """What makes it the same span when it comes again."""
        return self.trace_id + self.span_id

    def get(self, name: str) -> str:
        """An attribute by its short or its own name; empty when it is not there."""
        return self.said.get(SHORT_NAMES.get(name, name), "")

    def number(self, name: str) -> float | None:
        """An attribute that is a number."""
        try:
            return float(self.said[name])
        except (KeyError, ValueError):
            return None


def calls(request: bytes) -> Iterator[Call]:
    """The GenAI spans of one ExportTraceServiceRequest."""
    if not any(sign in request for sign in _SIGNS):
        return
    for resource_spans in ExportTraceServiceRequest.FromString(request).resource_spans:
        resource = {one.key: scalar_text(one.value) for one in resource_spans.resource.attributes}
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                values = {one.key: one.value for one in span.attributes}
                if not any(name in values for name in _OPERATIONS):
                    continue
                cost = values.get(attr.OTEL_LLM_COST_TOTAL)
                yield Call(
                    trace_id=span.trace_id,
                    span_id=span.span_id,
                    ended_at=span.end_time_unix_nano / _NANO,
                    seconds=max(0, span.end_time_unix_nano - span.start_time_unix_nano) / _NANO,
                    error=span.status.code == Status.STATUS_CODE_ERROR,
                    cost_nano=None if cost is None else round(cost.double_value * _NANO),
                    said={**resource, **{name: scalar_text(value) for name, value in values.items()}},
                )
