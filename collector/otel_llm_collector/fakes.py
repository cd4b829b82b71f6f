"""Strict stand-ins for backends that no test can install; each says what it imitates and where that is known.

    async with FakeOpik(api_key="k") as opik:
        ...                                     # send to f"http://{opik.address}/api"
        assert opik.traces[...].project == "rag"

They refuse what the original refuses: paths, methods, content types, ids and values that it does not take. Not for
production: nothing here bounds memory.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import gzip
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.any_value import plain
from otel_llm_collector.deliver.opik import opik_id
from otel_llm_collector.testing import read_request, write_response


class Refused(Exception):
    """The answer to a request that the original would refuse."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Request:
    """One request as it came, its body decompressed."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def document(self) -> Any:
        """The body as JSON."""
        if self.headers.get("content-type", "").split(";")[0] != "application/json":
            raise Refused(415, "send application/json")
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Refused(400, f"not JSON: {error}") from error


class FakeServer:
    """An HTTP server on 127.0.0.1 that answers by `answer`."""

    address: str = ""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    def answer(self, request: Request) -> tuple[int, Any]:
        """Status and JSON document (None: no body) for a request, or `Refused`."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - entered before
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until `condition` holds; `TimeoutError` when it does not within `seconds`."""
        async with asyncio.timeout(seconds):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.01)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                request = Request(*await read_request(reader))
                try:
                    request.body = _decompressed(request)
                    self.requests.append(request)
                    status, document = self.answer(request)
                except Refused as refused:
                    status, document = refused.status, {"code": refused.status, "message": str(refused)}
                body = b"" if document is None else json.dumps(document).encode()
                await write_response(writer, status, {"content-type": "application/json"} if body else {}, body)
        except (ConnectionError, asyncio.IncompleteReadError):
            self._connections.discard(writer)
            writer.close()


def _decompressed(request: Request) -> bytes:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding == "gzip":
        return gzip.decompress(request.body)
    if encoding != "identity":
        raise Refused(415, f"content encoding {encoding}")
    return request.body


@dataclass(slots=True)
class OpikSpan:
    """A span as Opik shows it."""

    id: str
    trace_id: str
    parent_id: str | None
    name: str
    type: str = "general"
    model: str | None = None
    provider: str | None = None
    cost: float | None = None
    usage: dict[str, int] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class OpikTrace:
    """A trace as Opik shows it: its root span's data."""

    id: str
    workspace: str
    project: str
    root: OpikSpan
    thread_id: str | None
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)


# Attribute or prefix (`a.*`) to what becomes of it, in the order in which Opik looks; what none names is input.
_OPIK_RULES = {
    "opik.tags": "tags",
    "opik.metadata*": "metadata",
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "model",
    "llm.model_name": "model",
    "gen_ai.system": "provider",
    "gen_ai.provider.name": "provider",
    "gen_ai.usage.cost": "cost",
    "llm.cost.total": "cost",
    "gen_ai.usage.*": "usage",
    "gen_ai.conversation.id": "thread",
    "session.id": "thread",
    "thread_id": "thread",
    "gen_ai.tool.call.arguments": "input",
    "gen_ai.tool.call.result": "output",
    "gen_ai.response.id": "metadata",
    "gen_ai.response.finish_reasons": "metadata",
    "gen_ai.request.temperature": "metadata",
    "gen_ai.response*": "output",
    "gen_ai.output.*": "output",
    "gen_ai.completion": "output",
    "gen_ai.tool.*": "metadata",
    "gen_ai.agent.*": "metadata",
    "gen_ai.operation.name": "metadata",
    "server.address": "metadata",
    "output*": "output",
}
_OPIK_USAGE = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
_MAX_OPIK_SCORES = 1000


