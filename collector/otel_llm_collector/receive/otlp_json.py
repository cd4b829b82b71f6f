"""OTLP/JSON to OTLP/protobuf.

OTLP's JSON is protobuf's JSON with two changes (OTLP 1.11, "JSON Protobuf Encoding"): trace and span ids are hex, and
unknown keys are ignored. Numbers may stand as strings. Each span, metric and log record is read by itself, so that one
that cannot be read is refused and its neighbours are kept.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.contract import Reject, Signal
from otel_llm_collector.errors import MalformedRequest
from otel_llm_collector.receive.otlp import Request

# signal -> request class and the JSON keys of its three levels
_SHAPES: dict[Signal, tuple[type[Request], str, str, str]] = {
    Signal.TRACES: (ExportTraceServiceRequest, "resourceSpans", "scopeSpans", "spans"),
    Signal.METRICS: (ExportMetricsServiceRequest, "resourceMetrics", "scopeMetrics", "metrics"),
    Signal.LOGS: (ExportLogsServiceRequest, "resourceLogs", "scopeLogs", "logRecords"),
}
_ID_KEYS = ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id")


def to_protobuf(signal: Signal, body: bytes) -> tuple[bytes, list[Reject]]:
    """The request in `body` as protobuf bytes, and what of it could not be read.

    Raises `MalformedRequest` when the body is not JSON or not such a request.
    """
    request_class, *keys = _SHAPES[signal]
    document = _load(body, keys[0])
    request = request_class()
    reader = _Reader(signal)
    for resource_level in _list(document, keys[0]):
        target = reader.envelope(resource_level, keys[1], request, keys[0])
        for scope_level in _list(resource_level, keys[1]):
            scope = reader.envelope(scope_level, keys[2], target, keys[1])
            for item in _list(scope_level, keys[2]):
                reader.item(item, scope, keys[2])
    return request.SerializeToString(), reader.rejects()


def _load(body: bytes, first_key: str) -> dict[str, Any]:
    try:
        # A broken byte in one string must not cost its neighbours: it becomes U+FFFD.
        document = json.loads(body.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError) as error:
        msg = f"body: is not JSON ({str(error)[:200]}); send an OTLP request as JSON"
        raise MalformedRequest(msg) from error
    if not isinstance(document, dict):
        msg = f"body: is JSON of type {type(document).__name__}; send an object with the key {first_key}"
        raise MalformedRequest(msg)
    return document


def _list(level: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = level.get(key, level.get(_snake(key)))
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        msg = f"{key}: is {type(entries).__name__} (seen: {str(entries)[:60]!r}); send a list of objects"
        raise MalformedRequest(msg)
    return entries


class _Reader:
    """Turns JSON objects into messages one by one and remembers those that failed."""

    def __init__(self, signal: Signal) -> None:
        self._items = signal.items.replace("_", " ")
        self._failed = 0
        self._first = ""

    def envelope(self, level: dict[str, Any], children: str, parent: Message, key: str) -> Message:
        """Add a resource or scope level to `parent`, without its children; a broken one is kept empty."""
        added: Message = getattr(parent, _snake(key)).add()
        bare = {name: value for name, value in level.items() if name not in (children, _snake(children))}
        try:
            json_format.ParseDict(bare, added, ignore_unknown_fields=True)
        except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
            msg = f"{key}: cannot be read ({str(error)[:200]}); send it as OTLP's JSON encoding says"
            raise MalformedRequest(msg) from error
        return added

    def item(self, item: dict[str, Any], parent: Message, key: str) -> None:
        """Add one span, metric or log record to `parent`, or remember that it failed."""
        container = getattr(parent, _snake(key))
        message: Message = container.add()
        try:
            json_format.ParseDict(_with_binary_ids(item), message, ignore_unknown_fields=True)
            message.SerializeToString()  # lone surrogates pass the parser but are no UTF-8
        except (json_format.ParseError, ValueError, TypeError, RecursionError) as error:
            del container[-1]
            self._failed += 1
            self._first = self._first or str(error)[:200]

    def rejects(self) -> list[Reject]:
        """What could not be read, as one entry."""
        if not self._failed:
            return []
        message = (
            f"{self._items}: cannot be read as OTLP JSON (first: {self._first}); send them as protobuf's JSON mapping"
        )
        return [Reject("invalid_json_item", self._failed, message)]


def _with_binary_ids(item: dict[str, Any]) -> dict[str, Any]:
    """The item with all ids in it turned from hex into the base64 that protobuf's JSON wants."""
    changed = dict(item)
    for key in _ID_KEYS:
        if key in changed:
            changed[key] = _base64_id(changed[key])
    if isinstance(changed.get("links"), list):
        changed["links"] = [_with_binary_ids(link) if isinstance(link, dict) else link for link in changed["links"]]
    for kind in ("gauge", "sum", "histogram", "exponentialHistogram", "exponential_histogram"):
        if isinstance(changed.get(kind), dict):
            changed[kind] = _with_exemplar_ids(changed[kind])
    return changed


def _with_exemplar_ids(data: dict[str, Any]) -> dict[str, Any]:
    key = "dataPoints" if "dataPoints" in data else "data_points"
    points = data.get(key)
    if not isinstance(points, list):
        return data
    converted = []
    for point in points:
        exemplars = point.get("exemplars") if isinstance(point, dict) else None
        if isinstance(exemplars, list):
            exemplars = [_with_binary_ids(one) if isinstance(one, dict) else one for one in exemplars]
            converted.append({**point, "exemplars": exemplars})
        else:
            converted.append(point)
    return {**data, key: converted}


def _base64_id(value: object) -> object:
    """A hex id as base64; what is not hex gets a wrong length, for which the engine refuses it."""
    if not isinstance(value, str):
        return value
    try:
        raw = binascii.unhexlify(value)
    except (binascii.Error, ValueError):
        raw = b"not hex: " + value.encode("utf-8", errors="replace")[:64]
    return base64.b64encode(raw).decode("ascii")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
