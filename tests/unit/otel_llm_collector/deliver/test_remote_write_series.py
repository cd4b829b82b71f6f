"""OTLP metrics as the series that remote write sends; what the window keeps of the same request is the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otel_llm_collector.deliver.remote_write_format import Series
from otel_llm_collector.deliver.remote_write_series import Converter
from otel_llm_collector.measure.otlp_metrics import OtlpMetrics
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.storage import Matcher, is_stale

NOW_MS = 1_700_000_000_000
NANO = 1_000_000
CUMULATIVE, DELTA = 2, 1


def request_of(*metrics: tuple[str, str, Any]) -> bytes:
    """A request with these metrics, each a name, a unit and what fills it in."""
    request = ExportMetricsServiceRequest()
    level = request.resource_metrics.add()
    for key, value in {"service.name": "rag", "service.instance.id": "i-1", "host.name": "h"}.items():
        level.resource.attributes.add(key=key).value.string_value = value
    scope = level.scope_metrics.add()
    scope.scope.name = "lib"
    for name, unit, fill in metrics:
        fill(scope.metrics.add(name=name, unit=unit, description="A thing."))
    return request.SerializeToString()


def sum_of(value: float, *, at: int = 0, temporality: int = CUMULATIVE, flags: int = 0) -> Any:
    def fill(metric: Any) -> None:
        metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, temporality
        metric.sum.data_points.add(time_unix_nano=(NOW_MS + at) * NANO, as_double=value, flags=flags)

    return fill


def histogram(metric: Any, counts: tuple[int, ...] = (1, 2, 1), total: float | None = 3.5) -> None:
    metric.histogram.aggregation_temporality = CUMULATIVE
    metric.histogram.data_points.add(
        time_unix_nano=NOW_MS * NANO, count=sum(counts), sum=total, bucket_counts=counts, explicit_bounds=[0.5, 1.0]
    ).exemplars.add(as_double=0.7, trace_id=b"t" * 16, time_unix_nano=NOW_MS * NANO)


def exponential(metric: Any, temporality: int = CUMULATIVE, at: int = 0, scale: int = 0) -> None:
    metric.exponential_histogram.aggregation_temporality = temporality
    one = metric.exponential_histogram.data_points.add(
        time_unix_nano=(NOW_MS + at) * NANO, count=6, sum=12.0, scale=scale, zero_count=1
    )
    one.positive.bucket_counts.extend([2, 0, 3])


def summary(metric: Any) -> None:
    one = metric.summary.data_points.add(time_unix_nano=NOW_MS * NANO, count=4, sum=8.0)
    one.quantile_values.add(quantile=0.99, value=3.0)


def gauge(metric: Any) -> None:
    one = metric.gauge.data_points.add(time_unix_nano=NOW_MS * NANO, as_int=-3)
    for key in ("a.b", "a-b"):
        one.attributes.add(key=key).value.string_value = key
    one.attributes.add(key="list").value.array_value.values.add(string_value="x")


def shown(series: list[Series]) -> dict[str, list[tuple[int, float]]]:
    return {" ".join(f"{key}={value}" for key, value in one.labels): one.samples for one in series}


EVERY_SHAPE = (
    ("gen_ai.tokens", "{token}", sum_of(5)),
    ("gen_ai.duration", "s", histogram),
    ("of.degrees", "Cel", lambda metric: histogram(metric, total=None)),
    ("gen_ai.native", "s", exponential),
    ("fast", "ms", summary),
    ("share", "1", gauge),
)


def test_what_is_sent_is_what_the_window_holds() -> None:
    """Every shape of metric: the same names, labels and values go out as PromQL sees inside."""
    payload = request_of(*EVERY_SHAPE)
    past = Past(seconds=7200, max_series=1000, max_series_per_name=1000)
    OtlpMetrics(past, promoted=()).take(payload, NOW_MS)
    kept = past.select([Matcher("__name__", "=~", ".+")], NOW_MS - 10**6, NOW_MS + 10**6)
    sent = Converter({}).series(payload)
    assert {one.labels for one in sent} == {one.labels for one in kept}
    inside = {one.labels: one for one in kept}
    for one in sent:
        if one.histograms:
            mine, theirs = one.histograms[0][1], (inside[one.labels].histograms or [None])[-1]
            assert theirs is not None
            assert (mine.count, mine.sum, mine.positive) == (theirs.count, theirs.sum, theirs.positive)
        else:
            assert one.samples[-1][1] == inside[one.labels].values[-1], one.labels


def test_each_shape_has_its_series() -> None:
    """Suffixes, buckets, quantiles, scope, target_info; a histogram without a sum has none; external labels on all."""
    found = shown(Converter({"data center": "eu"}).series(request_of(*EVERY_SHAPE)))
    ends = "data_center=eu instance=i-1 job=rag"
    assert all("data_center=eu" in name for name in found)
    assert found[f"__name__=gen_ai_tokens_total {ends} otel_scope_name=lib"] == [(NOW_MS, 5)]
    assert found[f"__name__=gen_ai_duration_seconds_bucket {ends} le=1 otel_scope_name=lib"] == [(NOW_MS, 3)]
    assert found[f"__name__=gen_ai_duration_seconds_sum {ends} otel_scope_name=lib"] == [(NOW_MS, 3.5)]
    assert f"__name__=of_degrees_celsius_sum {ends} otel_scope_name=lib" not in found
    assert found[f"__name__=of_degrees_celsius_count {ends} otel_scope_name=lib"] == [(NOW_MS, 4)]
    assert found[f"__name__=fast_milliseconds {ends} otel_scope_name=lib quantile=0.99"] == [(NOW_MS, 3)]
    assert found[f'__name__=share_ratio a_b=a-b;a.b {ends} list=["x"] otel_scope_name=lib'] == [(NOW_MS, -3)]
    assert found["__name__=target_info data_center=eu host_name=h instance=i-1 job=rag"] == [(NOW_MS, 1)]


def test_an_exemplar_stands_on_its_bucket() -> None:
    """0.7 falls into the bucket that ends at 1."""
    series = Converter({}).series(request_of(("d", "s", histogram)))
    (one,) = [one for one in series if one.exemplars]
    assert dict(one.labels)["le"] == "1"
    assert one.exemplars[0].labels == (("trace_id", (b"t" * 16).hex()),)


def test_deltas_add_up_once_also_of_exponential_histograms() -> None:
    """The second of three points comes twice."""
    converter = Converter({})
    for at in (0, 1000, 1000, 2000):
        payload = request_of(
            ("n", "", sum_of(2, at=at, temporality=DELTA)),
            ("h", "", lambda metric, at=at: exponential(metric, DELTA, at)),
        )
        series = {dict(one.labels)["__name__"]: one for one in converter.series(payload)}
    assert series["n_total"].samples == [(NOW_MS + 2000, 6)]
    ((_, native),) = series["h"].histograms
    assert (native.count, native.sum, native.positive) == (18, 36, {1: 6, 3: 9})


def test_a_point_without_a_value_ends_its_series() -> None:
    """Its sample is Prometheus' mark of an end, also where deltas are added up."""
    (one, _) = Converter({}).series(request_of(("n", "", sum_of(0, temporality=DELTA, flags=1))))
    assert is_stale(np.array([one.samples[0][1]])).all()


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        (("...", "", gauge), "without a name"),
        (("h", "", lambda metric: histogram(metric, counts=(1, 2))), "with buckets that do not fit"),
        (("h", "", lambda metric: exponential(metric, scale=-5)), "with a scale below -4"),
        (("n", "", sum_of(math.inf, temporality=DELTA)), "that would add what is no number"),
    ],
)
def test_what_cannot_be_told_is_counted_and_the_rest_is_sent(metric: tuple[str, str, Any], why: str) -> None:
    """One bad point beside a good one."""
    converter = Converter({})
    names = {dict(one.labels)["__name__"] for one in converter.series(request_of(metric, ("good", "", gauge)))}
    assert names == {"good", "target_info"}
    assert converter.unsent == {why: 1}
