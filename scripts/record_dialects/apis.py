"""Providers' APIs in terms of chat completions: what a request asks for, and how the answer is spelled.

Only what the recorded programs use. Written from each provider's public API reference.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]
MODEL = "gpt-4o-mini"  # the name under which the local model answers whatever model was asked for


@dataclass(frozen=True)
class Request:
    """What the local model is asked, and what the answer must say again."""

    path: str
    body: Json
    model: str
    stream: bool = False
    echoed: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Api:
    """One API: the paths it has, its requests and its answers."""

    path: str
    request: Callable[[str, Json], Request]
    answer: Callable[[str, Json, Request], tuple[str, bytes]]
    id_prefix: str | None = None  # of an answer's id; without one the API has no ids
    names_model: bool = True  # whether an answer says who answered

    def noted(self, document: Json, request: Request) -> Json:
        """How the model is asked for, and what an answer calls it and itself."""
        identity = None if self.id_prefix is None else self.id_prefix + document.get("id", "").partition("-")[2]
        model = document.get("model") if request.model in document.get("model", "") else request.model
        return {"asked": request.model, "model": model if self.names_model else None, "id": identity}

    def handles(self, path: str) -> bool:
        return re.fullmatch(self.path, path) is not None


def chat(model: str, messages: Iterable[Json], tools: Iterable[Json] = (), *, stream: bool = False) -> Request:
    """A request for chat completions; never streamed, that is the API's own doing."""
    functions = [{"type": "function", "function": one} for one in tools]
    body = {"model": MODEL, "messages": list(messages)} | ({"tools": functions} if functions else {})
    return Request("/v1/chat/completions", body, model, stream)


