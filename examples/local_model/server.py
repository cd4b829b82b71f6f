"""A model server that speaks OpenAI's API, and enough of Anthropic's, and needs no weights.

It answers extractively: of the sentences in the prompt's context it returns those that share most with the question.
Offered tools it calls one after the other, each once, and answers from their results. Everything around the text is
real: HTTP, server-sent events, token counts by a simple tokenizer, prompt caching by common prefix, embeddings by
hashed words, reranking by them. By seed some answers are slow, some fail with 429 or 500, and some streams break off in
the middle, as real ones do.

    python examples/local_model/server.py --port 8090 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

# The name asked for -> the name that answers, dated as the real service does it.
MODELS = {
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "o4-mini": "o4-mini-2025-04-16",
    "text-embedding-3-small": "text-embedding-3-small",
    "rerank-v3.5": "rerank-v3.5",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}
REASONING = {"o4-mini": 64}  # tokens that a model thinks before each answer
MAX_TEMPERATURE = 2
DIMENSIONS = 256
CACHE_BLOCK = 32  # prompts are cached in steps of this many tokens
MAX_CACHED_PREFIXES = 50_000
MIN_SENTENCE_CHARS = 20

_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")
_WORD = re.compile(r"[a-z0-9]{3,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Faults:
    """How often a chat goes wrong, as shares of all requests."""

    slow: float = 0.06
    slow_seconds: float = 1.2
    rate_limited: float = 0.04
    broken: float = 0.03
    cut: float = 0.03
    filtered: float = 0.02


NO_FAULTS = Faults(slow=0, rate_limited=0, broken=0, cut=0, filtered=0)


@dataclass
class Model:
    """The model: its faults, its randomness, and the prompt prefixes it has seen."""

    faults: Faults
    seed: int
    first_token_seconds: float = 0.04
    seconds_per_token: float = 0.002
    _requests: int = 0
    _seen: dict[str, None] = field(default_factory=dict)

    def next_draw(self) -> random.Random:
        """The randomness of one request: the n-th request always meets the same fate."""
        self._requests += 1
        return random.Random(f"{self.seed}/{self._requests}")

    def cached_tokens(self, tokens: Sequence[str]) -> int:
        """How many leading tokens were seen before, in whole blocks; remembers this prompt."""
        digest, cached = hashlib.sha256(), 0
        for start in range(0, len(tokens) - CACHE_BLOCK + 1, CACHE_BLOCK):
            digest.update("\x00".join(tokens[start : start + CACHE_BLOCK]).encode())
            prefix = digest.hexdigest()
            if prefix in self._seen:
                cached = start + CACHE_BLOCK
            elif len(self._seen) < MAX_CACHED_PREFIXES:
                self._seen[prefix] = None
        return cached


def tokenize(text: str) -> list[str]:
    """Words in pieces of up to six letters, and punctuation."""
    return _TOKEN.findall(text)


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content)


def tool_calls(body: dict[str, Any]) -> list[dict[str, Any]]:
    """A call of the first offered tool that was not called since the last question; none when all were."""
    calls: list[dict[str, Any]] = []
    question = ""
    for message in body["messages"]:
        if message.get("role") == "user":
            calls, question = [], text_of(message)
        calls += message.get("tool_calls") or []
    called = {call["function"]["name"] for call in calls}
    for tool in body.get("tools") or []:
        function = tool.get("function", {})
        if function.get("name") not in called:
            arguments = json.dumps(filled(function.get("parameters") or {}, question))
            identity = hashlib.sha256(f"{function['name']}/{question}".encode()).hexdigest()[:24]
            call = {"name": function["name"], "arguments": arguments}
            return [{"id": f"call_{identity}", "type": "function", "function": call}]
    return []


def filled(schema: dict[str, Any], question: str) -> dict[str, Any]:
    """Arguments for a JSON schema: numbers from the question in order, texts are its last capitalised word."""
    numbers = [int(one) for one in re.findall(r"[0-9]+", question)]
    word = ([*re.findall(r"\b[A-Z][a-z]+\b", question)] or [question])[-1]
    return {
        name: (numbers.pop(0) if numbers else 1) if one.get("type") in {"integer", "number"} else word
        for name, one in schema.get("properties", {}).items()
    }


def answer(messages: Sequence[dict[str, Any]], sentences: int = 2) -> str:
    """The sentences of the context that share most with the question, rare words counting more."""
    question = next((text_of(one) for one in reversed(messages) if one.get("role") == "user"), "")
    context = "\n".join(text_of(one) for one in messages if one.get("role") in {"system", "developer", "tool"})
    candidates = [
        one.strip()
        for line in context.splitlines()
        for one in _SENTENCE.split(line)
        if len(one.strip()) >= MIN_SENTENCE_CHARS
    ]
    asked = set(_WORD.findall(question.lower()))
    words = [set(_WORD.findall(one.lower())) for one in candidates]
    total = len(candidates)

    def rarity(word: str) -> float:
        return math.log(1 + total / (1 + sum(word in others for others in words)))

    scored = [(sum(rarity(word) for word in asked & found), -index) for index, found in enumerate(words)]
    best = sorted((one for one in scored if one[0] > 0), reverse=True)[:sentences]
    if not best:
        return "The context does not say."
    return " ".join(candidates[-index] for _, index in sorted(best, key=lambda one: -one[1]))


def embed(text: str) -> list[float]:
    """A unit vector of hashed words: texts that share words are close."""
    vector = [0.0] * DIMENSIONS
    for word in _WORD.findall(text.lower()):
        digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
        vector[int.from_bytes(digest[:2]) % DIMENSIONS] += 1.0 if digest[2] & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def create_app(model: Model) -> Starlette:
    """The server as an ASGI application."""

    async def chat(request: Request) -> Response:
        body = await _body(request)
        problem = _problem(body)
        if body is None or problem:
            return _error(400, "invalid_request_error", problem)
        draw = model.next_draw()
        fate = draw.random()
        faults = model.faults
        if fate < faults.rate_limited:
            return _error(429, "rate_limit_exceeded", "too many requests, by seed")
        if fate < faults.rate_limited + faults.broken:
            return _error(500, "server_error", "the server failed, by seed")
        if draw.random() < faults.slow:
            await asyncio.sleep(faults.slow_seconds)
        completion = _complete(model, body)
        if fate >= 1 - faults.filtered:
            completion = replace(completion, is_filtered=True)
        if not body.get("stream"):
            await asyncio.sleep(model.first_token_seconds + model.seconds_per_token * len(completion.pieces))
            return JSONResponse(completion.whole())
        cut_at = draw.randrange(1, 6) if draw.random() < faults.cut else None
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        stream = _events(model, completion, wants_usage=wants_usage, cut_at=cut_at)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/embeddings", embeddings, methods=["POST"]),
            Route("/v1/messages", claude(model), methods=["POST"]),
            *(Route(path, rerank, methods=["POST"]) for path in ("/v1/rerank", "/v2/rerank")),
            Route("/v1/models", models),
        ]
    )


def claude(model: Model) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of Anthropic's messages."""

    async def messages(request: Request) -> Response:
        body = await _body(request)
        problem = _problem(body)
        if body is None or problem:
            error = {"type": "invalid_request_error", "message": problem}
            return JSONResponse({"type": "error", "error": error}, status_code=400)
        completion = _complete(model, as_openai(body))
        message = as_anthropic(completion)
        if not body.get("stream"):
            return JSONResponse(message)
        return StreamingResponse(_anthropic_events(message), media_type="text/event-stream")

    return messages


