"""A small RAG service: search, rerank, build a context, ask a model. It is what `otel-llm demo` traces.

    OPENAI_BASE_URL=http://127.0.0.1:8090/v1 uvicorn --app-dir examples/rag_app app:app

Tracing is the one call to `otel_llm.configure` and a helper around each step. The calls to the model are traced by
OpenTelemetry's own instrumentation of the `openai` client, which `configure` switches on.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import otel_llm

handle = otel_llm.configure(service_name="rag-app")  # before FastAPI and the clients, so that they are instrumented

from fastapi import FastAPI, HTTPException  # noqa: E402
from fastapi.responses import StreamingResponse  # noqa: E402
from openai import AsyncOpenAI, OpenAIError  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402
from search import Corpus, Passage  # noqa: E402

MAX_CONTEXT_TOKENS = 320
INSTRUCTIONS = "Answer from the context below and from nothing else. Quote it where you can.\n\nContext:\n"

corpus = Corpus(Path(__file__).parent / "corpus")
client = AsyncOpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8090/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
    max_retries=0,
)
app = FastAPI(title="RAG demo")


class Question(BaseModel):
    """What somebody asks."""

    question: str = Field(min_length=3, max_length=500)
    k: int = Field(8, ge=1, le=30, description="How many passages to look at.")
    model: str = "gpt-4o-mini"
    stream: bool = False


class Judgement(BaseModel):
    """What somebody thinks of an answer; `about` came with it."""

    about: str
    thumbs: Literal["up", "down"]
    comment: str = Field("", max_length=2000)


@app.post("/ask", response_model=None)
async def ask(asked: Question) -> StreamingResponse | dict[str, object]:
    """Answer a question from the corpus, as JSON or as a stream of text."""
    if asked.stream:
        passages, messages = await prepare(asked)
        pieces = stream_answer(asked.model, messages)
        try:
            first = await anext(pieces, "")
        except OpenAIError as error:
            raise HTTPException(502, f"the model failed: {type(error).__name__}") from error
        return StreamingResponse(chained(first, pieces), media_type="text/plain")
    with otel_llm.workflow("answer"):
        passages, messages = await prepare(asked)
        try:
            completion = await client.chat.completions.create(model=asked.model, messages=messages)
        except OpenAIError as error:
            raise HTTPException(502, f"the model failed: {type(error).__name__}") from error
        about = otel_llm.traceparent()
    sources = [passage.id for passage in passages]
    return {"answer": completion.choices[0].message.content, "sources": sources, "about": about}


@otel_llm.workflow("prepare")
async def prepare(asked: Question) -> tuple[list[Passage], list[dict[str, str]]]:
    """Search, rerank and build the messages for the model."""
    with otel_llm.retrieval(source="corpus", k=asked.k, query=asked.question) as step:
        found = corpus.search(asked.question, asked.k)
        step.documents(found)
    best = await rerank(asked.question, found, keep=4)
    with otel_llm.build_context(max_tokens=MAX_CONTEXT_TOKENS) as step:
        context, used = corpus.context(best, MAX_CONTEXT_TOKENS)
        step.built(tokens=used.tokens, documents=used.passages, truncated=used.truncated, estimated=True)
    return best, [{"role": "system", "content": INSTRUCTIONS + context}, {"role": "user", "content": asked.question}]


async def rerank(question: str, passages: list[Passage], keep: int) -> list[Passage]:
    """The passages nearest to the question by embedding, best first."""
    if not passages:
        return []
    with otel_llm.rerank(model="text-embedding-3-small", provider="openai", top_n=keep) as step:
        step.before(passages)
        texts = [question, *(passage.text for passage in passages)]
        vectors = [
            one.embedding for one in (await client.embeddings.create(model="text-embedding-3-small", input=texts)).data
        ]
        scores = [sum(a * b for a, b in zip(vectors[0], vector, strict=True)) for vector in vectors[1:]]
        ranked = [passage.scored(score) for passage, score in zip(passages, scores, strict=True)]
        best = sorted(ranked, key=lambda passage: -passage.score)[:keep]
        step.after(best)
    return best


async def stream_answer(model: str, messages: list[dict[str, str]]) -> AsyncIterator[str]:
    """The model's answer piece by piece."""
    stream = await client.chat.completions.create(
        model=model, messages=messages, stream=True, stream_options={"include_usage": True}
    )
    async with stream:
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


async def chained(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    """The first piece and the rest; a stream that breaks off in the middle ends there."""
    yield first
    try:
        async for piece in rest:
            yield piece
    except OpenAIError:
        yield "\n[the answer broke off]"


@app.post("/feedback")
async def feedback(judged: Judgement) -> dict[str, bool]:
    """Take a judgement; it is sent as an event on the answer's span."""
    return {"taken": otel_llm.feedback(thumbs=judged.thumbs, comment=judged.comment, traceparent=judged.about)}


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer probes; not traced."""
    return {"status": "ok"}


@app.get("/metrics")
async def emitted() -> dict[str, int]:
    """How many spans this process has emitted and lost so far; not traced."""
    handle.force_flush()
    return {"emitted": handle.emitted_spans, "exported": handle.exported_spans, "dropped": handle.dropped_spans}
