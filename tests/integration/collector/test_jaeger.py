"""From a program through the collector to Jaeger's query API, on a stand-in that refuses what Jaeger refuses."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.any_value import put
from otel_llm_collector.app import App
from otel_llm_collector.fakes import FakeJaeger
from otel_llm_semconv import attributes as attr

pytestmark = pytest.mark.integration
PROTOBUF = {"content-type": "application/x-protobuf"}


def trace(seed: int = 1) -> ExportTraceServiceRequest:
    """A request to a service, and a call to a model below it that costs something."""
    request = ExportTraceServiceRequest()
    level = request.resource_spans.add()
    put(level.resource.attributes.add(key=attr.SERVICE_NAME).value, "shop")
    spans = level.scope_spans.add().spans
    now = time.time_ns()
    ids = {"trace_id": bytes([seed]) * 16, "end_time_unix_nano": now}
    root = spans.add(**ids, span_id=b"r" * 8, name="ask", kind=2, start_time_unix_nano=now - 2 * 10**9)
    call = spans.add(**ids, span_id=b"c" * 8, name="chat", kind=3, start_time_unix_nano=now - 10**9)
    call.parent_span_id = root.span_id
    values = {
        attr.GEN_AI_OPERATION_NAME: "chat",
        attr.GEN_AI_PROVIDER_NAME: "openai",
        attr.GEN_AI_REQUEST_MODEL: "gpt-4o-mini",
        attr.GEN_AI_USAGE_INPUT_TOKENS: 1000,
        attr.GEN_AI_USAGE_OUTPUT_TOKENS: 500,
        attr.GEN_AI_INPUT_MESSAGES: "the secret prompt",
        attr.GEN_AI_CONVERSATION_ID: "c-1",
    }
    for key, value in values.items():
        put(call.attributes.add(key=key).value, value)
    return request


def window() -> str:
    """The last hour, as the query API wants it."""
    first, last = (datetime.fromtimestamp(time.time() + at, UTC).isoformat() for at in (-3600, 60))
    return f"query.startTimeMin={quote(first)}&query.startTimeMax={quote(last)}"


def test_a_trace_is_found_and_read_through_jaegers_api(
    running: Callable[[str], AbstractAsyncContextManager[App]],
) -> None:
    """Sent once over gRPC and once over HTTP; services, operations, search, the trace with its cost, no prompt."""

    async def run() -> None:
        async with FakeJaeger() as one, FakeJaeger() as other, httpx2.AsyncClient(trust_env=False) as client:
            options = "signals: [traces], profile: jaeger, content: drop"
            exporters = (
                "exporters:\n"
                f"  one: {{type: otlp_grpc, endpoint: '{one.grpc}', tls: {{insecure: true}}, {options}}}\n"
                f"  other: {{type: otlp_http, endpoint: 'http://{other.http}', compression: zstd, {options}}}\n"
            )
            async with running(exporters) as app:
                url = "http://" + str(app.addresses()["OTLP/HTTP"]).removeprefix("http://")
                body = trace().SerializeToString()
                for _ in range(2):  # a sender that repeats itself
                    answer = await client.post(f"{url}/v1/traces", content=body, headers=PROTOBUF)
                    assert answer.is_success
                for jaeger in (one, other):
                    async with asyncio.timeout(10):
                        while len(jaeger.spans) < 4:  # noqa: ASYNC110 - filled by another task
                            await asyncio.sleep(0.02)
            for jaeger in (one, other):

                async def get(path: str, jaeger: FakeJaeger = jaeger) -> Any:
                    answer = await client.get(f"http://{jaeger.query}/api/v3/{path}")
                    return answer.raise_for_status().json()

                assert await get("services") == {"services": ["shop"]}
                assert await get("operations?service=shop") == {
                    "operations": [{"name": "ask", "spanKind": "server"}, {"name": "chat", "spanKind": "client"}]
                }
                wanted = quote(json.dumps({attr.GEN_AI_REQUEST_MODEL: "gpt-4o-mini"}))
                query = f"query.serviceName=shop&query.durationMin=900ms&query.attributes={wanted}"
                found = await get(f"traces?{window()}&{query}")
                assert found == await get(f"traces/{'01' * 16}")
                spans = {
                    span["name"]: span
                    for level in found["result"]["resourceSpans"]
                    for scope in level["scopeSpans"]
                    for span in scope["spans"]
                }
                assert len(found["result"]["resourceSpans"]) == 2  # each span once
                assert spans["chat"]["parentSpanId"] == spans["ask"]["spanId"] == (b"r" * 8).hex()
                values = {one["key"]: one["value"] for one in spans["chat"]["attributes"]}
                assert values[attr.OTEL_LLM_COST_TOTAL] == {"doubleValue": pytest.approx(0.00045)}
                root = {one["key"]: one["value"] for one in spans["ask"]["attributes"]}
                assert root[attr.GEN_AI_CONVERSATION_ID] == {"stringValue": "c-1"}
                assert "secret" not in json.dumps(found)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("traces?query.serviceName=shop", 400, "are required"),
        ("traces?query.startTimeMin=yesterday&query.startTimeMax=now", 400, "malformed parameter query.startTimeMin"),
        ("traces?WINDOW&query.durationMin=long", 400, "malformed parameter query.durationMin"),
        ("traces?WINDOW&query.searchDepth=-1", 400, "malformed parameter query.searchDepth"),
        ("traces?WINDOW&query.attributes=[1]", 400, "malformed parameter query.attributes"),
        ("traces?WINDOW&query.rawTraces=perhaps", 400, "malformed parameter query.rawTraces"),
        ("traces?WINDOW&query.serviceName=other", 404, "No traces found"),
        ("traces/xyz", 400, "malformed parameter trace_id"),
        ("traces/" + "0" * 31 + "9", 404, "No traces found"),
        ("../traces?service=shop", 404, "not found"),
    ],
)
def test_the_stand_in_refuses_what_jaeger_refuses(path: str, status: int, message: str) -> None:
    """Required and malformed parameters, unknown traces, and the API that Jaeger no longer has."""

    async def run() -> None:
        async with FakeJaeger() as jaeger, httpx2.AsyncClient(trust_env=False) as client:
            url = f"http://{jaeger.http}/v1/traces"
            assert (await client.post(url, content=trace().SerializeToString(), headers=PROTOBUF)).is_success
            found = await client.get(f"http://{jaeger.query}/api/v3/{path.replace('WINDOW', window())}")
            assert (found.status_code, found.json()["error"]["httpCode"]) == (status, status)
            assert message in found.json()["error"]["message"]

    asyncio.run(run())


def test_the_stand_in_takes_nothing_but_traces() -> None:
    """Metrics and logs have no path and no service; wrong types, garbage and ids of a wrong length are refused."""

    async def run() -> None:
        async with FakeJaeger() as jaeger, httpx2.AsyncClient(trust_env=False) as client:
            bad = trace()
            bad.resource_spans[0].scope_spans[0].spans[0].trace_id = b"short"
            cases = [("metrics", b"", PROTOBUF, 404), ("logs", b"", PROTOBUF, 404), ("traces", b"\xff", PROTOBUF, 400)]
            cases += [("traces", b"", {"content-type": "text/plain"}, 415)]
            cases += [("traces", bad.SerializeToString(), PROTOBUF, 400)]
            for signal, body, headers, status in cases:
                answer = await client.post(f"http://{jaeger.http}/v1/{signal}", content=body, headers=headers)
                assert answer.status_code == status, (signal, body)
            async with grpc.aio.insecure_channel(jaeger.grpc) as channel:
                metrics = channel.unary_unary("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await metrics(b"", timeout=5)
                assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert not jaeger.spans

    asyncio.run(run())
