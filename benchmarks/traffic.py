"""Requests that the benchmarks send: traces of a RAG service, and of a web service without any model."""

from __future__ import annotations

import json
import random
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

START = 1_790_000_000_000_000_000
MARK = "bench.span"  # on every span: by it a blackhole counts spans without reading them
TRACES = b"of-bench"  # every trace id begins so; a sender that puts something else there sends new traces
CONTENT = object()  # stands for text of the size that is measured

SERVER, INTERNAL, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_CLIENT

_HTTP = {
    "http.request.method": "POST", "http.route": "/ask", "http.response.status_code": 200, "url.scheme": "http",
    "url.path": "/ask", "server.address": "rag.example.test", "server.port": 8000, "client.address": "192.0.2.7",
    "network.protocol.version": "1.1", "user_agent.original": "python-httpx/0.28.1",
}  # fmt: skip
_SQL = {
    "db.system.name": "postgresql", "db.namespace": "documents", "db.operation.name": "SELECT",
    "db.query.text": "SELECT id, text FROM documents WHERE id = ANY($1)", "server.address": "db.example.test",
    "server.port": 5432,
}  # fmt: skip

# name, kind, attributes of each span
RAG: list[tuple[str, int, dict[str, Any]]] = [
    ("POST /ask", SERVER, _HTTP),
    ("invoke_workflow answer", INTERNAL, {
        "gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "answer", "gen_ai.conversation.id": "c-17",
    }),
    ("embeddings text-embedding-3-small", CLIENT, {
        "gen_ai.operation.name": "embeddings", "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "text-embedding-3-small", "gen_ai.response.model": "text-embedding-3-small",
        "gen_ai.usage.input_tokens": 12, "server.address": "api.openai.com", "server.port": 443,
    }),
    ("retrieval docs", CLIENT, {
        "gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "docs", "gen_ai.retrieval.top_k": 5,
        "otel_llm.retrieval.returned_k": 5, "gen_ai.retrieval.documents": CONTENT,
    }),
    ("SELECT documents", CLIENT, _SQL),
    ("chat gpt-4o-mini", CLIENT, {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "gen_ai.response.id": "chatcmpl-",
        "gen_ai.usage.input_tokens": 1200, "gen_ai.usage.output_tokens": 180,
        "gen_ai.usage.cache_read.input_tokens": 640, "gen_ai.request.temperature": 0.2,
        "gen_ai.response.time_to_first_chunk": 0.21, "gen_ai.output.type": "text", "server.address": "api.openai.com",
        "server.port": 443, "gen_ai.input.messages": CONTENT,
    }),
]  # fmt: skip
WEB: list[tuple[str, int, dict[str, Any]]] = [
    ("POST /ask", SERVER, _HTTP),
    ("SELECT documents", CLIENT, _SQL),
    ("render", INTERNAL, {"code.function.name": "render"}),
]
# The same trace as OpenInference's instrumentations write it, with the attributes that spans recorded from them have.
OPENINFERENCE: list[tuple[str, int, dict[str, Any]]] = [
    ("POST /ask", SERVER, _HTTP),
    ("answer", INTERNAL, {
        "openinference.span.kind": "CHAIN", "session.id": "c-17", "input.value": "Which port does OTLP use over HTTP?",
        "output.value": "Over HTTP the default port of OTLP is 4318.", "output.mime_type": "text/plain",
    }),
    ("CreateEmbeddings", CLIENT, {
        "openinference.span.kind": "EMBEDDING", "llm.system": "openai",
        "embedding.model_name": "text-embedding-3-small",
        "llm.invocation_parameters": '{"model": "text-embedding-3-small", "encoding_format": "base64"}',
        "input.value": '{"input": "Which port?", "model": "text-embedding-3-small"}',
        "input.mime_type": "application/json", "llm.token_count.prompt": 12, "llm.token_count.total": 12,
        "embedding.embeddings.0.embedding.text": "Which port does OTLP use over HTTP?",
    }),
    ("Shelf", INTERNAL, {
        "openinference.span.kind": "RETRIEVER", "input.value": "Which port does OTLP use over HTTP?",
        "retrieval.documents": CONTENT,
    }),
    ("SELECT documents", CLIENT, _SQL),
    ("ChatCompletion", CLIENT, {
        "openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "gpt-4o-mini-2024-07-18",
        "llm.invocation_parameters": '{"model": "gpt-4o-mini", "max_tokens": 200, "temperature": 0.2}',
        "llm.token_count.prompt": 1200, "llm.token_count.completion": 180, "llm.token_count.total": 1380,
        "llm.token_count.prompt_details.cache_read": 640, "llm.finish_reason": "stop", "session.id": "c-17",
        "input.mime_type": "application/json", "output.mime_type": "application/json", "llm.messages": CONTENT,
    }),
]  # fmt: skip
SHAPES = {"rag": RAG, "web": WEB, "openinference": OPENINFERENCE}


