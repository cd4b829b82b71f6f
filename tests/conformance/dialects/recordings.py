"""The recordings in `tests/data/dialects/`, what the engine makes of them, and what they are compared with."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otel_llm_collector.contract import Outcome, Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.receive.otlp_json import to_protobuf

DATA = Path(__file__).parents[2] / "data" / "dialects"
CALLS = ("chat", "generate_content", "text_completion", "embeddings")
STEPS = ("execute_tool", "retrieval", "rerank", "invoke_agent")
ID, PARENT = "(span id)", "(parent span id)"
# What the recorded programs set where their library can.
SET = {"session": "session-1", "user": "user-1"}
# library -> what its spans do not carry, or carry otherwise, in which scenario and why
KNOWN: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((Path(__file__).parent / "known.yaml").read_text())

# kind of token -> the concept that carries it
TOKENS = {
    "input": "input tokens",
    "output": "output tokens",
    "cache_read": "cache read tokens",
    "reasoning": "reasoning tokens",
}

# concept -> the attribute that carries it
CONCEPTS = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "request model": "gen_ai.request.model",
    "response model": "gen_ai.response.model",
    "response id": "gen_ai.response.id",
    "input tokens": "gen_ai.usage.input_tokens",
    "output tokens": "gen_ai.usage.output_tokens",
    "cache read tokens": "gen_ai.usage.cache_read.input_tokens",
    "reasoning tokens": "gen_ai.usage.reasoning.output_tokens",
    "finish reasons": "gen_ai.response.finish_reasons",
    "input messages": "gen_ai.input.messages",
    "output messages": "gen_ai.output.messages",
    "tool definitions": "gen_ai.tool.definitions",
    "tool name": "gen_ai.tool.name",
    "tool arguments": "gen_ai.tool.call.arguments",
    "tool result": "gen_ai.tool.call.result",
    "agent": "gen_ai.agent.name",
    "query": "gen_ai.retrieval.query.text",
    "documents": "gen_ai.retrieval.documents",
    "rerank scores": "otel_llm.rerank.scores",
    "session": "session.id",
    "user": "user.id",
    "error": "error.type",
    "cost": "otel_llm.cost.total",
}


@cache
def recording(library: str, scenario: str) -> bytes:
    """A recorded scenario as an OTLP request."""
    document = json.loads((DATA / library / f"{scenario}.json").read_text())
    request, rejects = to_protobuf(Signal.TRACES, json.dumps(document["traces"]).encode())
    assert not rejects
    return request


def spans(request: bytes) -> list[dict[str, Any]]:
    """The attributes of a request's spans in order of their start."""
    message = ExportTraceServiceRequest.FromString(request)
    found = [span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans]
    found.sort(key=lambda span: span.start_time_unix_nano)
    return [
        {ID: span.span_id, PARENT: span.parent_span_id, **{one.key: plain(one.value) for one in span.attributes}}
        for span in found
    ]


def plain(value: AnyValue) -> Any:
    """An attribute value as Python has it."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {one.key: plain(one.value) for one in value.kvlist_value.values}
    return None if kind is None else getattr(value, kind)


def meaning(attributes: dict[str, Any]) -> dict[str, Any]:
    """Concept -> value of what the span says; what it does not say is not there."""
    found: dict[str, Any] = {}
    for concept, key in CONCEPTS.items():
        value = attributes.get(key)
        if isinstance(value, str) and value[:1] in {"[", "{"}:
            with suppress(ValueError):  # what a library wrote in a form of its own stays text
                value = json.loads(value)
        if concept in {"cache read tokens", "reasoning tokens"} and value == 0:
            value = None  # none, said or unsaid
        if concept.endswith("messages") and value is not None:
            value = [message_of(one) for one in value]
        if concept == "input messages" and "gen_ai.system_instructions" in attributes:  # apart or among them
            parts = json.loads(attributes["gen_ai.system_instructions"])
            system = message_of({"role": "system", "parts": parts})
            value = [system, *(one for one in value or [] if one != system)]
        if concept == "tool definitions" and value is not None:  # libraries differ in how they spell a schema
            value = [(one["name"], one.get("description")) for one in value]
        if concept == "finish reasons" and value is not None:
            value = [one.removesuffix("s") if one == "tool_calls" else one for one in value]
        if concept == "error" and value is not None:
            value = value.rpartition(".")[2]  # with or without the module's name
        if concept == "documents" and value is not None:
            value = [{key: one.get(key) for key in ("id", "score") if one.get(key) is not None} for one in value]
        if value is not None:
            found[concept] = value
    return found


def message_of(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what is null, and without the deprecated finish reason."""
    parts = [
        {key: one for key, one in part.items() if one is not None and (key, part["type"]) != ("mime_type", "uri")}
        for part in message["parts"]
    ]
    answered = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return {"role": "tool" if answered else message["role"], "parts": parts}  # Anthropic's user sends what tools said


