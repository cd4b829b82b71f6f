"""What the helpers write on their spans, and that nothing given to them can hurt the program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import content
from otel_llm.documents import Document, read_documents
from otel_llm.responses import read_response


def only(spans: Any) -> dict[str, Any]:
    """The attributes of the one finished span."""
    [span] = spans.get_finished_spans()
    return dict(span.attributes)


OPENAI = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 5},
    },
}
ANTHROPIC = {
    "id": "msg_1",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "Yes."}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 10,
        "output_tokens": 20,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 500,
    },
}
GOOGLE = {
    "response_id": "g1",
    "model_version": "gemini-2.5-flash",
    "candidates": [{"finish_reason": SimpleNamespace(value="STOP")}],
    "usage_metadata": {"prompt_token_count": 50, "candidates_token_count": 7, "thoughts_token_count": 30},
}


@pytest.mark.parametrize(
    ("response", "tokens"),
    [(OPENAI, (100, 20, 64, None, 5)), (ANTHROPIC, (2510, 20, 2000, 500, None)), (GOOGLE, (50, 37, None, None, 30))],
    ids=["openai", "anthropic", "google"],
)
def test_responses_of_the_usual_clients(response: dict[str, Any], tokens: tuple[int | None, ...]) -> None:
    """Cached tokens inside the input, reasoning inside the output, absent stays absent."""
    found = read_response(response)
    assert (
        found.input_tokens, found.output_tokens, found.cached_tokens, found.cache_write_tokens, found.reasoning_tokens
    ) == tokens  # fmt: skip
    assert found.model
    assert found.id
    assert len(found.finish_reasons) == 1


def test_chat_reads_a_response(spans: Any) -> None:
    """Request and response of a chat, with no content recorded by default."""
    with otel_llm.chat(provider="openai", model="gpt-4o-mini", temperature=0.2) as call:
        call.input("Is it so?")
        assert call.response(OPENAI) is OPENAI
    said = only(spans)
    assert said[attr.GEN_AI_OPERATION_NAME] == "chat"
    assert said[attr.GEN_AI_RESPONSE_MODEL] == "gpt-4o-mini-2024-07-18"
    assert said[attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == 64
    assert said[attr.GEN_AI_RESPONSE_FINISH_REASONS] == ("stop",)
    assert not said.keys() & attr.CONTENT


def test_content_is_recorded_when_asked_for(spans: Any) -> None:
    """With content on, messages are JSON in the conventions' shape."""
    content.configure("full", {})
    with otel_llm.chat(provider="openai", model="gpt-4o-mini") as call:
        call.input([{"role": "user", "content": "Is it so?"}])
        call.response(OPENAI)
    said = only(spans)
    [message] = json.loads(said[attr.GEN_AI_INPUT_MESSAGES])
    assert message == {"role": "user", "parts": [{"type": "text", "content": "Is it so?"}]}
    assert json.loads(said[attr.GEN_AI_OUTPUT_MESSAGES])[0]["parts"][0]["content"] == "Yes."


def test_the_standard_variable_switches_content(spans: Any) -> None:
    """OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is honoured; an argument stands above it."""
    content.configure(None, {content.VARIABLE: "SPAN_ONLY"})
    assert content.captured()
    content.configure(None, {content.VARIABLE: "NO_CONTENT"})
    assert not content.captured()
    content.configure("off", {content.VARIABLE: "true"})
    assert not content.captured()


def test_long_content_is_cut_and_stays_text() -> None:
    """A text over the bound is cut on a character boundary and marked."""
    cut = content.cut("é" * content.MAX_VALUE_BYTES)
    assert len(cut.encode()) <= content.MAX_VALUE_BYTES + 20
    assert cut.endswith("…[truncated]")


