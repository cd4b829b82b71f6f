"""Jaeger v2: OTLP in over gRPC and HTTP, its query API v3 out."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import grpc.aio
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.any_value import text
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.otlp import SHAPES
from otel_llm_collector.deliver.otlp_json import to_json
from otel_llm_collector.fakes.server import FakeServer, Refused, Request
from otel_llm_collector.receive.otlp_json import to_protobuf

_TRACE_ID_BYTES, _SPAN_ID_BYTES = 16, 8
_MAX_BODY_BYTES = 20 * 1024 * 1024  # of Jaeger's receiver; gRPC's own limit is 4 MiB
_KINDS = ("", "internal", "server", "client", "producer", "consumer")
_TRUE, _FALSE = {"1", "t", "T", "true", "TRUE", "True"}, {"0", "f", "F", "false", "FALSE", "False"}
_DURATION = re.compile(r"-?(?:\d+\.?\d*(?:ns|us|µs|ms|s|m|h))+|0")
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

Stored = tuple[Any, Any, Any]  # resource, scope, span


class FakeJaeger:
    """A Jaeger that keeps traces in memory; `grpc`, `http` and `query` are its addresses while the block runs.

    After jaegertracing/jaeger of 2026: the routes, parameters, required times and refusals of `apiv3/http_gateway.go`
    (9974249) and `apiv3/query_parser.go` (09d5bfb, names in camel case, the older ones still taken), services without a
    name as its sanitizer calls them, repeated spans shown once; and after the OTLP receiver that it is built with: only
    traces, protobuf and JSON, ids of 16 and 8 bytes. The older API, `/api/traces` and so on, is not there, as in its
    newest versions.
    """

    def __init__(self) -> None:
        self.spans: list[Stored] = []
        self._intake = _Intake(self._store)
        self._query = _Query(self.spans)
        self._server: Any = None
        self.grpc = self.http = self.query = ""

    async def __aenter__(self) -> Self:
        await self._intake.__aenter__()
        await self._query.__aenter__()
        self.http, self.query = self._intake.address, self._query.address
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(self._export())
        service = SHAPES[Signal.TRACES].service
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        self.grpc = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(grace=None)
        await self._query.__aexit__()
        await self._intake.__aexit__()

    def _export(self) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def export(body: bytes, context: Any) -> bytes:
            try:
                self._store(body)
            except Refused as refused:
                await context.abort(grpc.StatusCode.INTERNAL, f"grpc: error unmarshalling request: {refused}")
            return b""

        return export

    def _store(self, body: bytes) -> None:
        try:
            request = ExportTraceServiceRequest.FromString(body)
        except DecodeError as error:
            raise Refused(400, str(error)) from error
        found = [
            (level.resource, scope.scope, span)
            for level in request.resource_spans
            for scope in level.scope_spans
            for span in scope.spans
        ]
        for _, _, span in found:
            lengths = (len(span.trace_id), len(span.span_id), len(span.parent_span_id))
            if lengths[0] not in (0, _TRACE_ID_BYTES) or not {*lengths[1:]} <= {0, _SPAN_ID_BYTES}:
                raise Refused(400, "invalid length for an id")
        self.spans += found


class _Intake(FakeServer):
    """OTLP over HTTP."""

    encodings = frozenset({"gzip", "zstd", "deflate"})

    def __init__(self, store: Callable[[bytes], None]) -> None:
        super().__init__()
        self._store = store

    def answer(self, request: Request) -> tuple[int, Any]:
        """See `FakeJaeger`."""
        if request.path != "/v1/traces":
            raise Refused(404, "404 page not found")
        if request.method != "POST":
            raise Refused(405, "405 method not allowed, supported: [POST]")
        kind = request.headers.get("content-type", "").split(";")[0]
        if kind not in ("application/x-protobuf", "application/json"):
            raise Refused(415, "415 unsupported media type, supported: [application/json, application/x-protobuf]")
        if len(request.body) > _MAX_BODY_BYTES:
            raise Refused(400, "http: request body too large")
        if kind == "application/x-protobuf":
            self._store(request.body)
            return 200, None
        try:
            body = to_protobuf(Signal.TRACES, request.body)[0]
        except Exception as error:
            raise Refused(400, str(error)) from error
        self._store(body)
        return 200, {"partialSuccess": {}}


class _Query(FakeServer):
    """The query API."""

    def __init__(self, spans: list[Stored]) -> None:
        super().__init__()
        self._spans = spans

    def answer(self, request: Request) -> tuple[int, Any]:
        """See `FakeJaeger`."""
        try:
            return 200, self._found(request)
        except Refused as refused:
            return refused.status, {"error": {"httpCode": refused.status, "message": str(refused)}}

    def _found(self, request: Request) -> Any:
        if request.method != "GET":
            raise Refused(405, "Method Not Allowed")
        path = urlsplit(request.path).path
        given = parse_qs(urlsplit(request.path).query)
        query = _Parameters({name: values[0] for name, values in given.items()})
        if path == "/api/v3/services":
            services = sorted({_service(resource) for resource, _, _ in self._spans})
            return {"services": services} if services else {}
        if path == "/api/v3/operations":
            return self._operations(query.get("service"), query.get("spanKind", "span_kind"))
        if path == "/api/v3/traces":
            return self._traces(self._chosen(query), raw=query.boolean("query.rawTraces", "query.raw_traces"))
        if path.startswith("/api/v3/traces/"):
            word = unquote(path.removeprefix("/api/v3/traces/"))
            if not re.fullmatch(r"[0-9a-fA-F]{1,32}", word):
                raise Refused(400, f"malformed parameter trace_id: {word}")
            for names in (("startTime", "start_time"), ("endTime", "end_time")):
                query.time(*names)
            wanted = {bytes.fromhex(word.zfill(32))}
            return self._traces(wanted, raw=query.boolean("rawTraces", "raw_traces"))
        raise Refused(404, "404 page not found")

    def _operations(self, service: str, kind: str) -> Any:
        found = {
            (span.name, _KINDS[span.kind] or "internal")
            for resource, _, span in self._spans
            if _service(resource) == service and kind in ("", _KINDS[span.kind])
        }
        return {"operations": [{"name": name, "spanKind": kind} for name, kind in sorted(found)]} if found else {}

    def _chosen(self, query: _Parameters) -> set[bytes]:
        """The ids of the traces that a query means: one of their spans is all that it asks for."""
        first = query.time("query.startTimeMin", "query.start_time_min")
        last = query.time("query.startTimeMax", "query.start_time_max")
        if first is None or last is None:
            raise Refused(400, "query.startTimeMin and query.startTimeMax are required")
        depth = query.get("query.searchDepth", "query.search_depth", "query.num_traces")
        if depth and not (depth.isdecimal() and depth.isascii()):
            raise Refused(400, f'malformed parameter query.searchDepth: parsing "{depth}": invalid syntax')
        shortest = query.duration("query.durationMin", "query.duration_min")
        longest = query.duration("query.durationMax", "query.duration_max")
        attributes = query.attributes()
        service = query.get("query.serviceName", "query.service_name")
        operation = query.get("query.operationName", "query.operation_name")
        found: dict[bytes, int] = {}
        for resource, scope, span in self._spans:
            lasted = span.end_time_unix_nano - span.start_time_unix_nano
            known = [*resource.attributes, *scope.attributes, *span.attributes]
            if (
                first <= span.start_time_unix_nano <= last
                and service in ("", _service(resource))
                and operation in ("", span.name)
                and (shortest is None or lasted >= shortest)
                and (longest is None or lasted <= longest)
                and attributes.items() <= {(one.key, text(one.value)) for one in known}
            ):
                found[span.trace_id] = max(span.start_time_unix_nano, found.get(span.trace_id, 0))
        newest = sorted(found, key=lambda trace: -found[trace])
        return set(newest[: int(depth) or None] if depth else newest)

    def _traces(self, wanted: set[bytes], *, raw: bool) -> Any:
        request = ExportTraceServiceRequest()
        seen: set[bytes] = set()
        for resource, scope, span in self._spans:
            whole = span.SerializeToString(deterministic=True) + resource.SerializeToString(deterministic=True)
            if span.trace_id in wanted and (raw or whole not in seen):
                seen.add(whole)
                level = request.resource_spans.add(resource=resource)
                level.scope_spans.add(scope=scope, spans=[span])
        if not seen:
            raise Refused(404, "No traces found")
        return {"result": json.loads(to_json(request))}


class _Parameters:
    """The parameters of a query; each has a name in camel case and older ones."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def get(self, *names: str) -> str:
        """The first of these that says something."""
        return next((self._given[name] for name in names if self._given.get(name)), "")

    def time(self, *names: str) -> int | None:
        """A time in nanoseconds since the epoch, given as RFC 3339."""
        given = self.get(*names)
        if not given:
            return None
        if not _TIME.fullmatch(given):
            raise Refused(400, f'malformed parameter {names[0]}: parsing time "{given}"')
        whole, _, fraction = given.rstrip("Z").partition(".")
        digits, zone = re.fullmatch(r"(\d*)(.*)", fraction).groups() if fraction else ("", "")  # type: ignore[union-attr]
        try:
            seconds = datetime.fromisoformat((whole + zone) + ("+00:00" if given.endswith("Z") else "")).timestamp()
        except ValueError as error:
            raise Refused(400, f'malformed parameter {names[0]}: parsing time "{given}"') from error
        return int(seconds) * 10**9 + int(digits[:9].ljust(9, "0") or 0)

    def boolean(self, *names: str) -> bool:
        """A boolean as Go reads it."""
        given = self.get(*names)
        if given and given not in _TRUE | _FALSE:
            raise Refused(400, f'malformed parameter {names[0]}: parsing "{given}": invalid syntax')
        return given in _TRUE

    def duration(self, *names: str) -> int | None:
        """A duration in nanoseconds, written as Go does: 1.5s, 2m30s."""
        given = self.get(*names)
        if given and not _DURATION.fullmatch(given):
            raise Refused(400, f'malformed parameter {names[0]}: time: invalid duration "{given}"')
        parts: Iterator[tuple[str, str]] = (one.groups() for one in re.finditer(r"([\d.]+)([a-zµ]+)", given))  # type: ignore[misc]
        return int(sum(float(number) * _UNITS[unit] for number, unit in parts)) if given else None

    def attributes(self) -> dict[str, str]:
        """Attributes that a span has to have, a JSON object of texts."""
        given = self.get("query.attributes")
        try:
            found = json.loads(given or "{}")
        except ValueError as error:
            raise Refused(400, f"malformed parameter query.attributes: {error}") from error
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise Refused(400, "malformed parameter query.attributes: json: cannot unmarshal into a map of strings")
        return found


def _service(resource: Any) -> str:
    found = next((one.value for one in resource.attributes if one.key == "service.name"), None)
    if found is None:
        return "missing-service-name"
    if found.WhichOneof("value") != "string_value":
        return "service-name-wrong-type"
    return str(found.string_value) or "empty-service-name"
