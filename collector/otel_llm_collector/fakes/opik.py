"""Opik."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.any_value import plain
from otel_llm_collector.deliver.opik import opik_id
from otel_llm_collector.fakes.server import FakeServer, Refused, Request


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
    test); REST side after what the `opik` client 2.2.122 sends, whose traces, spans and scores it takes as well. Traces
    that come over OTLP are made from the roots of a request; ids are computed from the earliest start in the first
    request that brings a trace.
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
        if request.method == "GET" and request.path == "/api/is-alive/ping":
            return 200, {"message": "Healthy Server", "healthy": True}
        if self._api_key and request.headers.get("authorization") != self._api_key:
            raise Refused(401, "API key not found; it is sent as it is, without Bearer")
        return self._taken(request, request.path.removeprefix("/api/v1/private/"))

    def _taken(self, request: Request, path: str) -> tuple[int, Any]:
        kind = path.partition("/")[0]
        match request.method, path:
            case "POST", "otel/v1/traces":
                self._take(request)
                return 200, None
            case "POST", "otel/v1/metrics":
                raise Refused(501, "OpenTelemetry metrics are not implemented")
            case "PUT", "traces/threads/feedback-scores":
                for score in _checked_scores(request.document(), "thread_id"):
                    self.thread_scores.setdefault(score["thread_id"], []).append(score)
            case "PUT", "traces/feedback-scores" | "spans/feedback-scores":
                self._score(request.document(), self.traces if kind == "traces" else self.spans)
            case "POST", "traces/batch" | "spans/batch":
                for one in _checked_batch(request.document(), kind):
                    self._keep(one["id"], one, request, is_span=kind == "spans")
            case "PATCH", _ if kind in ("traces", "spans"):
                one_id = _uuid7(path.partition("/")[2])
                self._keep(one_id, request.document(), request, is_span=kind == "spans")
            case _:
                raise Refused(404, f"no {request.method} {request.path}")
        return 204, None

    def _keep(self, one_id: str, said: dict[str, Any], request: Request, *, is_span: bool) -> None:
        """A trace or span of the client: made, or changed by what is said now; either may come first."""
        known = self.spans.get(one_id) if is_span else None
        if not is_span and one_id in self.traces:
            known = self.traces[one_id].root
        trace_id = _uuid7(said["trace_id"]) if is_span else one_id
        span = known or OpikSpan(one_id, trace_id, said.get("parent_span_id"), said.get("name", ""))
        names = {"total_estimated_cost": "cost"}
        for field_name in (
            "name",
            "type",
            "model",
            "provider",
            "total_estimated_cost",
            "usage",
            "input",
            "output",
            "tags",
        ):
            if said.get(field_name) is not None:
                setattr(span, names.get(field_name, field_name), said[field_name])
        if is_span:
            self.spans[one_id] = span
            return
        workspace = request.headers.get("comet-workspace", "default")
        trace = self.traces.setdefault(one_id, OpikTrace(one_id, workspace, said.get("project_name", ""), span, None))
        trace.thread_id = said.get("thread_id") or trace.thread_id

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
            _uuid7(score["id"])
            if score["id"] not in targets:
                raise Refused(404, f"{score['id']} is not here")  # stricter: Opik keeps it, and shows it nowhere
            targets[score["id"]].scores[score["name"]] = score


def _uuid7(word: Any) -> str:
    try:
        found = uuid.UUID(word)
    except (ValueError, TypeError, AttributeError) as error:
        raise Refused(400, f"id {word} must be a UUID") from error
    if found.version != 7:  # noqa: PLR2004 - as the message says
        raise Refused(400, f"id {word} must be a version 7 UUID")
    return str(found)


def _checked_batch(document: Any, kind: str) -> Iterator[dict[str, Any]]:
    """The members of the client's batch, each with what the original requires."""
    members = document.get(kind) if isinstance(document, dict) else None
    if not isinstance(members, list) or not 1 <= len(members) <= _MAX_OPIK_SCORES:
        raise Refused(422, f"{kind} size must be between 1 and 1000")
    for one in members:
        _uuid7(one.get("id"))
        if not isinstance(one.get("start_time"), str):
            raise Refused(422, "start_time must not be null")
        if kind == "spans":
            _uuid7(one.get("trace_id"))
            if one.get("type") not in ("general", "tool", "llm", "guardrail"):
                raise Refused(422, "type must be one of general, tool, llm, guardrail")
            if not all(isinstance(count, int) for count in (one.get("usage") or {}).values()):
                raise Refused(400, "usage must hold integers")
        yield one


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
