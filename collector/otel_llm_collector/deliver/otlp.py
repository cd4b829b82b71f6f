"""OTLP requests seen from the sending side: their levels, content removal, and splitting by size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_semconv import attributes as attr

_ENVELOPE_BYTES = 32  # room for the tags and lengths around an item when sizes are added up


@dataclass(frozen=True, slots=True)
class Shape:
    """A signal's request and response classes and the names of its three levels."""

    request: type[Message]
    response: type[Message]
    resources: str
    scopes: str
    items: str
    rejected: str
    service: str


SHAPES = {
    Signal.TRACES: Shape(
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
        "resource_spans",
        "scope_spans",
        "spans",
        "rejected_spans",
        "opentelemetry.proto.collector.trace.v1.TraceService",
    ),
    Signal.METRICS: Shape(
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
        "resource_metrics",
        "scope_metrics",
        "metrics",
        "rejected_data_points",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
    ),
    Signal.LOGS: Shape(
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
        "resource_logs",
        "scope_logs",
        "log_records",
        "rejected_log_records",
        "opentelemetry.proto.collector.logs.v1.LogsService",
    ),
}

_CONTENT_BYTES = [key.encode() for key in sorted(attr.CONTENT)]
# Log events of conventions up to 1.36 carry messages in their body; their names start so.
_EVENT_PREFIX = attr.GEN_AI_SYSTEM.removesuffix("system")


def receipt(signal: Signal, response: Message) -> Receipt:
    """What a backend's OTLP response says."""
    partial = response.partial_success  # type: ignore[attr-defined]
    return Receipt(getattr(partial, SHAPES[signal].rejected), partial.error_message)


def without_content(signal: Signal, payload: bytes) -> bytes:
    """`payload` without prompts, answers, documents, queries and tool arguments; the same bytes when it has none."""
    if signal is Signal.METRICS:
        return payload
    if not any(key in payload for key in _CONTENT_BYTES) and (
        signal is Signal.TRACES or _EVENT_PREFIX.encode() not in payload
    ):
        return payload
    shape = SHAPES[signal]
    request = shape.request.FromString(payload)
    for _, _, item in _walk(request, shape):
        _drop_content(item.attributes)
        if signal is Signal.TRACES:
            for event in item.events:
                _drop_content(event.attributes)
        elif item.event_name.startswith(_EVENT_PREFIX) or _legacy_event(item):
            item.ClearField("body")
    return request.SerializeToString()


def _legacy_event(record: Any) -> bool:
    return any(
        one.key == "event.name" and one.value.string_value.startswith(_EVENT_PREFIX) for one in record.attributes
    )


def _drop_content(attributes: Any) -> None:
    kept = [one for one in attributes if one.key not in attr.CONTENT]
    if len(kept) < len(attributes):
        del attributes[:]
        attributes.extend(kept)


def split(parcel: Parcel, max_bytes: int) -> tuple[list[Parcel], int]:
    """`parcel` in pieces of at most `max_bytes`, and how many items were too large even alone."""
    if len(parcel.payload) <= max_bytes:
        return [parcel], 0
    shape = SHAPES[parcel.signal]
    pieces: list[Parcel] = []
    too_large = 0
    builder = _Builder(shape)
    for resource, scope, item in _walk(shape.request.FromString(parcel.payload), shape):
        size = item.ByteSize() + _ENVELOPE_BYTES
        if size + _envelope(resource, scope, shape) > max_bytes:
            too_large += _count(parcel.signal, item)
            continue
        if builder.size + size + builder.envelope(resource, scope) > max_bytes:
            pieces.append(builder.parcel(parcel.signal))
            builder = _Builder(shape)
        builder.add(resource, scope, item, size, _count(parcel.signal, item))
    if builder.items:
        pieces.append(builder.parcel(parcel.signal))
    return pieces, too_large


class _Builder:
    """Collects items into one request, opening a resource or scope level when it changes."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._request: Any = shape.request()
        self._resource: Any = None
        self._scope: Any = None
        self._target: Any = None
        self.size = 0
        self.items = 0

    def envelope(self, resource: Any, scope: Any) -> int:
        """Bytes that the levels around the next item would add."""
        if resource is self._resource and scope is self._scope:
            return 0
        return _envelope(resource, scope, self._shape)

    def add(self, resource: Any, scope: Any, item: Any, size: int, count: int) -> None:
        self.size += size + self.envelope(resource, scope)
        if resource is not self._resource:
            self._opened = getattr(self._request, self._shape.resources).add(schema_url=resource.schema_url)
            self._opened.resource.CopyFrom(resource.resource)
            self._resource, self._scope = resource, None
        if scope is not self._scope:
            level = getattr(self._opened, self._shape.scopes).add(schema_url=scope.schema_url)
            level.scope.CopyFrom(scope.scope)
            self._target = getattr(level, self._shape.items)
            self._scope = scope
        self._target.append(item)
        self.items += count

    def parcel(self, signal: Signal) -> Parcel:
        return Parcel(signal, self._request.SerializeToString(), self.items)


def _walk(request: Any, shape: Shape) -> Iterator[tuple[Any, Any, Any]]:
    for resource in getattr(request, shape.resources):
        for scope in getattr(resource, shape.scopes):
            for item in getattr(scope, shape.items):
                yield resource, scope, item


def _envelope(resource: Any, scope: Any, shape: Shape) -> int:
    del shape
    levels: int = resource.resource.ByteSize() + scope.scope.ByteSize()
    return levels + len(resource.schema_url) + len(scope.schema_url) + 2 * _ENVELOPE_BYTES


def _count(signal: Signal, item: Any) -> int:
    """Items in the sense of the counters: a metric counts its points."""
    if signal is not Signal.METRICS:
        return 1
    kind = item.WhichOneof("data")
    return len(getattr(item, kind).data_points) if kind else 0
