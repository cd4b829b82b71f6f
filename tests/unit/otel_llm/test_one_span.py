"""One model call is one span with one usage, whoever sees it: ours and OpenTelemetry's own, in either order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.util.genai.handler import TelemetryHandler
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import content

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
}
MESSAGES: Any = [{"role": "user", "content": "Is it?"}]


def chunks() -> bytes:
    """A streamed answer with usage, as the API writes it."""
    base = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    said = [
        {**base, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in ("Ye", "s.")
    ]
    said.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    said.append({**base, "choices": [], "usage": ANSWER["usage"]})
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in said) + b"data: [DONE]\n\n"


def answer(request: httpx2.Request) -> httpx2.Response:
    """The model server."""
    asked = json.loads(request.content)
    if request.url.path.endswith("/embeddings"):
        body = {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.5]}],
            "usage": {"prompt_tokens": 4, "total_tokens": 4},
        }
        return httpx2.Response(200, json=body)
    if asked.get("stream"):
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=chunks())
    if asked["messages"][0]["content"] == "fail":
        return httpx2.Response(400, json={"error": {"message": "no", "type": "invalid_request_error"}})
    return httpx2.Response(200, json={**ANSWER, "id": asked["messages"][0]["content"]})


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    """The real client, instrumented by OpenTelemetry's own package, on a transport in memory."""
    OpenAIInstrumentor().instrument()
    yield openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))
    OpenAIInstrumentor().uninstrument()


def only(spans: Any) -> dict[str, Any]:
    [span] = spans.get_finished_spans()
    return {"name": span.name, **span.attributes}


def ask(client: openai.OpenAI, text: str = "Is it?", **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages, **more)


def test_alone_theirs_is_there(spans: Any, client: openai.OpenAI) -> None:
    """Without a step of ours around it the official span is made: the tests below suppress something."""
    ask(client)
    assert only(spans)[attr.GEN_AI_USAGE_INPUT_TOKENS] == 12


@pytest.mark.parametrize("reads", [True, False])
def test_ours_around_theirs(spans: Any, client: openai.OpenAI, reads: bool) -> None:
    """One span, ours; what the official one knows is on it also where the program says nothing."""
    with otel_llm.chat(provider="openai", model="gpt-4o-mini", temperature=0.2) as call:
        response = ask(client, temperature=0.2)
        if reads:
            call.response(response)
    found = only(spans)
    assert found["name"] == "chat gpt-4o-mini"
    assert (found[attr.GEN_AI_USAGE_INPUT_TOKENS], found[attr.GEN_AI_USAGE_OUTPUT_TOKENS]) == (12, 3)
    assert found[attr.GEN_AI_RESPONSE_MODEL] == "gpt-4o-mini-2024-07-18"
    assert found[attr.GEN_AI_RESPONSE_FINISH_REASONS] == ("stop",)
    assert found[attr.OTEL_LLM_OUTCOME] == "ok"
    assert found[attr.SERVER_ADDRESS] == "api.openai.com"


def test_a_decorated_function_around_theirs(spans: Any, client: openai.OpenAI) -> None:
    """The same for a decorator."""
    decorated = otel_llm.chat(provider="openai", model="gpt-4o-mini")(ask)
    assert decorated(client).usage.prompt_tokens == 12
    assert only(spans)[attr.GEN_AI_USAGE_INPUT_TOKENS] == 12


def test_a_stream_of_theirs_in_ours(spans: Any, client: openai.OpenAI) -> None:
    """A streamed answer that a decorated function returns: one span until its end, with usage and first chunk."""
    decorated = otel_llm.chat(provider="openai", model="gpt-4o-mini")(ask)
    stream = decorated(client, stream=True)
    assert not spans.get_finished_spans()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "Yes."
    found = only(spans)
    assert (found[attr.GEN_AI_USAGE_INPUT_TOKENS], found[attr.OTEL_LLM_STREAM_CHUNK_COUNT]) == (12, 4)
    assert found[attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] > 0


