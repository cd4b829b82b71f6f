"""The demo's model server, asked by the real openai client over loopback."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from otel_llm_collector.http_server import HttpServer

pytestmark = pytest.mark.integration

SERVER = Path(__file__).parents[3] / "examples" / "local_model" / "server.py"
CONTEXT = (
    "OTLP listens on port 4317 for gRPC. Port 4318 is for HTTP. Jaeger shows traces in a browser. "
    "A counter only grows and is read as a rate. " * 3
)
MESSAGES = [
    {"role": "system", "content": f"Context:\n{CONTEXT}"},
    {"role": "user", "content": "Which port does OTLP use for gRPC?"},
]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """The server's module."""
    spec = importlib.util.spec_from_file_location("local_model_server", SERVER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["local_model_server"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["local_model_server"]


def asked(server: Any, ask: Any, *, faults: Any = None, seed: int = 7) -> Any:
    """Run the coroutine function `ask` with a client of a running server."""

    async def scenario() -> Any:
        model = server.Model(faults or server.NO_FAULTS, seed)
        listener = HttpServer(server.create_app(model), "127.0.0.1:0", "test")
        await listener.start()
        client = openai.AsyncOpenAI(base_url=f"http://{listener.address}/v1", api_key="x", max_retries=0)
        try:
            return await ask(client)
        finally:
            await client.close()
            await listener.shutdown()

    return asyncio.run(scenario())


async def whole(client: openai.AsyncOpenAI) -> Any:
    """One answer at once."""
    return await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)  # type: ignore[arg-type]


async def streamed(client: openai.AsyncOpenAI) -> list[Any]:
    """One answer in chunks."""
    options = {"include_usage": True}
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options=options  # type: ignore[arg-type]
    )  # fmt: skip
    return [chunk async for chunk in stream]


def test_answers_come_from_the_context(server: Any) -> None:
    """The sentence that answers is quoted; with nothing in common the model says so."""
    answer = asked(server, whole).choices[0].message.content
    assert "OTLP listens on port 4317 for gRPC." in answer
    assert answer in CONTEXT or all(part.strip() in CONTEXT for part in answer.split(". "))
    nothing = [{"role": "system", "content": CONTEXT}, {"role": "user", "content": "Zebra?"}]
    assert server.answer(nothing) == "The context does not say."


def test_a_stream_says_what_the_whole_answer_says(server: Any) -> None:
    """Same text, same usage, a finish reason, usage only in the last chunk."""
    completion, chunks = asked(server, whole), asked(server, streamed)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == completion.choices[0].message.content
    assert chunks[-1].usage == completion.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert completion.model == "gpt-4o-mini-2024-07-18"


def test_usage_adds_up_and_repeated_prompts_are_cached(server: Any) -> None:
    """Total is the sum; the second time the beginning of the prompt is cached, never more than the prompt."""

    async def twice(client: openai.AsyncOpenAI) -> Any:
        return (await whole(client)).usage, (await whole(client)).usage

    first, second = asked(server, twice)
    assert first.total_tokens == first.prompt_tokens + first.completion_tokens
    assert first.prompt_tokens_details.cached_tokens == 0
    assert 0 < second.prompt_tokens_details.cached_tokens <= second.prompt_tokens


def test_embeddings_are_near_for_texts_that_share_words(server: Any) -> None:
    """Unit vectors, the same text the same vector, related texts nearer than others."""

    async def embed(client: openai.AsyncOpenAI) -> list[list[float]]:
        texts = ["tail sampling of traces", "sampling traces at the tail", "quantised weights of a model"]
        answer = await client.embeddings.create(model="text-embedding-3-small", input=texts)
        return [one.embedding for one in answer.data]

    first, near, far = asked(server, embed)
    product = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    assert product(first, first) == pytest.approx(1)
    assert product(first, near) > product(first, far) + 0.2


def test_faults_come_by_seed(server: Any) -> None:
    """The same seed gives the same failures in the same order, another seed others; the client sees real errors."""
    faults = server.Faults(slow=0, rate_limited=0.3, broken=0.2, cut=0, filtered=0)

    async def many(client: openai.AsyncOpenAI) -> list[str]:
        outcomes = []
        for _ in range(30):
            try:
                await whole(client)
                outcomes.append("ok")
            except openai.APIStatusError as error:
                outcomes.append(type(error).__name__)
        return outcomes

    first = asked(server, many, faults=faults)
    assert first == asked(server, many, faults=faults)
    assert first != asked(server, many, faults=faults, seed=8)
    assert set(first) == {"ok", "RateLimitError", "InternalServerError"}


def test_a_cut_stream_is_an_error_for_the_client(server: Any) -> None:
    """A stream that breaks off in the middle raises after some text has come."""
    with pytest.raises(openai.APIError, match="broke off"):
        asked(server, streamed, faults=server.Faults(slow=0, rate_limited=0, broken=0, cut=1))


@pytest.mark.parametrize("ask", [whole, streamed])
def test_a_filter_stops_answers(server: Any, ask: Any) -> None:
    """The client is told why the answer ended, streamed or not."""
    faults = server.Faults(slow=0, rate_limited=0, broken=0, cut=0, filtered=1)
    assert "content_filter" in repr(asked(server, ask, faults=faults))


def test_unknown_models_are_refused(server: Any) -> None:
    """400 with the names that would be right."""

    async def ask(client: openai.AsyncOpenAI) -> None:
        await client.chat.completions.create(model="nobody", messages=MESSAGES)  # type: ignore[arg-type]

    with pytest.raises(openai.BadRequestError, match="gpt-4o-mini"):
        asked(server, ask)
    assert math.isclose(sum(value * value for value in server.embed("a text")), 1.0)
