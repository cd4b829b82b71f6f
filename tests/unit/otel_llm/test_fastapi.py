"""FastAPI through OpenTelemetry's own instrumentation, as we set it up: one server span, whatever the answer is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.trace import SpanKind
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm.fastapi import STABILITY_VARIABLE


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/plain/{name}")
    def plain(name: str) -> str:
        with otel_llm.span("inside"):
            return name

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            for _ in range(20):
                with otel_llm.span("chunk"):
                    await asyncio.sleep(0.001)
                yield "x"

        return StreamingResponse(chunks())

    @app.get("/health")
    def health() -> str:
        return "ok"

    @app.get("/healthcare")
    def healthcare() -> str:
        return "ok"

    @app.get("/broken")
    def broken() -> str:
        raise ValueError("broken")

    @app.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        for _ in range(5):
            text = await socket.receive_text()
            with otel_llm.span("message"):
                await socket.send_text(text)
        await socket.close()

    return app


@pytest.fixture(autouse=True)
def _as_at_the_start_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry reads which conventions are wanted once a process; other tests may have made it do so."""
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", {})
    monkeypatch.delenv(STABILITY_VARIABLE, raising=False)


@pytest.fixture
def client(spans: Any) -> TestClient:
    """A traced application."""
    app = application()
    otel_llm.instrument_fastapi(app)
    return TestClient(app, raise_server_exceptions=False)


def servers(spans: Any) -> list[Any]:
    return [span for span in spans.get_finished_spans() if span.kind is SpanKind.SERVER]


def test_stable_conventions_and_the_route(spans: Any, client: TestClient) -> None:
    """The span is named by the route, has the stable names, and is the parent of what happens inside."""
    assert client.get("/plain/a?q=1").json() == "a"
    [server] = servers(spans)
    [inside] = [span for span in spans.get_finished_spans() if span.name == "inside"]
    assert server.name == "GET /plain/{name}"
    assert server.attributes[attr.HTTP_REQUEST_METHOD] == "GET"
    assert server.attributes[attr.HTTP_ROUTE] == "/plain/{name}"
    assert server.attributes[attr.HTTP_RESPONSE_STATUS_CODE] == 200
    assert 0 < server.attributes[attr.OTEL_LLM_HTTP_TIME_TO_FIRST_BYTE] < 10
    assert not {"http.method", "http.status_code", "http.url"} & set(server.attributes)
    assert inside.parent.span_id == server.context.span_id


def test_a_streamed_answer_is_one_server_span(spans: Any, client: TestClient) -> None:
    """Twenty chunks: no span for a chunk but the application's own, which are children; it lasts to the last one."""
    assert client.get("/stream").text == "x" * 20
    [server] = servers(spans)
    chunks = [span for span in spans.get_finished_spans() if span.name == "chunk"]
    assert len(chunks) == 20
    assert len(spans.get_finished_spans()) == 21
    assert all(chunk.parent.span_id == server.context.span_id for chunk in chunks)
    assert server.end_time >= chunks[-1].end_time
    first = server.attributes[attr.OTEL_LLM_HTTP_TIME_TO_FIRST_BYTE]
    assert first < (server.end_time - server.start_time) / 1e9


def test_health_pages_are_left_out_and_nothing_else(spans: Any, client: TestClient) -> None:
    """`/health` makes no span; a page that only begins like it does."""
    client.get("/health")
    client.get("/healthcare")
    assert [span.name for span in servers(spans)] == ["GET /healthcare"]


def test_excluded_urls_of_ones_own(spans: Any) -> None:
    """An argument replaces the default."""
    app = application()
    otel_llm.instrument_fastapi(app, excluded_urls="healthcare,plain")
    client = TestClient(app)
    for path in ("/health", "/healthcare", "/plain/a"):
        client.get(path)
    assert [span.name for span in servers(spans)] == ["GET /health"]


def test_an_error_is_on_the_server_span(spans: Any, client: TestClient) -> None:
    """Status 500, error type, the exception once."""
    assert client.get("/broken").status_code == 500
    [server] = servers(spans)
    assert server.attributes[attr.HTTP_RESPONSE_STATUS_CODE] == 500
    assert server.attributes[attr.ERROR_TYPE] in {"500", "ValueError"}


def test_a_websocket_is_one_span_with_its_steps(spans: Any, client: TestClient) -> None:
    """Five messages: one server span, five steps of the application, no span for a receive or a send."""
    with client.websocket_connect("/socket") as socket:
        for number in range(5):
            socket.send_text(str(number))
            assert socket.receive_text() == str(number)
    [server] = servers(spans)
    messages = [span for span in spans.get_finished_spans() if span.name == "message"]
    assert len(messages) == 5
    assert len(spans.get_finished_spans()) == 6
    assert {message.parent.span_id for message in messages} == {server.context.span_id}


def test_a_second_time_changes_nothing(spans: Any) -> None:
    """An application that is traced already is not traced twice."""
    app = application()
    otel_llm.instrument_fastapi(app)
    otel_llm.instrument_fastapi(app)
    TestClient(app).get("/plain/a")
    assert len(servers(spans)) == 1
