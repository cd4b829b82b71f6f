"""`stream_usage="request"`: tokens of streams are known, and the caller sees the very chunks it would have seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import stream_usage

USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
BASE = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
ASKED: list[dict[str, Any]] = []


def answer(request: httpx2.Request) -> httpx2.Response:
    """A server that counts a stream's tokens only when it is asked to."""
    asked = json.loads(request.content)
    ASKED.append(asked)
    if not asked.get("stream"):
        body = {**BASE, "object": "chat.completion", "choices": [], "usage": USAGE}
        return httpx2.Response(200, json=body)
    said: list[dict[str, Any]] = [
        {**BASE, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]} for text in ("Ye", "s.")
    ]
    if (asked.get("stream_options") or {}).get("include_usage"):
        said.append({**BASE, "choices": [], "usage": USAGE})
    lines = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in said) + b"data: [DONE]\n\n"
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=lines)


@pytest.fixture(params=[True, False], ids=["instrumented", "bare"])
def client(request: pytest.FixtureRequest, spans: Any) -> Iterator[openai.OpenAI]:
    """The real client, with and without OpenTelemetry's instrumentation below."""
    ASKED.clear()
    before = openai.resources.chat.completions.Completions.create
    if request.param:
        OpenAIInstrumentor().instrument()
    assert stream_usage.request_usage() == stream_usage.request_usage() == "requested"
    yield openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))
    stream_usage.leave()
    if request.param:
        OpenAIInstrumentor().uninstrument()
    assert openai.resources.chat.completions.Completions.create is before


def ask(client: Any, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": "?"}]
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True, **more)


def used(spans: Any) -> tuple[Any, Any]:
    [span] = spans.get_finished_spans()
    return span.attributes.get(attr.GEN_AI_USAGE_INPUT_TOKENS), span.attributes.get(attr.GEN_AI_USAGE_OUTPUT_TOKENS)


def test_in_a_block(spans: Any, client: openai.OpenAI) -> None:
    """Usage on the span; two chunks for the caller, as without; the stream is still the client's own kind."""
    with otel_llm.chat(provider="openai", model="gpt-4o-mini"):
        stream = ask(client)
        assert isinstance(stream, openai.Stream)
        assert [chunk.choices[0].delta.content for chunk in stream] == ["Ye", "s."]
    assert used(spans) == (12, 3)
    assert ASKED[0]["stream_options"] == {"include_usage": True}


def test_returned_by_a_decorated_function(spans: Any, client: openai.OpenAI) -> None:
    """The same where the stream leaves the function, and as a context manager."""
    with otel_llm.chat(provider="openai", model="gpt-4o-mini")(ask)(client) as stream:
        assert len(list(stream)) == 2
    assert used(spans) == (12, 3)


def test_other_options_stay(spans: Any, client: openai.OpenAI) -> None:
    """What the caller says of its stream is kept beside the option."""
    with otel_llm.chat(provider="openai", model="gpt-4o-mini"):
        list(ask(client, stream_options={"include_obfuscation": False}))
    assert ASKED[0]["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_a_caller_that_asks_itself_gets_its_chunk(spans: Any, client: openai.OpenAI) -> None:
    """An explicit `include_usage` is the caller's business: three chunks, the last with usage."""
    chunks = list(ask(client, stream_options={"include_usage": True}))
    assert len(chunks) == 3
    assert chunks[-1].usage.prompt_tokens == 12


def test_raw_responses_and_plain_calls_are_left_alone(spans: Any, client: openai.OpenAI) -> None:
    """Neither is asked for anything more."""
    messages: Any = [{"role": "user", "content": "?"}]
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=messages, stream=True)
    assert len(list(raw.parse())) == 2
    client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    assert all("stream_options" not in asked for asked in ASKED)


def test_the_asynchronous_client(spans: Any, client: openai.OpenAI) -> None:
    """The same for `AsyncOpenAI`."""

    async def run() -> list[str]:
        transport = httpx2.MockTransport(answer)
        asynchronous = openai.AsyncOpenAI(api_key="none", http_client=httpx2.AsyncClient(transport=transport))
        async with otel_llm.chat(provider="openai", model="gpt-4o-mini"):
            stream = await ask(asynchronous)
            return [chunk.choices[0].delta.content async for chunk in stream]

    assert asyncio.run(run()) == ["Ye", "s."]
    assert used(spans) == (12, 3)
