"""Spans recorded from real libraries mean, once normalised, what OpenTelemetry's own spans of the same scenario mean.

`python tests/conformance/dialects/test_recordings.py` writes `docs/reference/dialects.md` from the same comparison.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otel_llm_collector.contract import Outcome, Signal
from otel_llm_collector.deliver.content import without_content
from otel_llm_collector.engine import load_engine
from otel_llm_collector.receive.otlp_json import to_protobuf

DATA = Path(__file__).parents[2] / "data" / "dialects"
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "dialects.md"
CALLS = ("chat", "generate_content", "text_completion", "embeddings")
STEPS = ("execute_tool", "retrieval", "rerank", "invoke_agent")
_ID, _PARENT = "(span id)", "(parent span id)"
# What the recorded programs set where their library can.
SET = {"session": "session-1", "user": "user-1"}
# library -> what its spans do not carry, or carry otherwise, in which scenario and why
KNOWN: dict[str, dict[str, dict[str, str]]] = yaml.safe_load((Path(__file__).parent / "known.yaml").read_text())

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
        {_ID: span.span_id, _PARENT: span.parent_span_id, **{one.key: plain(one.value) for one in span.attributes}}
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
            value = json.loads(value)
        if concept in {"cache read tokens", "reasoning tokens"} and value == 0:
            value = None  # none, said or unsaid
        if concept.endswith("messages") and value is not None:
            value = [_message(one) for one in value]
        if concept == "input messages" and "gen_ai.system_instructions" in attributes:  # apart or among them
            parts = json.loads(attributes["gen_ai.system_instructions"])
            system = _message({"role": "system", "parts": parts})
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


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what is null, and without the deprecated finish reason."""
    parts = [
        {key: one for key, one in part.items() if one is not None and (key, part["type"]) != ("mime_type", "uri")}
        for part in message["parts"]
    ]
    answered = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return {"role": "tool" if answered else message["role"], "parts": parts}  # Anthropic's user sends what tools said