def request_of(shape: str, spans: int, content_bytes: int, seed: int = 1) -> bytes:
    """One request of so many spans, of one trace after the other.

    The content stands on the chat span as messages, and a third of it on the retrieval as documents. OpenInference has
    the messages twice: flattened, and in the request and the answer as JSON.
    """
    draw = random.Random(seed)
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key, value in (("service.name", "bench"), ("telemetry.sdk.language", "python"), ("host.name", "a")):
        resource.resource.attributes.add(key=key).value.string_value = value
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    trace_id, parent = b"", b""
    for number in range(spans):
        name, kind, attributes = SHAPES[shape][number % len(SHAPES[shape])]
        if number % len(SHAPES[shape]) == 0:
            trace_id, parent = TRACES + draw.randbytes(8), b""
        began = START + number * 1_000_000
        span = scope.spans.add(trace_id=trace_id, span_id=draw.randbytes(8), parent_span_id=parent, name=name)
        span.kind = Span.SpanKind.ValueType(kind)
        span.start_time_unix_nano, span.end_time_unix_nano = began, began + 250_000_000
        parent = span.span_id
        span.attributes.add(key=MARK).value.int_value = number
        for key, value in attributes.items():
            _put(span, key, value, content_bytes, draw)
    return request.SerializeToString()


def _put(span: Span, key: str, value: Any, content_bytes: int, draw: random.Random) -> None:
    if value is CONTENT:
        if not content_bytes:
            return
        if not key.startswith("gen_ai."):
            flat = _flat_documents if "documents" in key else _flat_messages
            for name, one in flat(content_bytes, draw).items():
                _put(span, name, one, 0, draw)
            return
        value = _documents(content_bytes // 3, draw) if "documents" in key else _messages(content_bytes, draw)
    target = span.attributes.add(key=key).value
    if isinstance(value, str):
        target.string_value = f"{value}{span.span_id.hex()}" if key == "gen_ai.response.id" else value
    elif isinstance(value, int):
        target.int_value = value
    else:
        target.double_value = value


def _messages(size: int, draw: random.Random) -> str:
    """A conversation as the conventions write it, of about so many bytes."""
    texts = [(role, _text(size // 3, draw)) for role in ("system", "user", "assistant")]
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in texts])


def _documents(size: int, draw: random.Random) -> str:
    return json.dumps([{"id": f"d{number}", "score": 0.5, "content": _text(size // 5, draw)} for number in range(5)])


def _text(size: int, draw: random.Random) -> str:
    words = ["answer", "token", "the", "of", "retrieval", "a", "model", "is", "priced", "größer", "\n", '"one"']
    text = " ".join(draw.choices(words, weights=[9] * 9 + [1, 1, 1], k=size // 4))
    return text[: max(size - 60, 0)]


def _flat_messages(size: int, draw: random.Random) -> dict[str, Any]:
    """A conversation of about so many bytes as OpenInference writes it."""
    texts = [(role, _text(size // 3, draw)) for role in ("system", "user", "assistant")]
    messages = [{"role": role, "content": text} for role, text in texts]
    answer = {
        "id": f"chatcmpl-{draw.getrandbits(96):024x}",
        "choices": [{"finish_reason": "stop", "index": 0, "message": messages[2]}],
        "created": 1_790_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "object": "chat.completion",
    }
    return {
        **{f"llm.input_messages.{n}.message.{key}": messages[n][key] for n in (0, 1) for key in ("role", "content")},
        **{f"llm.output_messages.0.message.{key}": messages[2][key] for key in ("role", "content")},
        "input.value": json.dumps({"model": "gpt-4o-mini", "messages": messages[:2], "temperature": 0.2}),
        "output.value": json.dumps(answer),
    }


def _flat_documents(size: int, draw: random.Random) -> dict[str, Any]:
    return {
        f"retrieval.documents.{n}.document.{key}": value
        for n in range(5)
        for key, value in (("id", f"d{n}"), ("score", 0.5), ("content", _text(size // 15, draw)))
    }
