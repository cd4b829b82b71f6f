"""rotel, an independent OTLP collector in Rust, on both of our sides: what leaves us arrives with us again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.fakes import KafkaCluster
from otel_llm_collector.receive.otlp_json import to_protobuf

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def agent(tools: Any) -> Path:
    """The agent's binary, which its package keeps among its modules."""
    library = tools.program("rotel/lib")
    found: Path = next(library.glob("python*/site-packages/rotel/rotel-agent"))
    return found


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_all_signals_pass_through_rotel_and_come_back_equal(tools: Any, protocol: str, tmp_path: Path) -> None:
    """Collector -> rotel -> collector -> file: spans with our price, metrics and logs are what was sent."""
    archive = {"type": "file", "path": str(tmp_path / "archive")}
    with tools.Collector(tmp_path, {"archive": archive}) as last:
        grpc_port, http_port = tools.free_port(), tools.free_port()
        back = last.http if protocol == "http" else f"http://{last.grpc}"
        options = {
            "--otlp-grpc-endpoint": f"127.0.0.1:{grpc_port}",
            "--otlp-http-endpoint": f"127.0.0.1:{http_port}",
            "--exporter": "otlp",
            "--otlp-exporter-endpoint": back,
            "--otlp-exporter-protocol": protocol,
            "--batch-timeout": "100ms",
        }
        words = [word for pair in options.items() for word in pair]
        # rotel has no page that says it is ready; it answers 4xx on its OTLP port once it listens
        peer = {"type": "otlp_http", "endpoint": f"http://127.0.0.1:{http_port}"}
        if protocol == "grpc":
            peer = {"type": "otlp_grpc", "endpoint": f"127.0.0.1:{grpc_port}", "tls": {"insecure": True}}
        peer["retry"] = {"initial_seconds": 0.2}
        with (
            tools.listening(tmp_path, agent(tools), "start", *words, port=http_port),
            tools.Collector(tmp_path, {"peer": peer}) as first,
        ):
            trace = tools.Trace()
            metrics = ExportMetricsServiceRequest()
            point = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m").sum
            point.data_points.add(as_int=7, time_unix_nano=5)
            point.is_monotonic, point.aggregation_temporality = True, 2
            first.send(Signal.TRACES, trace.request)
            first.send(Signal.METRICS, metrics)
            first.send(Signal.LOGS, trace.score("helpful", 0.5, on=trace.call))
            tools.wait_for(lambda: last.metric("otelcol_exporter_sent_log_records_total") == 1, what="the log record")
            tools.wait_for(lambda: last.metric("otelcol_exporter_sent_spans_total") == 2, what="the spans")
            tools.wait_for(lambda: last.metric("otelcol_exporter_sent_metric_points_total") == 1, what="the metric")
            assert first.metric("otelcol_exporter_send_failed_spans_total") == 0

    def read(signal: Signal, kind: Any) -> Any:
        lines = (tmp_path / "archive" / f"{signal}.jsonl").read_bytes().splitlines()
        return [kind.FromString(to_protobuf(signal, line)[0]) for line in lines]

    (request,) = read(Signal.TRACES, ExportTraceServiceRequest)
    spans = {span.name: span for level in request.resource_spans for one in level.scope_spans for span in one.spans}
    for sent in (trace.root, trace.call):
        came = spans[sent.name]
        same = ("trace_id", "span_id", "parent_span_id", "kind", "start_time_unix_nano", "end_time_unix_nano")
        assert [getattr(came, field) for field in same] == [getattr(sent, field) for field in same]
    attributes = {one.key: one.value for one in spans[trace.call.name].attributes}
    assert {one.key: one.value for one in trace.call.attributes}.items() <= attributes.items()
    assert attributes["otel_llm.cost.total"].double_value == pytest.approx(trace.cost)
    (metric,) = read(Signal.METRICS, ExportMetricsServiceRequest)
    assert metric.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_int == 7
    (logs,) = read(Signal.LOGS, ExportLogsServiceRequest)
    record = logs.resource_logs[0].scope_logs[0].log_records[0]
    assert record.trace_id == trace.root.trace_id
    assert json.dumps([one.key for one in record.attributes]).count("gen_ai.evaluation") == 3


def test_what_rotel_puts_into_kafka_arrives(tools: Any, tmp_path: Path) -> None:
    """Rotel's Kafka exporter in front, our log in Kafka behind: its messages are read, counted and forwarded.

    librdkafka's own cluster is the broker. rotel has no receiver for Kafka, so the way back cannot be tried.
    """
    pytest.importorskip("confluent_kafka", reason="pip install 'otel-llm[kafka]' gives it")
    binary = agent(tools)
    cluster = KafkaCluster()
    topics = {signal.value: f"rotel-{signal}" for signal in Signal}
    for topic in topics.values():
        cluster.create_topic(topic, 2)
    grpc_port, http_port = tools.free_port(), tools.free_port()
    options = {
        "--otlp-grpc-endpoint": f"127.0.0.1:{grpc_port}",
        "--otlp-http-endpoint": f"127.0.0.1:{http_port}",
        "--exporter": "kafka",
        "--kafka-exporter-brokers": ",".join(cluster.brokers),
        "--batch-timeout": "100ms",
        **{f"--kafka-exporter-{signal}-topic": topic for signal, topic in topics.items()},
    }
    words = [word for pair in options.items() for word in pair]
    section = {"kind": "kafka", "brokers": cluster.brokers, "topics": topics, "begin": "earliest"}
    archive = {"type": "file", "path": str(tmp_path / "archive")}
    sender = {"type": "otlp_http", "endpoint": f"http://127.0.0.1:{http_port}", "retry": {"initial_seconds": 0.2}}
    with (
        tools.Collector(tmp_path, {"archive": archive}, log=section) as last,
        tools.listening(tmp_path, binary, "start", *words, port=http_port),
        tools.Collector(tmp_path, {"rotel": sender}) as first,
    ):
        trace = tools.Trace()
        first.send(Signal.TRACES, trace.request)
        first.send(Signal.LOGS, trace.score("helpful", 0.5, on=trace.call))
        tools.wait_for(lambda: last.metric("otelcol_exporter_sent_spans_total") == 2, what="the spans")
        tools.wait_for(lambda: last.metric("otelcol_exporter_sent_log_records_total") == 1, what="the log record")
        assert last.metric("otel_llm_exporter_accepted_spans_total") == 2  # rotel does not say it: they are counted
    cluster.close()
    lines = (tmp_path / "archive/traces.jsonl").read_bytes().splitlines()
    requests = [ExportTraceServiceRequest.FromString(to_protobuf(Signal.TRACES, line)[0]) for line in lines]
    spans = [span for one in requests for level in one.resource_spans for s in level.scope_spans for span in s.spans]
    assert {(span.trace_id, span.name) for span in spans} == {
        (span.trace_id, span.name) for span in (trace.root, trace.call)
    }
