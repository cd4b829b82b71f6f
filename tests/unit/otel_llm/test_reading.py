"""Arguments and results of decorated functions are read: by default what has the usual names, and as one declares."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm.handles import ChatHandle


def only(spans: Any) -> dict[str, Any]:
    [span] = spans.get_finished_spans()
    return dict(span.attributes)


def test_a_search_function_by_position_and_by_name(spans: Any) -> None:
    """Query and k from arguments of those names, documents from a dict with `documents`."""

    class Index:
        @otel_llm.retrieval(source="docs", content="full")
        def search(self, query: str, top_k: int = 3) -> dict[str, Any]:
            return {"documents": [{"id": str(number), "score": 1.0} for number in range(top_k)], "query": query}

    Index().search("ports?", 2)
    said = only(spans)
    assert (said[attr.GEN_AI_RETRIEVAL_QUERY_TEXT], said[attr.GEN_AI_RETRIEVAL_TOP_K]) == ("ports?", 2)
    assert said[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 2


def test_a_reranker(spans: Any) -> None:
    """The order before from the argument, the order after from the result."""

    @otel_llm.rerank(top_n=2)
    def best(question: str, documents: list[dict[str, str]]) -> list[dict[str, str]]:
        return documents[::-1]

    best("q", [{"id": "a"}, {"id": "b"}])
    said = only(spans)
    assert (said[attr.OTEL_LLM_RERANK_ORDER_BEFORE], said[attr.OTEL_LLM_RERANK_ORDER_AFTER]) == (
        ("a", "b"),
        ("b", "a"),
    )


def test_a_tool_of_a_class(spans: Any) -> None:
    """Arguments by their names, without the object that the method belongs to."""

    class Tools:
        @otel_llm.tool("add", content="full")
        def add(self, left: int, right: int = 1) -> int:
            return left + right

    Tools().add(1, right=2)
    said = only(spans)
    assert json.loads(said[attr.GEN_AI_TOOL_CALL_ARGUMENTS]) == {"left": 1, "right": 2}
    assert said[attr.GEN_AI_TOOL_CALL_RESULT] == "3"


def test_a_chat_function_with_an_answer_in_a_dict(spans: Any) -> None:
    """Messages and model by position; the text from `answer`, the tokens from `usage`."""

    @otel_llm.chat(provider="p", content="full")
    def ask(messages: list[dict[str, str]], model: str) -> dict[str, Any]:
        return {"answer": "Yes.", "usage": {"input_tokens": 3, "output_tokens": 1}}

    ask([{"role": "user", "content": "?"}], "m")
    said = only(spans)
    assert (said[attr.GEN_AI_REQUEST_MODEL], said[attr.GEN_AI_USAGE_INPUT_TOKENS]) == ("m", 3)
    assert "Yes." in said[attr.GEN_AI_OUTPUT_MESSAGES]
    assert json.loads(said[attr.GEN_AI_INPUT_MESSAGES])[0]["role"] == "user"


@dataclass
class Said:
    """The answer of somebody's own client."""

    text: str
    counted: int


def of_arguments(call: ChatHandle, arguments: Mapping[str, Any]) -> None:
    call.attribute("asked.length", len(arguments["question"]))


def of_result(call: ChatHandle, said: Said) -> None:
    call.usage(input_tokens=said.counted)


@pytest.mark.parametrize("how", ["function", "coroutine"])
def test_declared_extractors(spans: Any, how: str) -> None:
    """Functions of one's own read arguments by name and the result."""
    step = otel_llm.chat(provider="mine").reading(arguments=of_arguments, result=of_result)
    if how == "function":

        @step
        def ask(question: str) -> Said:
            return Said("Yes.", 7)

        assert ask("four").text == "Yes."
    else:

        @step
        async def ask_later(question: str) -> Said:
            return Said("Yes.", 7)

        assert asyncio.run(ask_later("four")).text == "Yes."
    said = only(spans)
    assert (said["asked.length"], said[attr.GEN_AI_USAGE_INPUT_TOKENS]) == (4, 7)


def test_an_extractor_that_fails_hurts_nobody(spans: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The function's result comes out, the span ends well, one warning a kind."""

    def broken(*_: Any) -> None:
        raise KeyError("no")

    @otel_llm.chat(provider="mine").reading(arguments=broken, result=broken)
    def ask(question: str) -> Said:
        return Said(question, 7)

    assert [ask("x").text, ask("y").text] == ["x", "y"]
    assert [span.attributes[attr.OTEL_LLM_OUTCOME] for span in spans.get_finished_spans()] == ["ok", "ok"]
    assert len(caplog.records) == 2