def groups(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The meanings of a trace's spans by what they are: provider calls that count, and each kind of step."""
    kinds = {span[_ID]: kind_of(span) for span in found}
    parents = {span[_ID]: span[_PARENT] for span in found}
    layers: dict[Any, list[dict[str, Any]]] = {}  # outermost layer -> every layer around the same thing
    for span in found:
        outermost = span[_ID]
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


def reference(scenario: str) -> str:
    """The library whose spans of a scenario are OpenTelemetry's own."""
    own = ("otel_openai", "otel_anthropic", "otel_native")
    return next(library for library in own if (DATA / library / f"{scenario}.json").exists())


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


@pytest.mark.parametrize(("library", "scenario"), RECORDINGS)
def test_a_recorded_span_means_what_opentelemetrys_own_means(library: str, scenario: str) -> None:
    """Operation, provider, models, tokens, messages, tools, documents, session, user and cost are the same."""
    found = groups(spans(processed(library, scenario).payload))
    wanted = groups(spans(processed(reference(scenario), scenario).payload))
    exceptions = known(library, scenario)
    differing: set[str] = set()
    for kind, expected in wanted.items():
        if kind in exceptions:
            assert kind not in found, f"{kind} is carried after all; take it out of known.yaml"
            continue
        assert len(found.get(kind, [])) == len(expected), kind
        for mine, theirs in zip(found[kind], expected, strict=True):
            set_here = {key: value for key, value in SET.items() if key in (about(library).get("sets") or ())}
            for concept, value in {**theirs, **(set_here if kind == "call" else {})}.items():
                if concept not in exceptions:
                    assert mine.get(concept) == value, (kind, concept)
                elif mine.get(concept) != value:
                    differing.add(concept)
    if found.keys() >= wanted.keys():
        stale = said_of_scenario(library, scenario) & CONCEPTS.keys() - differing
        assert not stale, "carried after all; take it out of known.yaml"


@pytest.mark.parametrize(("library", "scenario"), RECORDINGS)
def test_tokens_and_cost_of_a_trace_count_once(library: str, scenario: str) -> None:
    """However many layers a library traces, the measured tokens and cost are those of the provider's answers."""

    def totals(outcome: Outcome) -> dict[str, float]:
        sums: dict[str, float] = {}
        for (name, labels), value in outcome.counters.items():
            if name in {"otel_llm.tokens", "otel_llm.cost.usd"}:
                kind = labels[-1] if name == "otel_llm.tokens" else "cost"
                sums[kind] = sums.get(kind, 0) + value
        return {kind: pytest.approx(value) for kind, value in sums.items() if value}

    exceptions = known(library, scenario)
    if not exceptions.keys() & {"input tokens", "output tokens", "call"}:
        mine, theirs = totals(processed(library, scenario)), totals(processed(reference(scenario), scenario))
        for kind in ("cache_read", "reasoning"):
            if f"{kind.replace('_', ' ')} tokens" in exceptions:
                mine.pop(kind, None)
                theirs.pop(kind, None)
        if "cost" in exceptions:
            mine.pop("cost", None)
            theirs.pop("cost", None)
        assert mine == theirs


@pytest.mark.parametrize(("library", "scenario"), RECORDINGS)
def test_originals_are_kept(library: str, scenario: str) -> None:
    """Each attribute that a span came with is still there, unless it is one whose value was put right."""
    for before, after in zip(
        spans(recording(library, scenario)), spans(processed(library, scenario).payload), strict=True
    ):
        for key, value in before.items():
            assert after.get(key) == value or key.startswith(("gen_ai.", "otel_llm.")), key
            assert key in after


# What OpenTelemetry's own spans of a scenario must say for a comparison with them to mean anything.
_CALL = {"operation", "provider", "request model", "response model", "response id", "input tokens", "output tokens"}
_TALK = _CALL | {"finish reasons", "input messages", "output messages", "cost"}
SAID = {
    "chat": {"call": _TALK},
    "chat_stream": {"call": _TALK},
    "tools": {"call": _TALK | {"tool definitions"}},
    "multimodal": {"call": _TALK},
    "embeddings": {"call": _CALL - {"response id", "output tokens"} | {"cost"}},
    "error": {"call": {"operation", "provider", "request model", "input messages", "error"}},
    "cached_reasoning": {"call": _TALK | {"reasoning tokens"}},
    "agent": {"call": _TALK, "execute_tool": {"tool name", "tool arguments", "tool result"}, "invoke_agent": {"agent"}},
    "retrieval": {"retrieval": {"operation", "query", "documents"}},
    "rerank": {"rerank": {"rerank scores"}},
    "anthropic_chat": {"call": _TALK},
    "anthropic_stream": {"call": _TALK},
    "anthropic_tools": {"call": _TALK | {"tool definitions"}},
    "anthropic_cached": {"call": _TALK},
}


@pytest.mark.parametrize("scenario", sorted({scenario for _, scenario in RECORDINGS}))
def test_what_is_compared_with_says_enough(scenario: str) -> None:
    """The reference of each scenario carries what the scenario is about, so that no comparison is empty."""
    found = groups(spans(processed(reference(scenario), scenario).payload))
    for kind, concepts in SAID[scenario].items():
        for one in found[kind]:
            assert concepts <= one.keys(), kind
    if scenario in {"cached_reasoning", "anthropic_cached"}:
        assert found["call"][1]["cache read tokens"] > 0


@pytest.mark.parametrize("scenario", ["chat", "tools", "cached_reasoning"])
def test_message_events_of_1_36_say_what_the_span_does_not(scenario: str) -> None:
    """Put together by span, the log events of the old instrumentation are the messages of the current one's spans."""
    document = json.loads((DATA / "otel_openai_v2" / f"{scenario}.json").read_text())
    request, _ = to_protobuf(Signal.LOGS, json.dumps(document["logs"]).encode())
    outcome = load_engine({"OTEL_LLM_ENGINE": "pure"}).process(Signal.LOGS, request)
    by_span: dict[bytes, dict[str, list[Any]]] = {}
    levels = ExportLogsServiceRequest.FromString(outcome.payload).resource_logs
    for record in (record for one in levels for scope in one.scope_logs for record in scope.log_records):
        said = by_span.setdefault(record.span_id, {})
        for one in record.attributes:
            if one.key.endswith(".messages"):
                said.setdefault(one.key, []).extend(_message(it) for it in json.loads(one.value.string_value))
    calls = spans(processed("otel_openai_v2", scenario).payload)
    theirs = groups(spans(processed("otel_openai", scenario).payload))["call"]
    assert len(calls) == len(theirs)
    for call, expected in zip(calls, theirs, strict=True):
        said = by_span[call[_ID]]
        assert said["gen_ai.input.messages"] == expected["input messages"]
        assert said["gen_ai.output.messages"] == expected["output messages"]


# What people, models and tools wrote in the scenarios.
WRITTEN = [
    b"Which port does OTLP", b"Over HTTP the default port", b"What does a span describe", b"describes one operation",
    b"nothing in particular", b"What is the weather", b"degrees", b"550000", b"these pictures", b"iVBORw0KGgo",
    b"Lisbon", b"does not say", b"What is a span",
]  # fmt: skip


@pytest.mark.parametrize(("library", "scenario"), RECORDINGS)
def test_content_leaves_under_every_name(library: str, scenario: str) -> None:
    """Where a destination must not have content, none of it is left: not under OpenTelemetry's names, nor others."""
    payload = without_content(Signal.TRACES, processed(library, scenario).payload)
    message = ExportTraceServiceRequest.FromString(payload)
    for span in (span for one in message.resource_spans for scope in one.scope_spans for span in scope.spans):
        for one in span.attributes:
            value = one.value.SerializeToString()
            assert not [word for word in WRITTEN if word in value], one.key
        for event in span.events:
            for one in event.attributes:
                assert not [word for word in WRITTEN if word in one.value.SerializeToString()], (event.name, one.key)


def test_known_exceptions_are_of_recordings() -> None:
    """What `known.yaml` excuses exists."""
    for library, said in KNOWN.items():
        scenarios = {scenario for name, scenario in RECORDINGS if name == library}
        assert said.keys() <= {"always", *scenarios}, library


def carried(library: str, scenario: str) -> dict[str, str]:
    """Concept -> whether the source carries it under OpenTelemetry's name, or it was derived."""
    result: dict[str, str] = {}
    before = spans(recording(library, scenario))
    after = spans(processed(library, scenario).payload)
    for source, target in zip(before, after, strict=True):
        if not kind_of(target):
            continue
        for concept in meaning(target):
            same = source.get(CONCEPTS[concept]) == target.get(CONCEPTS[concept])
            result[concept] = "derived" if not same or result.get(concept) == "derived" else "carried"
    return result


def page() -> str:
    """`docs/reference/dialects.md`."""
    libraries = sorted({library for library, _ in RECORDINGS}, key=lambda one: (about(one)["dialect"], one))
    lines = [
        """# Dialects

Generated from the recordings in `tests/data/dialects/` by `python tests/conformance/dialects/test_recordings.py`.

**carried**: the library writes it under OpenTelemetry's name. **derived**: the collector makes it from the library's
own attributes. **absent**: the library's spans do not say it. An empty cell: no recorded scenario of this library has
it. Cost is always the collector's own.
""",
    ]
    dialects = list(dict.fromkeys(about(library)["dialect"] for library in libraries))
    lines.append("\n| concept | " + " | ".join(dialects) + " |\n" + "|---" * (len(dialects) + 1) + "|\n")
    for concept in CONCEPTS:
        cells = [
            _best({_cell(library, concept) for library in libraries if about(library)["dialect"] == dialect})
            for dialect in dialects
        ]
        if any(cells) and concept != "cost":
            lines.append(f"| {concept} | " + " | ".join(cells) + " |\n")
    for dialect in dialects:
        of_dialect = [library for library in libraries if about(library)["dialect"] == dialect]
        lines.append(f"\n## {dialect}\n\n")
        for library in of_dialect:
            versions = ", ".join(f"{name} {version}" for name, version in about(library)["versions"].items())
            scenarios = ", ".join(f"`{scenario}`" for name, scenario in RECORDINGS if name == library)
            how = "Recorded with" if about(library)["recorded"] else "Built from the documentation of"
            lines.append(f"* `{library}`: {how} {versions}. Scenarios: {scenarios}.\n")
        lines.append("\n| concept | " + " | ".join(f"`{one}`" for one in of_dialect) + " |\n")
        lines.append("|---" * (len(of_dialect) + 1) + "|\n")
        for concept, key in CONCEPTS.items():
            cells = [_cell(library, concept) for library in of_dialect]
            if any(cells) and concept != "cost":
                lines.append(f"| {concept} (`{key}`) | " + " | ".join(cells) + " |\n")
        reasons = {
            f"* `{library}`, {scenario.replace('always', 'every scenario')}: {concept}: {reason}\n"
            for library in of_dialect
            for scenario, said in (KNOWN.get(library) or {}).items()
            for concept, reason in said.items()
        }
        if reasons:
            lines.append("\nWhat is missing or differs, and why:\n\n" + "".join(sorted(reasons)))
    return "".join(lines)


def _best(cells: set[str]) -> str:
    """What a dialect's libraries carry together."""
    return next((word for word in ("derived", "carried", "absent") if any(word in cell for cell in cells)), "")


def _cell(library: str, concept: str) -> str:
    scenarios = [scenario for name, scenario in RECORDINGS if name == library]
    found = {carried(library, scenario).get(concept, "") for scenario in scenarios} - {""}
    if found:
        return ", ".join(sorted(found))
    wanted = any(
        concept in one
        for scenario in scenarios
        for group in groups(spans(processed(reference(scenario), scenario).payload)).values()
        for one in group
    )
    return "absent" if wanted else ""


def test_the_page_says_what_the_recordings_show() -> None:
    """`docs/reference/dialects.md` is up to date."""
    assert PAGE.read_text() == page(), f"run {sys.executable} {__file__}"


if __name__ == "__main__":
    PAGE.write_text(page())
