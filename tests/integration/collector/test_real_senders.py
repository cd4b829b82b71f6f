"""OpenTelemetry's own exporters against the collector: what they send arrives, whatever transport and compression."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otel_llm_collector.app import App
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import GrpcSink

pytestmark = pytest.mark.integration

SPANS = 1200


def exporters(app: App) -> dict[str, tuple[Any, Any]]:
    """A span exporter and a metric exporter for each way to send."""
    grpc_at, http_at = app.receivers["OTLP/gRPC"].address, f"http://{app.receivers['OTLP/HTTP'].address}"
    ways: dict[str, tuple[Any, Any]] = {}
    for name, compression in (("plain", grpc.Compression.NoCompression), ("gzip", grpc.Compression.Gzip)):
        options = {"endpoint": grpc_at, "insecure": True, "compression": compression}
        ways[f"grpc {name}"] = GrpcSpanExporter(**options), GrpcMetricExporter(**options)
    for name, encoding in (("plain", Compression.NoCompression), ("gzip", Compression.Gzip)):
        ways[f"http {name}"] = (
            HttpSpanExporter(f"{http_at}/v1/traces", compression=encoding),
            HttpMetricExporter(f"{http_at}/v1/metrics", compression=encoding),
        )
    return ways


def send(app: App) -> int:
    """Send spans and a metric each way; returns how many ways there were."""
    ways = exporters(app)
    for name, (spans, metrics) in ways.items():
        tracing = TracerProvider(shutdown_on_exit=False)
        tracing.add_span_processor(BatchSpanProcessor(spans, max_export_batch_size=512))
        tracer = tracing.get_tracer("sender")
        for number in range(SPANS):
            tracer.start_span(name, attributes={"number": number, "text": "x" * 100}).end()
        tracing.shutdown()
        measuring = MeterProvider([PeriodicExportingMetricReader(metrics)], shutdown_on_exit=False)
        measuring.get_meter("sender").create_counter("things").add(1)
        measuring.shutdown()
    return len(ways)


def test_every_span_and_point_of_real_exporters_arrives(running: Any) -> None:
    """GRPC and HTTP, plain and gzip: nothing is missing, nothing is there twice."""

    async def scenario() -> None:
        async with GrpcSink() as sink:
            exporter = f"exporters: {{sink: {{type: otlp_grpc, endpoint: '{sink.address}', tls: {{insecure: true}}}}}}"
            async with running(exporter) as app:
                ways = await asyncio.to_thread(send, app)
                await sink.until(lambda: sink.count(Signal.TRACES) >= ways * SPANS, 20)
                await sink.until(lambda: sink.count(Signal.METRICS) >= ways)
            spans = [span for taken in sink.taken for span in taken.spans()]
            assert len({span.span_id for span in spans}) == len(spans) == ways * SPANS
            assert sink.count(Signal.METRICS) == ways

    asyncio.run(scenario())
