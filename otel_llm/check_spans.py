"""`otel-llm check-spans FILE`: what of recorded spans and events does not fit the registry.

FILE holds OTLP as JSON (one request, or one a line as collectors' file exporters write), traces or logs, or one trace
request as protobuf; `-` is standard input.
"""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from otel_llm_semconv.span_check import Finding, check_event, check_span

_SPAN_ID_BYTES = 8
_SIGNALS = (("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords"))


class Unreadable(Exception):
    """The file holds neither OTLP JSON nor an OTLP protobuf request."""


def check_file(path: str, *, as_json: bool = False) -> int:
    """Print what is found in the file at `path`; 1 when there is a violation, 2 when it cannot be read."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        found = list(_items(list(_requests(data))))
    except (OSError, Unreadable) as error:
        print(f"check-spans: {path}: {error}", file=sys.stderr)
        return 2
    levels: Counter[str] = Counter()
    for kind, item in found:
        for finding in check_span(item) if kind == "spans" else check_event(item):
            levels[finding.level] += 1
            print(_line(item, finding, as_json=as_json))
    if not as_json:
        counts = ", ".join(f"{levels[level]} {level}" for level in ("violation", "improvement", "information"))
        print(f"{len(found)} spans and events: {counts}")
    return 1 if levels["violation"] else 0


def _requests(data: bytes) -> Iterator[Mapping[str, Any]]:
    text = data.lstrip()
    if not text.startswith(b"{"):
        try:
            yield _from_protobuf(TracesData.FromString(data))
        except DecodeError as error:
            msg = f"is neither OTLP JSON nor an OTLP protobuf request ({error})"
            raise Unreadable(msg) from error
        return
    try:
        whole = json.loads(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield _parsed(line, number)
        return
    yield whole


def _from_protobuf(data: TracesData) -> Mapping[str, Any]:
    """`data` as OTLP's JSON has it, where ids are hexadecimal."""
    for resource in data.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if len(span.span_id) != _SPAN_ID_BYTES or len(span.trace_id) != 2 * _SPAN_ID_BYTES:
                    msg = f"is no trace request (span {span.name!r} has ids of a wrong length)"
                    raise Unreadable(msg)
    request = MessageToDict(data)
    for _, item in _items([request]):
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in item:
                item[key] = base64.b64decode(item[key]).hex()
    return request


def _parsed(line: bytes, number: int) -> Mapping[str, Any]:
    try:
        request = json.loads(line)
    except ValueError as error:
        msg = f"line {number} is no JSON ({error}); write one OTLP request a line"
        raise Unreadable(msg) from error
    if not isinstance(request, dict):
        msg = f"line {number} is {type(request).__name__}; write an OTLP request, a JSON object"
        raise Unreadable(msg)
    return request


def _items(requests: list[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for request in requests:
        for resources, scopes, items in _SIGNALS:
            for resource in _objects(request, resources):
                for scope in _objects(resource, scopes):
                    for item in _objects(scope, items):
                        yield items, item


def _objects(parent: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    children = parent.get(key) or []
    if not isinstance(children, list) or not all(isinstance(child, dict) for child in children):
        msg = f"is no OTLP: {key} is {type(children).__name__}; write a list of objects"
        raise Unreadable(msg)
    return children


def _line(item: Mapping[str, Any], finding: Finding, *, as_json: bool) -> str:
    name = str(item.get("name") or item.get("eventName") or "")
    if as_json:
        return json.dumps({"name": name, "span_id": item.get("spanId", ""), **finding._asdict()})
    return f"{finding.level} [{finding.id}] {name} ({item.get('spanId', '')}): {finding.message}"
