"""Spans recorded from real libraries mean, once normalised, what OpenTelemetry's own spans of the same scenario mean.

`python tests/conformance/dialects/test_recordings.py` writes `docs/reference/dialects.md` from the same comparison.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Outcome, Signal
from otel_llm_collector.deliver.content import without_content
from otel_llm_collector.engine import load_engine
from otel_llm_collector.receive.otlp_json import to_protobuf
from otel_llm_semconv.span_check import Finding, check_span

sys.path.insert(0, str(Path(__file__).parent))
from recordings import (
    COMPARED,
    CONCEPTS,
    DATA,
    ID,
    KNOWN,
    RECORDINGS,
    SET,
    about,
    answers,
    groups,
    in_concepts,
    kind_of,
    known,
    meaning,
    message_of,
    processed,
    recording,
    reference,
    said_of_scenario,
    spans,
)  # fmt: skip

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "dialects.md"


@pytest.mark.parametrize(("library", "scenario"), COMPARED)
def test_a_recorded_span_means_what_opentelemetrys_own_means(library: str, scenario: str) -> None:
    """Operation, provider, models, tokens, messages, tools, documents, session, user and cost are the same."""
    found = groups(spans(processed(library, scenario).payload))
    wanted = groups(spans(processed(reference(scenario) or "", scenario).payload))
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


@pytest.mark.parametrize(("library", "scenario"), COMPARED)
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
        mine, theirs = totals(processed(library, scenario)), totals(processed(reference(scenario) or "", scenario))
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


@pytest.mark.parametrize(("library", "scenario"), RECORDINGS)
def test_what_is_made_of_a_span_fits_the_registry(library: str, scenario: str) -> None:
    """`check-spans` finds nothing wrong that the library's own span did not have, but what the library does not say."""

    def wrong(request: bytes) -> list[set[Finding]]:
        levels = MessageToDict(ExportTraceServiceRequest.FromString(request))["resourceSpans"]
        found = [check_span(span) for one in levels for scope in one["scopeSpans"] for span in scope["spans"]]
        return [{finding for finding in one if finding.level == "violation"} for one in found]

    unsaid = {CONCEPTS[concept] for concept in known(library, scenario).keys() & CONCEPTS.keys()}
    for before, after in zip(
        wrong(recording(library, scenario)), wrong(processed(library, scenario).payload), strict=True
    ):
        assert not [one for one in after - before if one.message.partition(":")[0] not in unsaid]


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
    "responses": {"call": _TALK},
    "responses_stream": {"call": _TALK - {"finish reasons"}},
    "responses_tools": {"call": _TALK | {"tool definitions"}},
    "anthropic_chat": {"call": _TALK},
    "anthropic_stream": {"call": _TALK},
    "anthropic_tools": {"call": _TALK | {"tool definitions"}},
    "anthropic_cached": {"call": _TALK},
}


@pytest.mark.parametrize("scenario", sorted({scenario for _, scenario in COMPARED}))
def test_what_is_compared_with_says_enough(scenario: str) -> None:
    """The reference of each scenario carries what the scenario is about, so that no comparison is empty."""
    found = groups(spans(processed(reference(scenario) or "", scenario).payload))
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
                said.setdefault(one.key, []).extend(message_of(it) for it in json.loads(one.value.string_value))
    calls = spans(processed("otel_openai_v2", scenario).payload)
    theirs = groups(spans(processed("otel_openai", scenario).payload))["call"]
    assert len(calls) == len(theirs)
    for call, expected in zip(calls, theirs, strict=True):
        said = by_span[call[ID]]
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
        if reference(scenario)
        for group in groups(spans(processed(reference(scenario) or "", scenario).payload)).values()
        for one in group
    )
    told = {key for scenario in scenarios for answer in answers(library, scenario) or [] for key in in_concepts(answer)}
    return "absent" if wanted or concept in told else ""


def test_the_page_says_what_the_recordings_show() -> None:
    """`docs/reference/dialects.md` is up to date."""
    assert PAGE.read_text() == page(), f"run {sys.executable} {__file__}"


if __name__ == "__main__":
    PAGE.write_text(page())