def test_a_streamed_chat(spans: Any) -> None:
    """Time to first chunk, chunk count, and usage from the last chunk."""

    def chunk(text: str | None, **more: Any) -> SimpleNamespace:
        choices = [SimpleNamespace(delta=SimpleNamespace(content=text), finish_reason=more.pop("finish", None))]
        return SimpleNamespace(id="c1", model="m-1", choices=choices if text is not None else [], **more)

    @otel_llm.chat(provider="openai", model="m")
    def stream() -> Iterator[Any]:
        yield chunk("Ye")
        yield chunk("s.", finish="stop")
        yield chunk(None, usage={"prompt_tokens": 5, "completion_tokens": 2})

    assert len(list(stream())) == 3
    said = only(spans)
    assert said[attr.GEN_AI_REQUEST_STREAM] is True
    assert said[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == 3
    assert 0 <= said[attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] < 1
    assert (said[attr.GEN_AI_USAGE_INPUT_TOKENS], said[attr.GEN_AI_USAGE_OUTPUT_TOKENS]) == (5, 2)
    assert said[attr.GEN_AI_RESPONSE_FINISH_REASONS] == ("stop",)


def test_a_decorated_function_that_returns_a_stream(spans: Any) -> None:
    """The span stays open after the function has returned, until the stream ends."""

    @otel_llm.chat(provider="openai", model="m")
    def start() -> Iterator[str]:
        return iter(["a", "b"])

    stream = start()
    assert spans.get_finished_spans() == ()
    assert list(stream) == ["a", "b"]
    assert only(spans)[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == 2


@dataclass
class LangChainDocument:
    """The fields LangChain's documents have."""

    page_content: str
    metadata: dict[str, Any]
    id: str | None = None


@dataclass
class LlamaIndexNode:
    """The fields LlamaIndex's scored nodes have."""

    node: Any
    score: float


def test_documents_of_every_retriever() -> None:
    """LangChain, LlamaIndex, dicts, pairs and texts give the same document."""
    wanted = Document("d1", 0.5, "text")
    shapes = [
        (LangChainDocument("text", {}, "d1"), 0.5),
        LangChainDocument("text", {"id": "d1", "score": 0.5}),
        LlamaIndexNode(SimpleNamespace(id_="d1", text="text"), 0.5),
        {"id": "d1", "score": 0.5, "content": "text"},
        ({"id": "d1", "text": "text"}, 0.5),
    ]
    assert read_documents(shapes) == [wanted] * len(shapes)
    assert read_documents(["text"]) == [Document(text="text")]


def test_retrieval_and_rerank_and_context(spans: Any) -> None:
    """Counts, scores, ids and order; the query is content and stays away."""
    documents = [{"id": "a", "score": 2.0, "text": "x"}, {"id": "b", "score": 1.0, "text": "y"}]
    with otel_llm.retrieval(source="docs", k=5, query="secret question") as step:
        step.documents(documents)
    with otel_llm.rerank(top_n=1) as ranked:
        ranked.before(documents)
        ranked.after(documents[1:])
    with otel_llm.build_context(max_tokens=100) as built:
        built.built(tokens=42, documents=1, truncated=True, estimated=True)
    retrieval, rerank, context = (dict(span.attributes) for span in spans.get_finished_spans())
    assert retrieval[attr.GEN_AI_RETRIEVAL_TOP_K] == 5
    assert retrieval[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 2
    assert retrieval[attr.OTEL_LLM_RETRIEVAL_SCORES] == (2.0, 1.0)
    assert "secret question" not in str(retrieval)
    assert rerank[attr.OTEL_LLM_RERANK_ORDER_BEFORE] == ("a", "b")
    assert rerank[attr.OTEL_LLM_RERANK_ORDER_AFTER] == ("b",)
    assert (context[attr.OTEL_LLM_CONTEXT_TOKENS], context[attr.OTEL_LLM_CONTEXT_TRUNCATED]) == (42, True)


class Hostile:
    """An object that fails at every touch."""

    def __getattr__(self, name: str) -> Any:
        msg = f"no {name} for you"
        raise RuntimeError(msg)

    def __repr__(self) -> str:
        raise RuntimeError


def test_nothing_given_to_a_handle_can_hurt_the_program(spans: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Wrong types and objects that raise: the program goes on, one warning a kind, the span still ends."""
    content.configure("full", {})
    with otel_llm.chat(provider="openai", model="m") as call:
        for _ in range(3):
            call.response(Hostile())
            call.input(Hostile())  # type: ignore[arg-type]
        call.usage(input_tokens="many")  # type: ignore[arg-type]
        call.attribute("x", object())
    with otel_llm.retrieval(source="docs") as step:
        step.documents(Hostile())  # type: ignore[arg-type]
        step.documents(17)  # type: ignore[arg-type]
    with otel_llm.tool("t") as tool:
        tool.arguments({"self": Hostile()})
    assert len(spans.get_finished_spans()) == 3
    assert caplog.text.count("ChatHandle.response could not record") == 1