class FakeOpik(FakeServer):
    """Opik's OTLP intake and feedback API.

    OTLP side after comet-ml/opik, mid-2026 (OpenTelemetryResource, OpenTelemetryMapper, its mapping rules and their
    test); REST side after what the `opik` client 2.2.122 sends. Traces are made from the roots of a request; ids are
    computed from the earliest start in the first request that brings a trace.
    """

    def __init__(self, api_key: str = "") -> None:
        super().__init__()
        self._api_key = api_key
        self._starts: dict[bytes, int] = {}
        self.traces: dict[str, OpikTrace] = {}
        self.spans: dict[str, OpikSpan] = {}
        self.thread_scores: dict[str, list[dict[str, Any]]] = {}

    def answer(self, request: Request) -> tuple[int, Any]:
        """See the class."""
        if self._api_key and request.headers.get("authorization") != self._api_key:
            raise Refused(401, "API key not found; it is sent as it is, without Bearer")
        path = request.path.removeprefix("/api/v1/private/")
        if request.method == "POST" and path == "otel/v1/traces":
            self._take(request)
            return 200, None
        if request.method == "POST" and path == "otel/v1/metrics":
            raise Refused(501, "OpenTelemetry metrics are not implemented")
        if request.method == "PUT" and path in ("traces/feedback-scores", "spans/feedback-scores"):
            self._score(request.document(), self.traces if path.startswith("traces") else self.spans)
            return 204, None
        if request.method == "PUT" and path == "traces/threads/feedback-scores":
            for score in _checked_scores(request.document(), "thread_id"):
                self.thread_scores.setdefault(score["thread_id"], []).append(score)
            return 204, None
        raise Refused(404, f"no {request.method} {request.path}")

    def _take(self, request: Request) -> None:
        if request.headers.get("content-type") != "application/x-protobuf":
            raise Refused(415, "send application/x-protobuf")
        try:
            message = ExportTraceServiceRequest.FromString(request.body)
        except DecodeError as error:
            raise Refused(400, "not an OTLP request") from error
        spans = [span for level in message.resource_spans for scope in level.scope_spans for span in scope.spans]
        first: dict[bytes, int] = {}
        for span in spans:
            start = span.start_time_unix_nano // 1_000_000
            first[span.trace_id] = min(start, first.get(span.trace_id, start))
        known = {**first, **self._starts}
        made = [self._span(span, known[span.trace_id]) for span in spans]  # all or nothing
        self._starts = known
        for span, one in made:
            self.spans[one.id] = one
            if not span.parent_span_id:
                workspace = request.headers.get("comet-workspace", "default")
                project = request.headers.get("projectname", "Default Project")
                thread = one.metadata.get("thread_id")
                self.traces[one.trace_id] = OpikTrace(one.trace_id, workspace, project, one, thread)

    def _span(self, span: Any, start_ms: int) -> tuple[Any, OpikSpan]:
        parent = str(opik_id(span.parent_span_id, start_ms)) if span.parent_span_id else None
        one = OpikSpan(str(opik_id(span.span_id, start_ms)), str(opik_id(span.trace_id, start_ms)), parent, span.name)
        for attribute in span.attributes:
            _map(one, attribute.key, attribute.value)
        return span, one

    def _score(self, document: Any, targets: dict[str, Any]) -> None:
        for score in _checked_scores(document, "id"):
            if uuid.UUID(score["id"]).version != 7:  # noqa: PLR2004 - as the message says
                raise Refused(400, f"id {score['id']} must be a version 7 UUID")
            if score["id"] not in targets:
                raise Refused(404, f"{score['id']} is not here")  # stricter: Opik keeps it, and shows it nowhere
            targets[score["id"]].scores[score["name"]] = score


def _checked_scores(document: Any, id_name: str) -> Iterator[dict[str, Any]]:
    scores = document.get("scores") if isinstance(document, dict) else None
    if not isinstance(scores, list) or not 1 <= len(scores) <= _MAX_OPIK_SCORES:
        raise Refused(422, "scores size must be between 1 and 1000")
    known = {"id", "thread_id", "project_name", "name", "value", "category_name", "reason", "source"}
    for score in scores:
        if not set(score) <= known or not score.get(id_name) or not score.get("name"):
            raise Refused(422, f"not a score: {score}")
        if isinstance(score.get("value"), bool) or not isinstance(score.get("value"), (int, float)):
            raise Refused(422, "value must not be null")
        if score.get("source") not in ("ui", "sdk", "online_scoring"):
            raise Refused(422, "source must be one of ui, sdk, online_scoring")
        yield score