def groups(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The meanings of a trace's spans by what they are: provider calls that count, and each kind of step."""
    kinds = {span[ID]: kind_of(span) for span in found}
    parents = {span[ID]: span[PARENT] for span in found}
    layers: dict[Any, list[dict[str, Any]]] = {}  # outermost layer -> every layer around the same thing
    for span in found:
        outermost = span[ID]
        while kinds.get(parents[outermost]) == kinds[outermost]:
            outermost = parents[outermost]
        if kinds[outermost]:
            layers.setdefault(outermost, []).append(meaning(span))
    result: dict[str, list[dict[str, Any]]] = {}
    for outermost, said in layers.items():  # what they say together; where they differ, the one that says more
        together = {key: value for one in sorted(said, key=len) for key, value in one.items()}
        result.setdefault(kinds[outermost], []).append(together)
    return result


def kind_of(span: dict[str, Any]) -> str:
    """`call`, the name of a step, or nothing that is compared."""
    operation = span.get("gen_ai.operation.name") or span.get("otel_llm.operation.name")
    return "call" if operation in CALLS else operation if operation in STEPS else ""


@cache
def processed(library: str, scenario: str) -> Outcome:
    """A recording as the engine leaves it."""
    return load_engine({"OTEL_LLM_ENGINE": "pure"}).process(Signal.TRACES, recording(library, scenario))


@cache
def about(library: str) -> dict[str, Any]:
    """What the recorder noted of a library."""
    found: dict[str, Any] = json.loads((DATA / library / "about.json").read_text())
    return found


def answers(library: str, scenario: str) -> list[dict[str, Any]] | None:
    """What the model answered while a scenario was recorded; older recordings do not say."""
    found: list[dict[str, Any]] | None = json.loads((DATA / library / f"{scenario}.json").read_text()).get("answers")
    return found


def in_concepts(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer in the concepts that recordings are compared by."""
    told = {
        "request model": answer.get("asked"),
        "response model": answer.get("model"),
        "response id": answer.get("id"),
        **{concept: answer.get("tokens", {}).get(kind) for kind, concept in TOKENS.items()},
    }
    told = {concept: value for concept, value in told.items() if value is not None}
    return {**told, "operation": answer["operation"], "words": answer.get("text", ""), "tools": answer.get("tools", [])}


def reference(scenario: str) -> str | None:
    """The library whose spans of a scenario are OpenTelemetry's own, where frameworks do not ask in their own words."""
    own = ("otel_openai", "otel_anthropic", "otel_native")
    return next((library for library in own if (DATA / library / f"{scenario}.json").exists()), None)


def known(library: str, scenario: str) -> dict[str, str]:
    """The concepts that a library's spans do not carry in a scenario, with the reason."""
    said = KNOWN.get(library) or {}
    return {**said.get("always", {}), **said.get(scenario, {})}


def said_of_scenario(library: str, scenario: str) -> set[str]:
    """The concepts that `known.yaml` excuses in this scenario alone."""
    return set((KNOWN.get(library) or {}).get(scenario, {}))


RECORDINGS = sorted(
    (folder.name, path.stem) for folder in DATA.iterdir() for path in folder.glob("*.json") if path.stem != "about"
)
# Those that can be compared with OpenTelemetry's own spans.
COMPARED = [one for one in RECORDINGS if reference(one[1]) and "asked otherwise" not in known(*one)]
