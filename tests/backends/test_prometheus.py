"""Real servers of metrics: Prometheus over remote write, VictoriaMetrics over remote write and OTLP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otel_llm_collector.contract import Signal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

TRACE = bytes(range(16))


@pytest.fixture(scope="module", params=["Debian's stable", "newer"])
def prometheus(request: Any, tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of the machine's Prometheus, and of one of version 3, which take remote write."""
    newer = request.param == "newer"
    program = tools.program("prometheus/usr/bin/prometheus") if newer else tools.debian("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
    url = f"http://127.0.0.1:{tools.free_port()}"
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.enable-remote-write-receiver"]
    options += [f"--web.listen-address={url.removeprefix('http://')}"]
    options += ["--enable-feature=exemplar-storage,native-histograms"]
    with tools.running(folder, program, *options, ready=f"{url}/-/ready"):
        yield url


@pytest.fixture(scope="module")
def victoria(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a VictoriaMetrics."""
    program = tools.program("victoria/usr/bin/victoria-metrics")
    folder = tmp_path_factory.mktemp("victoria")
    url = f"http://127.0.0.1:{tools.free_port()}"
    options = ["-storageDataPath=data", f"-httpListenAddr={url.removeprefix('http://')}", "-search.latencyOffset=0s"]
    with tools.running(folder, program, *options, "-opentelemetry.usePrometheusNaming", ready=f"{url}/health"):
        yield url


def metrics(at: float, tokens: int) -> ExportMetricsServiceRequest:
    """A counter, a gauge, a histogram with an exemplar, an exponential histogram and a delta."""
    request = ExportMetricsServiceRequest()
    level = request.resource_metrics.add()
    for key, value in {"service.name": "rag", "service.instance.id": "i-1", "service.version": "7"}.items():
        level.resource.attributes.add(key=key).value.string_value = value
    out = level.scope_metrics.add().metrics
    point: Any = {"time_unix_nano": int(at * 1e9), "start_time_unix_nano": int((at - 60) * 1e9)}
    counter = out.add(name="gen_ai.tokens", unit="{token}", description="Tokens.").sum
    counter.is_monotonic, counter.aggregation_temporality = True, 2
    counter.data_points.add(**point, as_int=tokens).attributes.add(key="gen_ai.model").value.string_value = 'm"1'
    out.add(name="queue.size").gauge.data_points.add(**point, as_double=2.5)
    histogram = out.add(name="gen_ai.duration", unit="s").histogram
    histogram.aggregation_temporality = 2
    one = histogram.data_points.add(**point, count=4, sum=3.5, bucket_counts=[1, 2, 1], explicit_bounds=[0.5, 1.0])
    one.exemplars.add(as_double=0.7, trace_id=TRACE, span_id=b"s" * 8, time_unix_nano=int(at * 1e9))
    native = out.add(name="gen_ai.native", unit="s").exponential_histogram
    native.aggregation_temporality = 2
    points = native.data_points.add(**point, count=6, sum=12.0, scale=0, zero_count=1)
    points.positive.offset = 0
    points.positive.bucket_counts.extend([2, 0, 3])  # (1, 2], (2, 4], (4, 8]
    delta = out.add(name="requests").sum
    delta.is_monotonic, delta.aggregation_temporality = True, 1
    delta.data_points.add(**point, as_int=5)
    return request


def value(tools: Any, url: str, query: str) -> Any:
    """The one result of an instant query, or None."""
    result = tools.call("GET", f"{url}/api/v1/query?query={quote(query)}")["data"]["result"]
    return float(result[0]["value"][1]) if len(result) == 1 and "value" in result[0] else None


def send_twice(tools: Any, collector: Any) -> None:
    now = time.time()
    for at, tokens in ((now - 10, 100), (now, 250)):
        collector.send(Signal.METRICS, metrics(at, tokens))
        tools.wait_for(lambda: collector.settled("metrics"), what="delivery")


def test_prometheus_has_what_was_sent_though_an_older_one_swallows_version_2(
    tools: Any, prometheus: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Prometheus 2.42 answers 204 to 2.0 and stores nothing, which is noticed; version 3 takes it; nothing is lost."""
    exporter = {"type": "prometheus_remote_write", "endpoint": f"{prometheus}/api/v1/write"}
    with tools.Collector(tmp_path, {"metrics": {**exporter, "external_labels": {"dc": "eu"}}}) as collector:
        send_twice(tools, collector)
        assert collector.metric("otelcol_exporter_sent_metric_points_total") == 10
        assert collector.metric("otelcol_exporter_send_failed_metric_points_total") == 0
    version = tools.call("GET", f"{prometheus}/api/v1/status/buildinfo")["data"]["version"]
    assert caplog.text.count("does not store version 2.0") == version.startswith("2.")

    labels = 'job="rag",instance="i-1",dc="eu"'
    assert value(tools, prometheus, f'gen_ai_tokens_total{{gen_ai_model="m\\"1",{labels}}}') == 250
    assert value(tools, prometheus, "increase(gen_ai_tokens_total[1m])") > 0
    assert value(tools, prometheus, "queue_size") == 2.5
    assert value(tools, prometheus, 'gen_ai_duration_seconds_bucket{le="1"}') == 3
    assert value(tools, prometheus, 'gen_ai_duration_seconds_bucket{le="+Inf"}') == 4
    assert value(tools, prometheus, "gen_ai_duration_seconds_sum") == 3.5
    assert value(tools, prometheus, "requests_total") == 10  # the deltas added up
    assert value(tools, prometheus, 'target_info{service_version="7"}') == 1
    assert value(tools, prometheus, "histogram_count(gen_ai_native_seconds)") == 6
    assert value(tools, prometheus, "histogram_sum(gen_ai_native_seconds)") == 12
    assert 4 < value(tools, prometheus, "histogram_quantile(0.9, gen_ai_native_seconds)") <= 8

    since, until = time.time() - 60, time.time() + 60
    query = f"query=gen_ai_duration_seconds_bucket&start={since}&end={until}"
    (found,) = tools.call("GET", f"{prometheus}/api/v1/query_exemplars?{query}")["data"]
    assert found["seriesLabels"]["le"] == "1"
    assert found["exemplars"][-1]["labels"]["trace_id"] == TRACE.hex()


def test_a_sample_out_of_order_costs_itself_and_is_counted(tools: Any, prometheus: str, tmp_path: Path) -> None:
    """Prometheus refuses an older sample with 400; it is dropped and counted, and later ones go through."""
    exporter = {"type": "prometheus_remote_write", "endpoint": f"{prometheus}/api/v1/write", "version": "1"}
    now = time.time()

    def gauge(at: float, size: float) -> ExportMetricsServiceRequest:
        request = ExportMetricsServiceRequest()
        points = request.resource_metrics.add().scope_metrics.add().metrics.add(name="order").gauge.data_points
        points.add(time_unix_nano=int(at * 1e9), as_double=size)
        return request

    with tools.Collector(tmp_path, {"metrics": exporter}) as collector:
        for at, size in ((now - 5, 1.0), (now - 3000, 2.0), (now, 3.0)):
            collector.send(Signal.METRICS, gauge(at, size))
            tools.wait_for(lambda: collector.settled("metrics"), what="delivery")
        assert collector.metric("otelcol_exporter_sent_metric_points_total") == 2
        assert collector.metric("otel_llm_exporter_dropped_metric_points_total", reason="refused") == 1
    assert value(tools, prometheus, "order") == 3.0


def test_victoria_metrics_over_remote_write_and_otlp(tools: Any, victoria: str, tmp_path: Path) -> None:
    """The same numbers over both protocols, under their Prometheus names."""
    exporters = {
        "metrics": {"type": "prometheus_remote_write", "endpoint": f"{victoria}/api/v1/write"},
        "otlp": {"type": "otlp_http", "endpoint": f"{victoria}/opentelemetry", "signals": ["metrics"]},
    }
    with tools.Collector(tmp_path, {"metrics": exporters["metrics"]}) as collector:
        send_twice(tools, collector)
    tools.wait_for(lambda: value(tools, victoria, "gen_ai_tokens_total") == 250, what="the counter")
    assert value(tools, victoria, 'gen_ai_duration_seconds_bucket{le="1"}') == 3
    assert value(tools, victoria, "requests_total") == 10

    second = metrics(time.time(), 70)
    second.resource_metrics[0].resource.attributes[0].value.string_value = "over-otlp"
    with tools.Collector(tmp_path, {"otlp": exporters["otlp"]}) as collector:
        collector.send(Signal.METRICS, second)
        tools.wait_for(lambda: collector.settled("otlp"), what="delivery")
        assert collector.metric("otelcol_exporter_sent_metric_points_total") == 5
    query = '{__name__=~"gen_ai_tokens.*"} == 70'
    tools.wait_for(lambda: value(tools, victoria, query) == 70, what="the counter over OTLP")
