"""Requests as Kafka messages, in the form that otelcol's Kafka exporter and receiver share.

The value is an `Export…ServiceRequest`; a request of spans becomes one message per trace, its key the trace id as 32
hexadecimal digits, so that a trace stays in one partition. Requests over the size limit are cut between their items.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.contract import Signal
from otel_llm_collector.errors import TooLarge

_ENVELOPE_BYTES = 64  # tags and lengths around an item


class Message(NamedTuple):
    """One message: `items` is said in a header, so that nobody has to count again."""

    key: bytes | None
    value: bytes
    items: int


class _Shape(NamedTuple):
    request: Any
    resources: str
    scopes: str
    items: str


_SHAPES = {
    Signal.TRACES: _Shape(ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    Signal.METRICS: _Shape(ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
    Signal.LOGS: _Shape(ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
}


def messages(signal: Signal, payload: bytes, items: int, max_bytes: int) -> list[Message]:
    """`payload` as messages of at most `max_bytes`. Raises `TooLarge` when one item alone is larger."""
    if signal is not Signal.TRACES and len(payload) <= max_bytes:
        return [Message(None, payload, items)]
    shape = _SHAPES[signal]
    try:
        request = shape.request.FromString(payload)
    except DecodeError:  # the log keeps whatever it is given
        return [Message(None, payload, items)]
    keys = {_key(signal, item) for _, _, item in _walk(request, shape)}
    if len(keys) <= 1 and len(payload) <= max_bytes:
        return [Message(next(iter(keys), None), payload, items)]
    builders: dict[bytes | None, list[_Builder]] = {}
    for level, scope, item in _walk(request, shape):
        parts = builders.setdefault(_key(signal, item), [_Builder(shape)])
        size = item.ByteSize() + _levels(level, scope)
        if size > max_bytes:
            msg = (
                f"log: one item of {size} bytes is over log.max_message_bytes ({max_bytes}); send less, or raise it "
                "together with the topic's max.message.bytes"
            )
            raise TooLarge(msg)
        if parts[-1].size + size > max_bytes:
            parts.append(_Builder(shape))
        parts[-1].add(level, scope, item, size, _points(signal, item))
    return [builder.message(key) for key, parts in builders.items() for builder in parts]


def count(signal: Signal, payload: bytes) -> int:
    """The items of a message that does not say it; 0 when it is no such request."""
    shape = _SHAPES[signal]
    try:
        request = shape.request.FromString(payload)
    except DecodeError:
        return 0
    return sum(_points(signal, item) for _, _, item in _walk(request, shape))


class _Builder:
    """Collects items into one request; levels that come in a row are opened once."""

    def __init__(self, shape: _Shape) -> None:
        self._shape = shape
        self._request = shape.request()
        self._above: tuple[Any, Any] = (None, None)
        self._level: Any = None
        self._scope: Any = None
        self._items = 0
        self.size = 0

    def add(self, level: Any, scope: Any, item: Any, size: int, items: int) -> None:
        if self._above[0] is not level:
            self._level = getattr(self._request, self._shape.resources).add(schema_url=level.schema_url)
            self._level.resource.CopyFrom(level.resource)
        if self._above != (level, scope):
            self._scope = getattr(self._level, self._shape.scopes).add(schema_url=scope.schema_url)
            self._scope.scope.CopyFrom(scope.scope)
            self._above = (level, scope)
        getattr(self._scope, self._shape.items).append(item)
        self.size += size
        self._items += items

    def message(self, key: bytes | None) -> Message:
        return Message(key, self._request.SerializeToString(), self._items)


def _walk(request: Any, shape: _Shape) -> Iterator[tuple[Any, Any, Any]]:
    for level in getattr(request, shape.resources):
        for scope in getattr(level, shape.scopes):
            for item in getattr(scope, shape.items):
                yield level, scope, item


def _key(signal: Signal, item: Any) -> bytes | None:
    return item.trace_id.hex().encode() if signal is Signal.TRACES else None


def _points(signal: Signal, item: Any) -> int:
    if signal is not Signal.METRICS:
        return 1
    kind = item.WhichOneof("data")
    return len(getattr(item, kind).data_points) if kind else 0


def _levels(level: Any, scope: Any) -> int:
    """Bytes around an item."""
    inside: int = level.resource.ByteSize() + scope.scope.ByteSize()
    return inside + len(level.schema_url.encode()) + len(scope.schema_url.encode()) + _ENVELOPE_BYTES
