"""The `anthropic` client against a server that speaks its Messages API with the local model's answers.

The server is strict where the real one is: a key and an `anthropic-version` header, `max_tokens`, turns that
begin with the user's, errors in its shape. It follows the API's reference: message objects, the events of a stream in
their order, usage with cached tokens beside the input.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
from clients import CONTEXT, QUESTION, Collected, check, serving
from otel_llm_semconv import attributes as attr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import otel_llm

MODEL = "claude-haiku-4-5"
CACHED = 12
TURNS = [{"role": "user", "content": QUESTION}]


def messages_api() -> Starlette:
    """The server."""
    from server import answer, tokenize  # noqa: PLC0415 - the local model's

    async def create(request: Request) -> Response:
        body = json.loads(await request.body())
        if not {"x-api-key", "authorization"} & set(request.headers) or "anthropic-version" not in request.headers:
            return error(401, "authentication_error", "a key and anthropic-version are required")
        if "max_tokens" not in body or not body.get("messages") or body["messages"][0]["role"] != "user":
            return error(400, "invalid_request_error", "max_tokens and a first message of the user are required")
        if not str(body.get("model", "")).startswith("claude-"):
            return error(404, "not_found_error", f"model: {body.get('model')}")
        turns = [{"role": "system", "content": body.get("system", "")}, *body["messages"]]
        text = answer(turns)
        prompt = sum(len(tokenize(str(turn["content"]))) for turn in turns)
        usage = {
            "input_tokens": prompt - CACHED,
            "cache_read_input_tokens": CACHED,
            "cache_creation_input_tokens": 0,
            "output_tokens": len(tokenize(text)),
        }
        if body.get("stream"):
            return StreamingResponse(events(text, body["model"], usage), media_type="text/event-stream")
        return JSONResponse(message(text, body["model"], usage))

    def error(status: int, kind: str, text: str) -> Response:
        return JSONResponse({"type": "error", "error": {"type": kind, "message": text}}, status)

    return Starlette(routes=[Route("/v1/messages", create, methods=["POST"])])


def message(text: str, model: str, usage: dict[str, int], reason: str | None = "end_turn") -> dict[str, Any]:
    """A message object."""
    content = [{"type": "text", "text": text}] if text else []
    head = {"id": "msg_local", "type": "message", "role": "assistant", "model": f"{model}-20251001"}
    return {**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage}


async def events(text: str, model: str, usage: dict[str, int]) -> AsyncIterator[str]:
    """A stream's events in their order; the output's count comes at the end."""
    start = message("", model, {**usage, "output_tokens": 1}, None)
    yield event("message_start", message=start)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in text.split(" "):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": f"{word} "})
    yield event("content_block_stop", index=0)
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=delta, usage={"output_tokens": usage["output_tokens"]})
    yield event("message_stop")


def event(kind: str, **data: Any) -> str:
    """One server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"


def one_call(spans: list[Any], usage: Any) -> None:
    """One span, whose input has the cached tokens in it."""
    check(len(spans), 1)
    found = dict(spans[0].attributes)
    check(found[attr.GEN_AI_USAGE_INPUT_TOKENS], usage.input_tokens + CACHED)
    check(found[attr.GEN_AI_USAGE_OUTPUT_TOKENS], usage.output_tokens)
    check(found[attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS], CACHED)


async def asynchronous(address: str, collected: Collected) -> None:
    """The async client, whole and streamed."""
    async with anthropic.AsyncAnthropic(base_url=address, api_key="x", max_retries=0) as client:
        answer = await client.messages.create(model=MODEL, max_tokens=64, system=CONTEXT, messages=TURNS)
        one_call(collected.take(), answer.usage)
        async with client.messages.stream(model=MODEL, max_tokens=64, system=CONTEXT, messages=TURNS) as stream:
            final = await stream.get_final_message()
        one_call(collected.take(), final.usage)


def main() -> None:
    """Alone, inside our helper, streamed, failing; each call is one span although the client traces itself too."""
    with Collected() as collected, serving(messages_api()) as address:
        handle = otel_llm.configure(service_name="clients")
        check(handle.instrumented["anthropic"].startswith("instrumented"), right=True)
        client = anthropic.Anthropic(base_url=address, api_key="x", max_retries=0)
        answer = client.messages.create(model=MODEL, max_tokens=64, system=CONTEXT, messages=TURNS)
        check("4317" in answer.content[0].text, right=True)
        one_call(collected.take(), answer.usage)
        with client.messages.stream(model=MODEL, max_tokens=64, system=CONTEXT, messages=TURNS) as stream:
            final = stream.get_final_message()
        one_call(collected.take(), final.usage)
        with otel_llm.chat(provider="anthropic", model=MODEL) as call:
            call.response(client.messages.create(model=MODEL, max_tokens=64, system=CONTEXT, messages=TURNS))
        one_call(collected.take(), answer.usage)
        try:
            client.messages.create(model="gpt-4o", max_tokens=64, messages=TURNS)
        except anthropic.NotFoundError:
            check("NotFoundError" in collected.take()[0].attributes[attr.ERROR_TYPE], right=True)
        else:
            raise AssertionError("the error was swallowed")
        asyncio.run(asynchronous(address, collected))


if __name__ == "__main__":
    main()