def as_openai(body: dict[str, Any]) -> dict[str, Any]:
    """A request of Anthropic's API as one of OpenAI's."""
    messages: list[dict[str, Any]] = []
    if body.get("system"):
        messages.append({"role": "system", "content": body["system"]})
    for message in body["messages"]:
        parts = message["content"] if isinstance(message["content"], list) else []
        calls = [
            {"id": part["id"], "function": {"name": part["name"], "arguments": json.dumps(part["input"])}}
            for part in parts
            if part.get("type") == "tool_use"
        ]
        results = [part for part in parts if part.get("type") == "tool_result"]
        messages += [{"role": "tool", "content": part.get("content")} for part in results]
        if not results:
            messages.append({**message, "tool_calls": calls} if calls else message)
    tools = [
        {"function": {"name": tool["name"], "parameters": tool.get("input_schema", {})}}
        for tool in body.get("tools") or []
    ]
    return {"model": body["model"], "messages": messages, "tools": tools}


def as_anthropic(completion: _Completion) -> dict[str, Any]:
    """An answer as Anthropic's API gives it; its input tokens do not include the cached ones."""
    text = "".join(completion.pieces)
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    for call in completion.tool_calls:
        function = call["function"]
        identity = call["id"].replace("call_", "toolu_")
        content.append(
            {"type": "tool_use", "id": identity, "name": function["name"], "input": json.loads(function["arguments"])}
        )
    cached = completion.usage["prompt_tokens_details"]["cached_tokens"]
    usage = {
        "input_tokens": completion.usage["prompt_tokens"] - cached,
        "output_tokens": completion.usage["completion_tokens"],
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
    }
    return {
        "id": completion.id.replace("chatcmpl-", "msg_"),
        "type": "message",
        "role": "assistant",
        "model": completion.model,
        "content": content,
        "stop_reason": "tool_use" if completion.tool_calls else "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }


async def _anthropic_events(message: dict[str, Any]) -> AsyncIterator[str]:
    """A message as the events of Anthropic's streams; texts only."""

    def event(kind: str, **more: Any) -> str:
        return f"event: {kind}\n{_event({'type': kind, **more})}"

    started = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    yield event("message_start", message=started)
    for index, block in enumerate(message["content"]):
        yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": block.get("text", "")})
        yield event("content_block_stop", index=index)
    usage = {"output_tokens": message["usage"]["output_tokens"]}
    yield event("message_delta", delta={"stop_reason": message["stop_reason"], "stop_sequence": None}, usage=usage)
    yield event("message_stop")


async def embeddings(request: Request) -> Response:
    """Vectors for texts."""
    body = await _body(request)
    if body is None or body.get("model") not in MODELS or "input" not in body:
        return _error(400, "invalid_request_error", f"send input and one of the models {', '.join(MODELS)}")
    texts = [body["input"]] if isinstance(body["input"], str) else [str(one) for one in body["input"]]
    tokens = sum(len(tokenize(text)) for text in texts)
    wanted = body.get("dimensions") if isinstance(body.get("dimensions"), int) else DIMENSIONS
    vectors = [embed(text)[:wanted] for text in texts]
    data = [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": MODELS[body["model"]], "usage": usage})


async def rerank(request: Request) -> Response:
    """Documents by likeness to the query, as Cohere and Jina answer."""
    body = await _body(request)
    if body is None or body.get("model") not in MODELS or not isinstance(body.get("documents"), list):
        return _error(400, "invalid_request_error", "send model, query and documents")
    texts = [one if isinstance(one, str) else str(one.get("text", "")) for one in body["documents"]]
    wanted = embed(str(body.get("query", "")))
    scores = [sum(left * right for left, right in zip(wanted, embed(text), strict=True)) for text in texts]
    best = sorted(range(len(texts)), key=lambda index: (-scores[index], index))[: body.get("top_n") or len(texts)]
    results = [{"index": index, "relevance_score": round(scores[index], 6)} for index in best]
    return JSONResponse({"id": "rerank-1", "results": results, "meta": {"billed_units": {"search_units": 1}}})


@dataclass(frozen=True)
class _Completion:
    """One answer with its counts."""

    id: str
    model: str
    created: int
    pieces: list[str]
    usage: dict[str, Any]
    tool_calls: list[dict[str, Any]]
    is_filtered: bool = False  # a content filter stopped it

    @property
    def finish_reason(self) -> str:
        if self.is_filtered:
            return "content_filter"
        return "tool_calls" if self.tool_calls else "stop"

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.pieces) or None}
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage}

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _complete(model: Model, body: dict[str, Any]) -> _Completion:
    calls = tool_calls(body)
    text = "" if calls else answer(body["messages"])
    pieces = re.findall(r"\S+\s*", text)
    prompt = [token for message in body["messages"] for token in tokenize(text_of(message))]
    written = len(tokenize(text or json.dumps(calls)))
    thought = REASONING.get(body["model"], 0)
    written += thought
    usage: dict[str, Any] = {
        "prompt_tokens": len(prompt),
        "completion_tokens": written,
        "total_tokens": len(prompt) + written,
        "prompt_tokens_details": {"cached_tokens": model.cached_tokens(prompt)},
    }
    if thought:
        usage["completion_tokens_details"] = {"reasoning_tokens": thought}
    identity = hashlib.sha256(f"{model.seed}/{model._requests}/{text}".encode()).hexdigest()[:24]  # noqa: SLF001
    return _Completion(f"chatcmpl-{identity}", MODELS[body["model"]], int(time.time()), pieces, usage, calls)