def test_a_stream_of_theirs_in_a_block_of_ours(spans: Any, client: openai.OpenAI) -> None:
    """The same in a block that says nothing of the stream."""
    with otel_llm.chat(provider="openai", model="gpt-4o-mini"):
        assert len(list(ask(client, stream=True))) == 4
    found = only(spans)
    assert found[attr.GEN_AI_USAGE_OUTPUT_TOKENS] == 3
    assert found[attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] > 0


def test_two_calls_in_one_step_are_added(spans: Any, client: openai.OpenAI) -> None:
    """A step around two calls has the tokens of both: nothing is lost where spans are merged."""
    with otel_llm.chat(provider="openai", model="gpt-4o-mini"):
        ask(client, "first")
        ask(client, "second")
    assert only(spans)[attr.GEN_AI_USAGE_INPUT_TOKENS] == 24


def test_an_error_of_theirs_is_ours(spans: Any, client: openai.OpenAI) -> None:
    """A refused request: one span, with the client's own error."""
    with pytest.raises(openai.BadRequestError), otel_llm.chat(provider="openai", model="gpt-4o-mini"):
        ask(client, "fail")
    assert only(spans)[attr.ERROR_TYPE] == "openai.BadRequestError"


def test_embeddings_of_theirs_in_ours(spans: Any, client: openai.OpenAI) -> None:
    """One span for an embedding, with its tokens."""
    with otel_llm.embedding(provider="openai", model="text-embedding-3-small"):
        client.embeddings.create(model="text-embedding-3-small", input="x")
    assert only(spans)[attr.GEN_AI_USAGE_INPUT_TOKENS] == 4


def test_ours_inside_theirs(spans: Any) -> None:
    """An official call is under way around a step of ours: no span of ours, its facts are on theirs."""
    with (
        TelemetryHandler().inference("openai", request_model="gpt-4o-mini"),
        otel_llm.chat(provider="openai", model="gpt-4o-mini") as call,
    ):
        outer = trace.get_current_span()
        call.response(ANSWER)
        call.attribute("own", 1)
    found = only(spans)
    assert outer.get_span_context() == call.span.get_span_context()
    assert (found[attr.GEN_AI_USAGE_INPUT_TOKENS], found[attr.GEN_AI_RESPONSE_ID], found["own"]) == (
        12,
        "chatcmpl-1",
        1,
    )


def test_ours_decorated_inside_theirs(spans: Any) -> None:
    """The same for a decorator, with a retrieval, and steps of other kinds still have their spans."""

    @otel_llm.retrieval(source="docs", k=2)
    def search() -> list[str]:
        with otel_llm.span("database"):
            return ["a", "b"]

    with TelemetryHandler().retrieval(data_source_id="docs"):
        search()
    database, retrieval = spans.get_finished_spans()
    assert (database.name, retrieval.name) == ("database", "retrieval docs")
    assert database.parent.span_id == retrieval.context.span_id
    assert retrieval.attributes[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 2


def test_kinds_do_not_suppress_each_other(spans: Any, client: openai.OpenAI) -> None:
    """A retrieval or a workflow of ours around a call of theirs: both are there."""
    with otel_llm.workflow("answer"), otel_llm.retrieval(source="docs"):
        ask(client)
    assert [span.name for span in spans.get_finished_spans()] == [
        "chat gpt-4o-mini",
        "retrieval docs",
        "invoke_workflow answer",
    ]


def test_content_of_theirs_follows_our_mode(spans: Any, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step with `content="off"` keeps the texts of an instrumentation that records them to itself."""
    monkeypatch.setenv(content.VARIABLE, "SPAN_ONLY")
    OpenAIInstrumentor().uninstrument()
    OpenAIInstrumentor().instrument()
    for mode in ("off", "full"):
        with otel_llm.chat(provider="openai", model="gpt-4o-mini", content=mode):  # type: ignore[arg-type]
            ask(client)
    off, full = spans.get_finished_spans()
    assert attr.GEN_AI_INPUT_MESSAGES not in off.attributes
    assert json.loads(full.attributes[attr.GEN_AI_INPUT_MESSAGES])[0]["parts"][0]["content"] == "Is it?"
