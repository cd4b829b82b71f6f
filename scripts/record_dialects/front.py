"""What a recorded program takes for its model provider: passes on to the local model, and notes what was answered.

The local model speaks OpenAI's chat completions and Anthropic's messages. Other APIs (OpenAI's responses, Gemini,
Ollama, Cohere, Bedrock) are spelled in terms of chat completions and back in `apis.py`, so that every program sees the
same answers and counts. The notes are what the recordings are checked against: they say which calls really happened.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import apis

SECONDS = 30
PLAIN = {"/v1/chat/completions", "/v1/embeddings", "/v1/messages", "/v1/rerank", "/v2/rerank"}


class Front(ThreadingHTTPServer):
    """Answers like the providers whose APIs it speaks; `answers` are the notes, in order."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.answers: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)


@contextmanager
def serving(model: str) -> Iterator[Front]:
    """A front before the local model at the URL `model`."""
    front = Front(model)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        yield front
    finally:
        front.shutdown()
        front.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Front
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._pass_on(self.path, None)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        if path in PLAIN:
            asked = json.loads(raw)
            if "json_schema" in (asked.get("response_format") or {}):
                self._answer_in_form(path, asked, raw)
            else:
                self._pass_on(path, raw)
            return
        api = next((api for api in apis.APIS if api.handles(path)), None)
        if api is None:
            self._start(HTTPStatus.NOT_FOUND, "text/plain")
            self.wfile.write(f"no API at {path}".encode())
            return
        request = api.request(path, json.loads(raw))
        with self._ask(request.path, json.dumps(request.body).encode()) as answer:
            status, kind, body = answer.status, answer.headers["content-type"], answer.read()
        if status == HTTPStatus.OK:
            document = json.loads(body)
            self.server.answers.append(noted(request.path, kind, body) | api.noted(document, request))
            kind, body = api.answer(path, document, request)
        self._start(status, kind)
        self.wfile.write(body)

    def _answer_in_form(self, path: str, asked: dict[str, Any], raw: bytes) -> None:
        """The local model's answer as the object of one text that the program wants."""
        with self._ask(path, raw) as answer:
            document = json.loads(answer.read())
        message = document["choices"][0]["message"]
        [name] = asked["response_format"]["json_schema"]["schema"]["properties"]
        message["content"] = json.dumps({name: message["content"]}, separators=(",", ":"))
        body = json.dumps(document).encode()
        self.server.answers.append(noted(path, "application/json", body))
        self._start(HTTPStatus.OK, "application/json")
        self.wfile.write(body)

    def _pass_on(self, path: str, raw: bytes | None) -> None:
        """Ask the local model and hand on what it says as it comes."""
        body = b""
        with self._ask(path, raw) as answer:
            status, kind = answer.status, answer.headers["content-type"]
            self._start(status, kind)
            while piece := answer.read1():
                body += piece
                self.wfile.write(piece)
        if status == HTTPStatus.OK and raw is not None:
            self.server.answers.append(noted(path, kind, body))

    def _ask(self, path: str, body: bytes | None) -> Any:
        """What the local model answers; a refusal is an answer, too."""
        request = urllib.request.Request(self.server.model + path, body, {"content-type": "application/json"})
        try:
            return urllib.request.urlopen(request, timeout=SECONDS)
        except urllib.error.HTTPError as refused:
            return refused

    def _start(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def noted(path: str, kind: str, body: bytes) -> dict[str, Any]:
    """What an answer says of itself: the model, its id, its tokens, its text and the tools it asks for."""
    if kind.startswith("text/event-stream"):
        events = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]
        return _streamed(events)
    document = json.loads(body)
    if path.endswith("/rerank"):
        return {"operation": "rerank", "scores": [one["relevance_score"] for one in document["results"]]}
    if path.endswith("/embeddings"):
        tokens = {"input": document["usage"]["prompt_tokens"]}
        return {"operation": "embeddings", "model": document["model"], "tokens": tokens}
    if path.endswith("/messages"):
        return _of_anthropic(document)
    message = document["choices"][0]["message"]
    return _note(document, document["usage"], message.get("content"), message.get("tool_calls"))


def _streamed(events: list[dict[str, Any]]) -> dict[str, Any]:
    if "choices" not in events[0]:
        message = {**events[0]["message"], "content": []}
        for event in events:
            if event["type"] == "content_block_delta":
                message["content"].append({"type": "text", "text": event["delta"]["text"]})
            elif event["type"] == "message_delta":
                message["usage"] = message["usage"] | event["usage"]
        return _of_anthropic(message)
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    usage = next((event["usage"] for event in events if event.get("usage")), {})
    calls = [call for delta in deltas for call in delta.get("tool_calls", [])]
    return _note(events[0], usage, "".join(delta.get("content") or "" for delta in deltas), calls) | {"streamed": True}


def _note(document: dict[str, Any], usage: dict[str, Any], text: str | None, calls: Any) -> dict[str, Any]:
    counted = {
        "input": usage.get("prompt_tokens"),
        "output": usage.get("completion_tokens"),
        "cache_read": (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
        "reasoning": (usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
    }
    return {
        "operation": "chat",
        "model": document["model"],
        "id": document["id"],
        "tokens": {kind: count for kind, count in counted.items() if count},
        "text": text or "",
        "tools": [call["function"]["name"] for call in calls or []],
    }


def _of_anthropic(message: dict[str, Any]) -> dict[str, Any]:
    usage, content = message["usage"], message["content"]
    tokens = {
        "input": usage["input_tokens"] + usage["cache_read_input_tokens"],
        "output": usage["output_tokens"],
        "cache_read": usage["cache_read_input_tokens"],
    }
    return {
        "operation": "chat",
        "model": message["model"],
        "id": message["id"],
        "tokens": {kind: count for kind, count in tokens.items() if count},
        "text": "".join(one["text"] for one in content if one["type"] == "text"),
        "tools": [one["name"] for one in content if one["type"] == "tool_use"],
    }