def call(identity: str, name: str, arguments: Any) -> Json:
    """A tool call as chat completions have it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": text}}


def assistant(text: str, calls: list[Json]) -> Json:
    return {"role": "assistant", "content": text or None} | ({"tool_calls": calls} if calls else {})


def said(document: Json) -> tuple[str, list[Json], Json]:
    """The text, the tool calls and the usage of an answer."""
    message = document["choices"][0]["message"]
    return message.get("content") or "", message.get("tool_calls") or [], document["usage"]


def whole(document: Json) -> tuple[str, bytes]:
    return "application/json", json.dumps(document).encode()


def events(documents: Iterable[Json]) -> tuple[str, bytes]:
    """Server-sent events, each with its type where it has one."""
    lines = [(f"event: {one['type']}\n" if "type" in one else "") + f"data: {json.dumps(one)}\n\n" for one in documents]
    return "text/event-stream", "".join(lines).encode()


# OpenAI's responses


def responses_request(_: str, body: Json) -> Request:
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    messages = [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []
    for one in items:
        if one.get("type") == "function_call":
            messages.append(assistant("", [call(one["call_id"], one["name"], one["arguments"])]))
        elif one.get("type") == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": one["call_id"], "content": one["output"]})
        elif one.get("role"):
            messages.append({"role": one["role"], "content": _texts(one["content"])})
    tools = [
        {key: one.get(key) for key in ("name", "description", "parameters")}
        for one in body.get("tools") or []
        if one["type"] == "function"
    ]
    asked = chat(body["model"], messages, tools, stream=bool(body.get("stream")))
    return replace(asked, echoed={key: body[key] for key in ("instructions", "tools", "temperature") if key in body})


def responses_answer(_: str, document: Json, request: Request) -> tuple[str, bytes]:
    text, calls, usage = said(document)
    identity = document["id"].replace("chatcmpl-", "resp_")
    part = {"type": "output_text", "text": text, "annotations": []}
    output: list[Json] = [
        {
            "type": "function_call", "id": one["id"].replace("call_", "fc_"), "call_id": one["id"],
            "status": "completed", **one["function"],
        }
        for one in calls
    ]  # fmt: skip
    if text:
        message = {"type": "message", "id": identity.replace("resp_", "msg_"), "status": "completed"}
        output.append({**message, "role": "assistant", "content": [part]})
    response = {
        "id": identity, "object": "response", "created_at": int(time.time()), "status": "completed",
        "model": document["model"], "output": output, "error": None, "incomplete_details": None,
        "instructions": None, "metadata": {}, "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0,
        "tool_choice": "auto", "tools": [],
        "usage": {
            "input_tokens": usage["prompt_tokens"], "input_tokens_details": usage["prompt_tokens_details"],
            "output_tokens": usage["completion_tokens"], "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        },
        **request.echoed,
    }  # fmt: skip
    if not request.stream:
        return whole(response)
    started = {**response, "status": "in_progress", "output": [], "usage": None}
    told: list[Json] = [{"type": "response.created", "response": started}]
    for index, item in enumerate(output):
        told += _item_events(index, item, part)
    told.append({"type": "response.completed", "response": response})
    return events({**one, "sequence_number": number} for number, one in enumerate(told))


def _item_events(index: int, item: Json, part: Json) -> list[Json]:
    at: Json = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        started = {**item, "content": [], "status": "in_progress"}
        inner = at | {"content_index": 0}
        between: list[Json] = [
            {"type": "response.content_part.added", **inner, "part": {**part, "text": ""}},
            {"type": "response.output_text.delta", **inner, "delta": part["text"], "logprobs": []},
            {"type": "response.output_text.done", **inner, "text": part["text"], "logprobs": []},
            {"type": "response.content_part.done", **inner, "part": part},
        ]
    else:
        started = {**item, "arguments": "", "status": "in_progress"}
        between = [
            {"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]},
            {"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]},
        ]
    return [
        {"type": "response.output_item.added", "output_index": index, "item": started},
        *between,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _texts(content: Any) -> Any:
    return content if isinstance(content, str) else "\n".join(str(one.get("text", "")) for one in content or [])


# Gemini


def gemini_request(path: str, body: Json) -> Request:
    system = (body.get("systemInstruction") or {}).get("parts")
    messages = [{"role": "system", "content": _texts(system)}] if system else []
    for one in body["contents"]:
        called = [part["functionCall"] for part in one["parts"] if "functionCall" in part]
        results = [part["functionResponse"] for part in one["parts"] if "functionResponse" in part]
        if called:
            messages.append(assistant("", [call(it["name"], it["name"], it.get("args") or {}) for it in called]))
        messages += [{"role": "tool", "content": str(next(iter(it["response"].values()), ""))} for it in results]
        if not called and not results:
            messages.append({"role": one.get("role", "user"), "content": _texts(one["parts"])})
    declared = [it for one in body.get("tools") or [] for it in one.get("functionDeclarations", [])]
    tools = [{**one, "parameters": one.get("parameters") or one["parameters_json_schema"]} for one in declared]
    return chat(_gemini_model(path), messages, tools, stream="stream" in path)


def _gemini_model(path: str) -> str:
    return path.rpartition("/models/")[2].partition(":")[0]


def gemini_answer(_: str, document: Json, request: Request) -> tuple[str, bytes]:
    text, calls, usage = said(document)
    parts: list[Json] = [{"text": text}] if text else []
    for one in calls:
        arguments = json.loads(one["function"]["arguments"])
        parts.append({"functionCall": {"name": one["function"]["name"], "args": arguments}})
    answer = {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": usage["prompt_tokens"], "candidatesTokenCount": usage["completion_tokens"],
            "totalTokenCount": usage["total_tokens"],
        },
        "modelVersion": request.model, "responseId": document["id"].removeprefix("chatcmpl-"),
    }  # fmt: skip
    return events([answer]) if request.stream else whole(answer)


def gemini_embed_request(path: str, body: Json) -> Request:
    texts = [_texts(one["content"]["parts"]) for one in body["requests"]]
    asked = {"model": "text-embedding-3-small", "input": texts, "dimensions": 4}
    return Request("/v1/embeddings", asked, _gemini_model(path))


def gemini_embed_answer(_: str, document: Json, __: Request) -> tuple[str, bytes]:
    return whole({"embeddings": [{"values": one["embedding"]} for one in document["data"]]})


# Ollama


def ollama_request(_: str, body: Json) -> Request:
    messages = []
    for one in body["messages"]:
        calls = [call(it["function"]["name"], **it["function"]) for it in one.get("tool_calls") or []]
        messages.append(assistant(one.get("content", ""), calls) if calls else one)
    tools = [one["function"] for one in body.get("tools") or []]
    return chat(body["model"], messages, tools, stream=bool(body.get("stream", True)))


def ollama_answer(_: str, document: Json, request: Request) -> tuple[str, bytes]:
    text, calls, usage = said(document)
    functions = [json.loads(one["function"]["arguments"]) for one in calls]
    asked = [
        {"function": {"name": one["function"]["name"], "arguments": given}}
        for one, given in zip(calls, functions, strict=True)
    ]
    head = {"model": request.model, "created_at": "2026-11-21T10:00:00.000000Z"}
    message: Json = {"role": "assistant", "content": text} | ({"tool_calls": asked} if asked else {})
    done = {
        "done": True, "done_reason": "stop", "total_duration": 50_000_000, "load_duration": 1_000_000,
        "prompt_eval_count": usage["prompt_tokens"], "prompt_eval_duration": 9_000_000,
        "eval_count": usage["completion_tokens"], "eval_duration": 40_000_000,
    }  # fmt: skip
    if not request.stream:
        return whole({**head, "message": message, **done})
    last = {**head, "message": {"role": "assistant", "content": ""}, **done}
    lines = [{**head, "message": message, "done": False}, last]
    return "application/x-ndjson", "".join(json.dumps(one) + "\n" for one in lines).encode()


def ollama_embed_request(_: str, body: Json) -> Request:
    asked = {"model": "text-embedding-3-small", "input": body["input"], "dimensions": 4}
    return Request("/v1/embeddings", asked, body["model"])


def ollama_embed_answer(_: str, document: Json, request: Request) -> tuple[str, bytes]:
    vectors = [one["embedding"] for one in document["data"]]
    count = document["usage"]["prompt_tokens"]
    return whole({"model": request.model, "embeddings": vectors, "prompt_eval_count": count, "total_duration": 9})


# Cohere


def cohere_request(path: str, body: Json) -> Request:
    if path.startswith("/v1"):
        roles = {"CHATBOT": "assistant", "USER": "user", "SYSTEM": "system"}
        said_before = [{"role": roles[one["role"]], "content": one["message"]} for one in body.get("chat_history", [])]
        system = [{"role": "system", "content": body["preamble"]}] if body.get("preamble") else []
        messages = [*system, *said_before, {"role": "user", "content": body["message"]}]
    else:
        messages = body["messages"]
    return chat(body["model"], messages, [one["function"] for one in body.get("tools") or []])


def cohere_answer(path: str, document: Json, _: Request) -> tuple[str, bytes]:
    text, calls, usage = said(document)
    counts = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
    usage = {"billed_units": counts, "tokens": counts}
    identity = document["id"].removeprefix("chatcmpl-")
    if path.startswith("/v1"):
        head = {"response_id": identity, "generation_id": identity, "finish_reason": "COMPLETE", "text": text}
        return whole({**head, "chat_history": [], "meta": usage})
    message: Json = {"role": "assistant"} | ({"tool_calls": calls} if calls else {})
    if text:
        message["content"] = [{"type": "text", "text": text}]
    reason = "TOOL_CALL" if calls else "COMPLETE"
    return whole({"id": identity, "finish_reason": reason, "message": message, "usage": usage})


# Bedrock


def bedrock_request(path: str, body: Json) -> Request:
    messages = [{"role": "system", "content": _texts(body["system"])}] if body.get("system") else []
    for one in body["messages"]:
        calls = [part["toolUse"] for part in one["content"] if "toolUse" in part]
        results = [part["toolResult"] for part in one["content"] if "toolResult" in part]
        if calls:
            messages.append(assistant("", [call(it["toolUseId"], it["name"], it["input"]) for it in calls]))
        messages += [
            {"role": "tool", "tool_call_id": it["toolUseId"], "content": _texts(it["content"])} for it in results
        ]
        if not calls and not results:
            messages.append({"role": one["role"], "content": _texts(one["content"])})
    specs = [one["toolSpec"] for one in (body.get("toolConfig") or {}).get("tools", [])]
    tools = [{**one, "parameters": one["inputSchema"]["json"]} for one in specs]
    return chat(_bedrock_model(path), messages, tools)


def _bedrock_model(path: str) -> str:
    return path.removeprefix("/model/").rpartition("/")[0].replace("%3A", ":")


def bedrock_answer(_: str, document: Json, __: Request) -> tuple[str, bytes]:
    text, calls, usage = said(document)
    content: list[Json] = [{"text": text}] if text else []
    for one in calls:
        function = one["function"]
        used = {"toolUseId": one["id"], "name": function["name"], "input": json.loads(function["arguments"])}
        content.append({"toolUse": used})
    counted = {
        "inputTokens": usage["prompt_tokens"], "outputTokens": usage["completion_tokens"],
        "totalTokens": usage["total_tokens"],
    }  # fmt: skip
    message = {"message": {"role": "assistant", "content": content}}
    reason = "tool_use" if calls else "end_turn"
    return whole({"output": message, "stopReason": reason, "usage": counted, "metrics": {"latencyMs": 12}})


def invoke_request(path: str, body: Json) -> Request:
    return Request("/v1/messages", {**body, "model": "claude-sonnet-4-5"}, _bedrock_model(path))


def invoke_answer(_: str, document: Json, request: Request) -> tuple[str, bytes]:
    return whole({**document, "model": request.model})


_GEMINI = r"/v1(beta)?/models/[^/]+:"
APIS = [
    Api(r"/v1/responses", responses_request, responses_answer, id_prefix="resp_"),
    Api(_GEMINI + "(generateContent|streamGenerateContent)", gemini_request, gemini_answer, id_prefix=""),
    Api(_GEMINI + "batchEmbedContents", gemini_embed_request, gemini_embed_answer, names_model=False),
    Api(r"/api/chat", ollama_request, ollama_answer),
    Api(r"/api/embed", ollama_embed_request, ollama_embed_answer),
    Api(r"/v[12]/chat", cohere_request, cohere_answer, id_prefix="", names_model=False),
    Api(r"/model/[^/]+/converse", bedrock_request, bedrock_answer, names_model=False),
    Api(r"/model/[^/]+/invoke", invoke_request, invoke_answer),
]
