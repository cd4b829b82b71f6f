"""What the recorded model answered is what the normalised spans say, whatever the framework asked in its own words."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from otel_llm_collector.contract import Outcome

sys.path.insert(0, str(Path(__file__).parent))
from recordings import RECORDINGS, SET, TOKENS, about, answers, groups, in_concepts, known, processed, spans

ANSWERED = [one for one in RECORDINGS if answers(*one)]
# What the tools of the scenarios are given and say.
CITY, RESULTS = "Lisbon", {"get_weather": "sunny, 24 degrees", "get_population": "550000"}


@pytest.mark.parametrize(("library", "scenario"), ANSWERED)
def test_a_call_says_what_was_answered(library: str, scenario: str) -> None:
    """Each call that happened is one call among the spans, with the answer's models, id, tokens and words."""
    found = groups(spans(processed(library, scenario).payload)).get("call", [])
    expected = [in_concepts(one) for one in answers(library, scenario) or [] if one["operation"] != "rerank"]
    exceptions = known(library, scenario)
    if "call" in exceptions:
        assert len(found) != len(expected), "the calls are all there; take it out of known.yaml"
        return
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        embedding = theirs.pop("operation") == "embeddings"
        assert mine["operation"] in ({"embeddings"} if embedding else {"chat", "generate_content"})
        words, tools = theirs.pop("words"), theirs.pop("tools")
        theirs |= {key: value for key, value in SET.items() if key in (about(library).get("sets") or ())}
        for concept in theirs.keys() - exceptions.keys():
            assert mine.get(concept) == theirs[concept], concept
        if "finish reasons" not in exceptions and not embedding:
            assert set(mine["finish reasons"]) <= {"stop", "tool_call"}
        if not {"output messages", "input messages"} & exceptions.keys() and not embedding:
            assert mine["input messages"]
            parts = [part for message in mine["output messages"] for part in message["parts"]]
            assert "".join(part["content"] for part in parts if part["type"] == "text") == words
            assert [part["name"] for part in parts if part["type"] == "tool_call"] == tools
            assert all(part["arguments"] for part in parts if part["type"] == "tool_call")


@pytest.mark.parametrize(("library", "scenario"), ANSWERED)
def test_tokens_are_counted_as_the_model_counts_them(library: str, scenario: str) -> None:
    """Over a whole trace the measured tokens of each kind are those of the answers, however many layers say so."""
    exceptions = known(library, scenario)
    counted = tokens_of(processed(library, scenario))
    for kind, concept in TOKENS.items():
        if concept not in exceptions:
            billed = sum(one.get("tokens", {}).get(kind, 0) for one in answers(library, scenario) or [])
            assert counted.get(kind, 0) == billed, kind


def tokens_of(outcome: Outcome) -> dict[str, float]:
    """Measured tokens by kind."""
    sums: dict[str, float] = {}
    for (name, labels), value in outcome.counters.items():
        if name == "otel_llm.tokens":
            sums[labels[-1]] = sums.get(labels[-1], 0) + value
    return sums


AGENTS = [one for one in ANSWERED if one[1].endswith("agent")]


@pytest.mark.parametrize(("library", "scenario"), AGENTS)
def test_an_agent_runs_the_tools_that_the_model_asked_for(library: str, scenario: str) -> None:
    """Each tool call has a span with the tool's name, arguments and result, inside an agent or a workflow."""
    found = groups(spans(processed(library, scenario).payload))
    exceptions = known(library, scenario)
    asked = [name for one in answers(library, scenario) or [] for name in one["tools"] if name in RESULTS]
    assert asked
    if "execute_tool" not in exceptions:
        tools = [one for one in found.get("execute_tool", []) if one["tool name"] in RESULTS]
        assert [one["tool name"] for one in tools] == asked
        for one in tools:
            if "tool arguments" not in exceptions:
                assert one["tool arguments"] == {"city": CITY}
            if "tool result" not in exceptions:
                assert RESULTS[one["tool name"]] in json.dumps(one["tool result"])
    if "invoke_agent" not in exceptions:
        assert found.get("invoke_agent"), "no agent"
        assert all(one.get("agent") for one in found["invoke_agent"])


RERANKS = [one for one in ANSWERED if one[1].endswith("rerank")]


@pytest.mark.parametrize(("library", "scenario"), RERANKS)
def test_a_rerank_says_the_scores_that_came_back(library: str, scenario: str) -> None:
    """The scores of the answer are on the span."""
    if "rerank scores" not in known(library, scenario):
        [wanted] = answers(library, scenario) or []
        [rerank] = groups(spans(processed(library, scenario).payload))["rerank"]
        assert rerank["rerank scores"] == pytest.approx(wanted["scores"])
