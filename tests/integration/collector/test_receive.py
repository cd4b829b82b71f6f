"""Hostile and broken requests: the sender gets the status OTLP prescribes, everything else is kept, memory stays."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from otel_llm_collector import limits
from otel_llm_collector.app import App
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import HttpSink
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.integration

MIB = 1 << 20
PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def request_of(spans: int = 1, **changes: Any) -> ExportTraceServiceRequest:
    """A request of so many good spans; `changes` are set on the last one."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    now = time.time_ns()
    for _ in range(spans):
        scope.spans.add(
            trace_id=os.urandom(16), span_id=os.urandom(8), name="x", start_time_unix_nano=now, end_time_unix_nano=now
        )
    for name, value in changes.items():
        setattr(scope.spans[-1], name, value)
    return request


def post(app: App, body: bytes, headers: dict[str, str], path: str = "/v1/traces") -> httpx2.Response:
    """Send to the collector from another thread's point of view: a plain blocking client."""
    url = f"http://{app.receivers['OTLP/HTTP'].address}{path}"
    return httpx2.post(url, content=body, headers=headers, timeout=60, trust_env=False)


async def posted(app: App, body: bytes, headers: dict[str, str], path: str = "/v1/traces") -> httpx2.Response:
    """`post` without blocking the collector's own event loop."""
    return await asyncio.to_thread(post, app, body, headers, path)


async def counted(app: App, name: str) -> float:
    """The sum of a metric's samples on /metrics."""
    text = await asyncio.to_thread(lambda: httpx2.get(f"http://{app.admin.address}/metrics", trust_env=False).text)
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