async def _events(
    model: Model, completion: _Completion, *, wants_usage: bool, cut_at: int | None
) -> AsyncIterator[str]:
    """The answer as server-sent events; `cut_at` breaks it off after that many pieces."""
    await asyncio.sleep(model.first_token_seconds)
    yield _event(completion.chunk({"role": "assistant", "content": ""}))
    for number, piece in enumerate(completion.pieces):
        if cut_at is not None and number >= cut_at:
            yield _event({"error": {"message": "the stream broke off, by seed", "type": "server_error", "code": None}})
            return
        await asyncio.sleep(model.seconds_per_token)
        yield _event(completion.chunk({"content": piece}))
    for number, call in enumerate(completion.tool_calls):
        yield _event(completion.chunk({"tool_calls": [{"index": number, **call}]}))
    yield _event(completion.chunk({}, completion.finish_reason))
    if wants_usage:
        yield _event(completion.usage_chunk())
    yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


async def _body(request: Request) -> dict[str, Any] | None:
    try:
        body = json.loads(await request.body())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _problem(body: dict[str, Any] | None) -> str:
    """What is wrong with the request of a chat, or nothing."""
    if body is None or not isinstance(body.get("messages"), list) or body.get("model") not in MODELS:
        return f"send messages and one of the models {', '.join(MODELS)}"
    return f"temperature is above {MAX_TEMPERATURE}" if (body.get("temperature") or 0) > MAX_TEMPERATURE else ""


def _error(status: int, kind: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": kind, "code": kind}}, status_code=status)


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="An OpenAI-compatible model server that needs no weights.")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-faults", action="store_true", help="never slow, never failing")
    options = parser.parse_args()
    faults = NO_FAULTS if options.no_faults else Faults()
    uvicorn.run(create_app(Model(faults, options.seed)), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