def _map(span: OpikSpan, key: str, value: Any) -> None:
    fits = (
        what for rule, what in _OPIK_RULES.items() if key == rule or (rule[-1] == "*" and key.startswith(rule[:-1]))
    )
    what = next(fits, "input")
    given = plain(value, bytes.hex)
    if what == "usage":
        name = key.removeprefix("gen_ai.usage.")
        if isinstance(given, str) and not given.isdecimal():
            raise Refused(400, f"Failed to parse JSON string for usage field {key}")
        if isinstance(given, (int, str)):
            span.usage[_OPIK_USAGE.get(name, name)] = int(given)
    elif what in ("model", "provider", "cost"):
        setattr(span, what, given)
        span.type = "llm"
    elif what == "tags":
        span.tags += [one for one in given if isinstance(one, str)] if isinstance(given, list) else given.split(",")
    elif what == "thread":
        span.metadata.setdefault("thread_id", given)
    else:
        if isinstance(given, list):
            given = [one if isinstance(one, str) else "" for one in given]  # what Opik makes of other members
        elif isinstance(given, str) and given[:1] in ("{", "[", '"'):
            given = _parsed(given)
        getattr(span, what)[key] = given
    if key == "gen_ai.tool.call.arguments":
        span.type = "tool"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class KafkaCluster:
    """librdkafka's own cluster for tests: real Kafka wire protocol on loopback, in this process.

    `fail` makes brokers answer the next requests of a kind with an error code of Kafka; `down` stops a broker.
    """

    PRODUCE, OFFSET_COMMIT = 0, 8  # kinds of requests, as Kafka's protocol numbers them

    def __init__(self, brokers: int = 1) -> None:
        import confluent_kafka  # noqa: PLC0415 - an extra

        libraries = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
        library = ctypes.CDLL(str(next(libraries.glob("librdkafka-*"))))
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(library, name).restype = ctypes.c_void_p
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
        self._client = ctypes.c_void_p(library.rd_kafka_new(0, configuration, None, 0))
        self._cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(self._client, brokers))
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self._library = library
        self.brokers = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(",")

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic."""
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def down(self, broker: int = 1) -> None:
        """Stop a broker: its connections break."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self, broker: int = 1) -> None:
        """Start it again; its data is still there."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def fail(self, kind: int, *codes: int) -> None:
        """Answer the next requests of this kind with these errors, one each."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(kind), ctypes.c_size_t(len(codes)), errors
        )

    def close(self) -> None:
        """End it."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


class FakeLangfuse(FakeServer):
    """Langfuse's OTLP intake and scores.

    After langfuse/langfuse 6275144 (4.16.0) and its documentation: Basic authentication, a whole request refused for
    one bad id, scores that replace those of their id.
    """

    def __init__(self, public_key: str, secret_key: str) -> None:
        super().__init__()
        self._expected = "Basic " + base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()
        self.spans: list[Any] = []
        self.scores: dict[str, dict[str, Any]] = {}

    def answer(self, request: Request) -> tuple[int, Any]:
        """See the class."""
        if request.headers.get("authorization") != self._expected:
            raise Refused(401, "Invalid credentials. Confirm that you've configured the correct host.")
        if request.method != "POST":
            raise Refused(405, "Method not allowed")
        if request.path == "/api/public/otel/v1/traces":
            spans = otlp_spans(request)
            if any(len(span.trace_id) != 16 or len(span.span_id) != 8 for span in spans):  # noqa: PLR2004 - OTLP's
                raise Refused(400, "Invalid trace or span id")
            self.spans += spans
            return 200, {}
        if request.path == "/api/public/scores":
            score = request.document()
            known = {"id", "name", "value", "dataType", "comment", "traceId", "observationId", "sessionId"}
            targets = {"traceId", "sessionId"} & set(score)
            if not set(score) <= known or not score.get("name") or len(targets) != 1:
                raise Refused(400, f"Invalid request data: {score}")
            numeric = isinstance(score.get("value"), (int, float))
            if numeric != (score.get("dataType") == "NUMERIC"):
                raise Refused(400, "value does not fit dataType")
            self.scores[score["id"]] = score
            return 200, {"id": score["id"]}
        raise Refused(404, f"no {request.path}")


class FakeWeave(FakeServer):
    """W&B Weave's OTLP intake, after W&B's documentation: protobuf only, key and project required."""

    def __init__(self, api_key: str) -> None:
        super().__init__()
        self._api_key = api_key
        self.spans: dict[tuple[str, str], list[Any]] = {}  # by entity and project

    def answer(self, request: Request) -> tuple[int, Any]:
        """See the class."""
        if (request.method, request.path) not in {("POST", "/agents/otel/v1/traces"), ("POST", "/otel/v1/traces")}:
            raise Refused(404, f"no {request.method} {request.path}")
        if request.headers.get("wandb-api-key") != self._api_key:
            raise Refused(401, "Unauthorized")
        otlp_spans(request)
        for level in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            values = {one.key: one.value.string_value for one in level.resource.attributes}
            if not values.get("wandb.entity") or not values.get("wandb.project"):
                raise Refused(400, "wandb.entity and wandb.project are required")
            found = self.spans.setdefault((values["wandb.entity"], values["wandb.project"]), [])
            found += [span for scope in level.scope_spans for span in scope.spans]
        return 200, None


def otlp_spans(request: Request) -> list[Any]:
    """The spans of an OTLP request in protobuf."""
    if request.headers.get("content-type") != "application/x-protobuf":
        raise Refused(415, "send application/x-protobuf")
    try:
        message = ExportTraceServiceRequest.FromString(request.body)
    except DecodeError as error:
        raise Refused(400, "not an OTLP request") from error
    return [span for level in message.resource_spans for scope in level.scope_spans for span in scope.spans]