REFUSED = {
    "truncated protobuf": (request_of(3).SerializeToString()[:-5], PROTOBUF, 400, "runs past the end"),
    "random bytes": (b"\xff\xfe\xfd" * 100, PROTOBUF, 400, "not an OTLP request"),
    "text as protobuf": (b"hello, is this the right place?", PROTOBUF, 400, "not an OTLP request"),
    "broken JSON": (b'{"resourceSpans": [', JSON, 400, "is not JSON"),
    "wrong content type": (b"x", {"content-type": "text/plain"}, 415, "application/x-protobuf"),
    "no content type": (b"x", {}, 415, "application/x-protobuf"),
    "unknown encoding": (b"x", {**PROTOBUF, "content-encoding": "br"}, 415, "gzip"),
    "not gzip": (b"x" * 100, {**PROTOBUF, "content-encoding": "gzip"}, 400, "not gzip"),
    "truncated gzip": (gzip.compress(b"x" * 99)[:-9], {**PROTOBUF, "content-encoding": "gzip"}, 400, "ends early"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refused_with_the_right_status_and_one_clear_sentence(running: Any, case: str) -> None:
    """Each bad request gets its status and a google.rpc.Status in its own encoding; the next good one is taken."""
    body, headers, status, words = REFUSED[case]

    async def scenario() -> None:
        async with running() as app:
            answer = await posted(app, body, headers)
            assert answer.status_code == status
            if headers.get("content-type") == PROTOBUF["content-type"]:
                message = status_pb2.Status.FromString(answer.content).message
            else:
                message = json.loads(answer.content)["message"]
            assert words in message
            assert (await posted(app, request_of().SerializeToString(), PROTOBUF)).status_code == 200
            assert await counted(app, "otelcol_receiver_accepted_spans_total") == 1

    asyncio.run(scenario())


def test_path_and_method(running: Any) -> None:
    """Another path is 404 and names the right ones; another method is 405 and names POST."""

    async def scenario() -> None:
        async with running() as app:
            assert (await posted(app, b"", PROTOBUF, "/v1/trace")).status_code == 404
            url = f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces"
            answer = await asyncio.to_thread(lambda: httpx2.get(url, trust_env=False))
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")

    asyncio.run(scenario())


def resident_mib() -> float:
    """Memory of this process, which is also the collector's."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / MIB


def test_a_body_of_100_mb_is_413_and_costs_no_memory(running: Any) -> None:
    """With a declared length and without one, the sender sees 413 and the process keeps its memory."""
    piece = bytes(MIB)

    async def scenario() -> None:
        async with running() as app:
            url = f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces"

            def send(**more: str) -> int:
                def body() -> Any:
                    for _ in range(100):
                        yield piece

                return httpx2.post(
                    url, content=body(), headers={**PROTOBUF, **more}, timeout=60, trust_env=False
                ).status_code

            before = resident_mib()
            assert await asyncio.to_thread(send, **{"content-length": str(100 * MIB)}) == 413
            grown_declared = resident_mib() - before
            assert await asyncio.to_thread(send) == 413  # chunked: the length shows only as it comes
            assert grown_declared < 40
            assert resident_mib() - before < limits.MAX_REQUEST_BYTES / MIB + 40
            assert (await posted(app, request_of().SerializeToString(), PROTOBUF)).status_code == 200

    asyncio.run(scenario())


def test_a_bomb_of_1_gb_is_413_over_http_and_resource_exhausted_over_grpc(running: Any) -> None:
    """A megabyte that becomes a gigabyte is refused after the limit, whichever way it comes."""
    compressor = zlib.compressobj(wbits=31)
    bomb = b"".join(compressor.compress(bytes(MIB)) for _ in range(1024)) + compressor.flush()

    async def scenario() -> None:
        async with running() as app:
            before = resident_mib()
            answer = await posted(app, bomb, {**PROTOBUF, "content-encoding": "gzip"})
            assert answer.status_code == 413
            assert "decompresses to over" in status_pb2.Status.FromString(answer.content).message
            assert resident_mib() - before < 2 * limits.MAX_REQUEST_BYTES / MIB + 40

            # gRPC's own client would need the gigabyte to compress it, so the frame is sent as it is.
            options = [("grpc.max_send_message_length", -1)]
            address = app.receivers["OTLP/gRPC"].address
            async with grpc.aio.insecure_channel(address, options, grpc.Compression.Gzip) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(EXPORT)(bytes(300 * MIB), timeout=60)
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert await channel.unary_unary(EXPORT)(request_of().SerializeToString()) == b""

    asyncio.run(scenario())


BAD_SPANS = {
    "trace id of 15 bytes": ({"trace_id": bytes(range(1, 16))}, "invalid_trace_id"),
    "trace id of zeros": ({"trace_id": bytes(16)}, "invalid_trace_id"),
    "no trace id": ({"trace_id": b""}, "invalid_trace_id"),
    "span id of 9 bytes": ({"span_id": bytes(range(1, 10))}, "invalid_span_id"),
    "parent id of 3 bytes": ({"parent_span_id": b"abc"}, "invalid_parent_id"),
}


@pytest.mark.parametrize("case", BAD_SPANS, ids=str)
def test_a_bad_span_is_refused_and_every_other_one_is_forwarded(running: Any, case: str) -> None:
    """Partial success counts the bad span with a reason; its two neighbours arrive at the destination."""
    changes, reason = BAD_SPANS[case]

    async def scenario() -> None:
        async with HttpSink() as sink:
            exporter = f"exporters: {{sink: {{type: otlp_http, endpoint: 'http://{sink.address}'}}}}"
            async with running(exporter) as app:
                answer = await posted(app, request_of(3, **changes).SerializeToString(), PROTOBUF)
                partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
                assert (answer.status_code, partial.rejected_spans) == (200, 1)
                assert "send" in partial.error_message
                await sink.until(lambda: sink.count(Signal.TRACES) == 2)
                assert await counted(app, "otelcol_receiver_accepted_spans_total") == 2
                assert await counted(app, "otelcol_receiver_refused_spans_total") == 1
                assert await counted(app, "otel_llm_receiver_received_spans_total") == 3
                text = await asyncio.to_thread(
                    lambda: httpx2.get(f"http://{app.admin.address}/metrics", trust_env=False).text
                )
                assert f'reason="{reason}"' in text

    asyncio.run(scenario())


def test_text_that_is_not_utf8_costs_only_its_span(running: Any) -> None:
    """Protobuf refuses the whole request for one broken byte; the collector refuses one span."""
    request = request_of(3)
    request.resource_spans[0].scope_spans[0].spans[1].name = "BROKEN"
    body = request.SerializeToString().replace(b"BROKEN", b"BR\xff\xfeEN")

    async def scenario() -> None:
        async with HttpSink() as sink:
            exporter = f"exporters: {{sink: {{type: otlp_http, endpoint: 'http://{sink.address}'}}}}"
            async with running(exporter) as app:
                answer = await posted(app, body, PROTOBUF)
                partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
                assert (answer.status_code, partial.rejected_spans) == (200, 1)
                assert "UTF-8" in partial.error_message
                await sink.until(lambda: sink.count(Signal.TRACES) == 2)

    asyncio.run(scenario())


def test_negative_duration_and_numbers_as_strings_are_kept(running: Any) -> None:
    """A span that ends before it starts is kept and noted; JSON may write numbers as strings."""
    span = {
        "traceId": os.urandom(16).hex(),
        "spanId": os.urandom(8).hex(),
        "name": "chat",
        "kind": 3,
        "startTimeUnixNano": "1760000002000000000",
        "endTimeUnixNano": "1760000001000000000",
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
            {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o-mini"}},
            {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000"}},
            {"key": "gen_ai.usage.output_tokens", "value": {"intValue": 500}},
        ],
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()

    async def scenario() -> None:
        async with running() as app:
            answer = await posted(app, gzip.compress(body), {**JSON, "content-encoding": "gzip"})
            assert (answer.status_code, answer.json()) == (200, {})
            assert await counted(app, "otel_llm_cost_usd_total") == pytest.approx(0.00045)
            assert await counted(app, "otel_llm_engine_noted_items_total") == 1
            assert await counted(app, "otel_llm_operation_duration_seconds_count") == 0

    asyncio.run(scenario())


def test_metrics_and_logs_are_taken_and_forwarded_over_both_transports(running: Any) -> None:
    """The other two signals go the same way: counted at the door, kept, sent on byte for byte."""
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m", unit="s")
    metric.gauge.data_points.add(as_double=1.5, time_unix_nano=1)
    metric.gauge.data_points.add(as_double=2.5, time_unix_nano=2)
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=os.urandom(16)).body.string_value = "hello"
    service = "/opentelemetry.proto.collector.{0}.v1.{1}Service/Export"

    async def scenario() -> None:
        async with HttpSink() as sink:
            exporter = f"exporters: {{sink: {{type: otlp_http, endpoint: 'http://{sink.address}'}}}}"
            async with running(exporter) as app:
                assert (await posted(app, metrics.SerializeToString(), PROTOBUF, "/v1/metrics")).status_code == 200
                assert (await posted(app, logs.SerializeToString(), PROTOBUF, "/v1/logs")).status_code == 200
                async with grpc.aio.insecure_channel(app.receivers["OTLP/gRPC"].address) as channel:
                    for name, kind, request in (("metrics", "Metrics", metrics), ("logs", "Logs", logs)):
                        call = channel.unary_unary(service.format(name, kind))
                        assert await call(request.SerializeToString(), timeout=10) == b""
                await sink.until(lambda: (sink.count(Signal.METRICS), sink.count(Signal.LOGS)) == (4, 2))
                sent = [taken.request for taken in sink.taken if taken.signal is Signal.METRICS]
                assert sent == [metrics, metrics]

    asyncio.run(scenario())


def test_over_grpc_malformed_is_invalid_argument_and_no_room_is_unavailable_with_a_delay(
    running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two codes a gRPC sender acts upon: never again, and again after the delay in RetryInfo."""

    async def scenario() -> None:
        async with running() as app, grpc.aio.insecure_channel(app.receivers["OTLP/gRPC"].address) as channel:
            export = channel.unary_unary(EXPORT)
            with pytest.raises(grpc.aio.AioRpcError) as malformed:
                await export(b"\xff" * 20, timeout=10)
            assert malformed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "send protobuf" in (malformed.value.details() or "")

            monkeypatch.setattr(app.intake, "_max_in_flight", 10)
            with pytest.raises(grpc.aio.AioRpcError) as full:
                await export(request_of().SerializeToString(), timeout=10)
            assert full.value.code() is grpc.StatusCode.UNAVAILABLE
            details = dict(full.value.trailing_metadata() or ())["grpc-status-details-bin"]
            info = error_details_pb2.RetryInfo()
            assert status_pb2.Status.FromString(details).details[0].Unpack(info)
            assert info.retry_delay.seconds == 1
            answer = await posted(app, request_of().SerializeToString(), PROTOBUF)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

    asyncio.run(scenario())


def test_any_bytes_end_in_an_answer(running: Any) -> None:
    """Random bodies, protobuf or JSON, gzip or not: never a 500, never a hang."""
    bodies = st.binary(max_size=400) | st.binary(max_size=100).map(lambda more: request_of().SerializeToString() + more)

    async def scenario() -> None:
        async with running() as app:
            url = f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces"

            @settings(max_examples=150, suppress_health_check=list(HealthCheck))
            @given(bodies, st.sampled_from([PROTOBUF, JSON]), st.booleans())
            def attempt(body: bytes, headers: dict[str, str], zipped: bool) -> None:
                sent = {**headers, "content-encoding": "gzip"} if zipped else headers
                content = gzip.compress(body) if zipped else body
                answer = httpx2.post(url, content=content, headers=sent, timeout=10, trust_env=False)
                assert answer.status_code in (200, 400)

            await asyncio.to_thread(attempt)

    asyncio.run(scenario())
