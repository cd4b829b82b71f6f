"""OTLP JSON as it leaves: our own receiver reads the same request back."""

from __future__ import annotations

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.otlp_json import to_json
from otel_llm_collector.receive.otlp_json import to_protobuf


def test_spans_come_back_as_they_were() -> None:
    """Ids are hexadecimal, kinds numbers, bytes and large integers exact."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=bytes(range(16)), span_id=bytes(range(8)), parent_span_id=b"p" * 8, name="ü\n", kind=3,
        start_time_unix_nano=2**63 + 1,
    )  # fmt: skip
    span.links.add(trace_id=b"l" * 16, span_id=b"m" * 8)
    span.attributes.add(key="traceId").value.string_value = "not an id"
    span.attributes.add(key="b").value.bytes_value = b"\xff\x00"
    span.attributes.add(key="i").value.int_value = -(2**63)
    span.attributes.add(key="d").value.double_value = float("inf")
    text = to_json(request)
    assert "\n" not in text
    assert '"traceId":"000102030405060708090a0b0c0d0e0f"' in text
    payload, rejects = to_protobuf(Signal.TRACES, text.encode())
    assert ExportTraceServiceRequest.FromString(payload) == request
    assert not rejects


def test_metrics_and_logs_come_back_as_they_were() -> None:
    """Exemplars and log records have ids too."""
    metrics = ExportMetricsServiceRequest()
    point = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points.add(as_int=7)
    point.exemplars.add(trace_id=b"t" * 16, span_id=b"s" * 8, as_double=0.5)
    logs = ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    record.body.kvlist_value.values.add(key="spanId").value.int_value = 1
    for signal, request in ((Signal.METRICS, metrics), (Signal.LOGS, logs)):
        payload, _ = to_protobuf(signal, to_json(request).encode())
        assert type(request).FromString(payload) == request
