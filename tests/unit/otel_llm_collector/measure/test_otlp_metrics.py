"""Every shape of OTLP metric becomes the series that OpenTelemetry's rules for Prometheus name, once."""

from __future__ import annotations

import math
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otel_llm_collector.measure.names import label_name, metric_name, series_name
from otel_llm_collector.measure.otlp_metrics import OtlpMetrics
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.storage import STALE_BITS, Matcher, is_stale

NOW = 1_700_000_000_000
STEP = 15_000
NANO = 1_000_000
CUMULATIVE, DELTA = 2, 1


class Bench:
    """A store, and requests of one metric each."""

    def __init__(self, **changes: int) -> None:
        self.past = Past(**{"seconds": 7200, "max_series": 1000, "max_series_per_name": 1000, **changes})
        self.metrics = OtlpMetrics(self.past)

    def send(self, fill: Any, *, name: str = "app.thing", unit: str = "", now: int = NOW, **resource: str) -> None:
        """One request with one metric that `fill` fills in."""
        request = ExportMetricsServiceRequest()
        resource_metrics = request.resource_metrics.add()
        for key, value in (resource or {"service.name": "svc"}).items():
            one = resource_metrics.resource.attributes.add(key=key.replace("_", "."))
            one.value.string_value = value
        scope = resource_metrics.scope_metrics.add()
        metric = scope.metrics.add(name=name, unit=unit, description="A thing.")
        fill(metric)
        self.metrics.take(request.SerializeToString(), now)

    def series(self, name: str = ".+") -> dict[str, list[float]]:
        """Values by name and labels, without those of the resource."""
        found = self.past.select([Matcher("__name__", "=~", name)], NOW - 10**7, NOW + 10**7)
        return {
            " ".join(f"{key}={value}" for key, value in one.labels if key not in ("job", "service_name")): list(
                one.values
            )
            for one in found
        }


def point(into: Any, value: float = 0.0, at: int = NOW, start: int = 0, **attributes: str) -> Any:
    """One point of numbers."""
    one = into.data_points.add(time_unix_nano=at * NANO, start_time_unix_nano=start * NANO)
    if hasattr(one, "as_double"):
        one.as_double = value
    for key, text in attributes.items():
        one.attributes.add(key=key).value.string_value = text
    return one


def total(value: float, at: int, *, start: int = 1, temporality: int = CUMULATIVE, monotonic: bool = True) -> Any:
    """What fills in a sum."""

    def fill(metric: Any) -> None:
        metric.sum.aggregation_temporality, metric.sum.is_monotonic = temporality, monotonic
        point(metric.sum, value, at, start)

    return fill


@pytest.mark.parametrize(
    ("name", "unit", "kind", "wanted"),
    [
        ("otel_llm.requests", "{request}", "counter", "otel_llm_requests_total"),
        ("system.cpu.time", "s", "counter", "system_cpu_time_seconds_total"),
        ("hw.gpu.io", "By", "counter", "hw_gpu_io_bytes_total"),
        ("disk.rate", "By/s", "gauge", "disk_rate_bytes_per_second"),
        ("hw.gpu.utilization", "1", "gauge", "hw_gpu_utilization_ratio"),
        ("queue.size", "1", "histogram", "queue_size"),
        ("a.total.things", "", "counter", "a_things_total"),
        ("temp..inside", "Cel", "gauge", "temp_inside_celsius"),
        ("wait_seconds", "s", "histogram", "wait_seconds"),
        ("8ball", "", "gauge", "_8ball"),
        ("köln", "", "gauge", "k_ln"),
        ("...", "", "gauge", ""),
    ],
)
def test_names(name: str, unit: str, kind: str, wanted: str) -> None:
    """The examples of the compatibility rules, and names that nobody should send."""
    assert series_name(name, unit, kind) == wanted
    assert metric_name("a.b", "s") == "a_b_seconds"
    assert label_name("0.a-b") == "key_0_a_b"


def test_a_gauge_with_resource_and_scope() -> None:
    """job, instance, target_info, otel_scope_name; two keys that become one label are joined."""
    bench = Bench()

    def fill(metric: Any) -> None:
        point(metric.gauge, 4.5, **{"a.b": "1", "a-b": "2", "empty": ""})

    bench.send(fill, unit="s", service_name="svc", service_namespace="ns", service_instance_id="i1", host_name="h")
    assert bench.series() == {
        "__name__=app_thing_seconds a_b=2;1 instance=i1": [4.5],
        "__name__=target_info host_name=h instance=i1": [1.0],
    }
    assert bench.metrics.described["app_thing_seconds"].kind == "gauge"


def test_cumulative_sums_and_a_beginning_in_sight() -> None:
    """A counter that began while we looked has a 0 at its beginning; a value that goes both ways has none."""
    bench = Bench()
    bench.send(total(5, NOW, start=NOW - 60_000))
    bench.send(total(7, NOW + STEP, start=NOW - 60_000))
    bench.send(total(2, NOW + 3 * STEP, start=NOW + 2 * STEP), now=NOW + 3 * STEP)
    bench.send(total(3, NOW, start=NOW - 60_000, monotonic=False), name="both.ways")
    assert bench.series() == {"__name__=app_thing_total": [0, 5, 7, 0, 2], "__name__=both_ways": [3]}


def test_delta_sums_add_up_and_count_once() -> None:
    """Three points, one of them sent twice, one of them late: what came twice is dropped and counted."""
    bench = Bench()
    for at in (NOW, NOW + STEP, NOW + STEP, NOW - STEP, NOW + 2 * STEP):
        bench.send(total(2, at, start=at - STEP, temporality=DELTA))
    assert bench.series() == {"__name__=app_thing_total": [0, 2, 4, 6]}
    assert bench.metrics.dropped == {"repeated_delta": 2}


def test_a_delta_that_is_no_number_does_not_spoil_the_total() -> None:
    """NaN and infinity are dropped; a cumulative NaN stays what it is."""
    bench = Bench()
    for index, value in enumerate((1, math.nan, math.inf, 2)):
        bench.send(total(value, NOW + index * STEP, temporality=DELTA))
    bench.send(total(math.nan, NOW), name="odd")
    series = bench.series()
    assert series["__name__=app_thing_total"] == [1, 3]
    assert math.isnan(series["__name__=odd_total"][-1])
    assert bench.metrics.dropped == {"not_finite": 2}


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
def test_histograms(temporality: int) -> None:
    """Buckets add up; a bound is written without a trailing zero; other bounds are other series."""
    bench = Bench()

    def fill(metric: Any) -> None:
        metric.histogram.aggregation_temporality = temporality
        one = point(metric.histogram)
        one.explicit_bounds.extend([0.5, 1.0])
        one.bucket_counts.extend([1, 2, 3])
        one.sum, one.count = 9.0, 6

    bench.send(fill, unit="s")
    assert bench.series() == {
        "__name__=app_thing_seconds_bucket le=0.5": [1],
        "__name__=app_thing_seconds_bucket le=1": [3],
        "__name__=app_thing_seconds_bucket le=+Inf": [6],
        "__name__=app_thing_seconds_sum": [9],
        "__name__=app_thing_seconds_count": [6],
    }


def test_summaries() -> None:
    """A series for each quantile."""
    bench = Bench()

    def fill(metric: Any) -> None:
        one = point(metric.summary)
        one.quantile_values.add(quantile=0.5, value=1.5)
        one.quantile_values.add(quantile=0.99, value=3.0)
        one.sum, one.count = 9.0, 6

    bench.send(fill)
    assert bench.series() == {
        "__name__=app_thing quantile=0.5": [1.5],
        "__name__=app_thing quantile=0.99": [3.0],
        "__name__=app_thing_sum": [9],
        "__name__=app_thing_count": [6],
    }


@pytest.mark.parametrize(("temporality", "count"), [(CUMULATIVE, 6.0), (DELTA, 12.0)])
def test_exponential_histograms_are_native_ones(temporality: int, count: float) -> None:
    """Their bucket i is Prometheus' i + 1; a finer scale than 8 is made coarser; deltas add up."""
    bench = Bench()

    def fill_at(at: int) -> Any:
        def fill(metric: Any) -> None:
            metric.exponential_histogram.aggregation_temporality = temporality
            one = point(metric.exponential_histogram, at=at)
            one.scale, one.zero_count, one.sum, one.count = 9, 1, 9.0, 6
            one.positive.offset = 2
            one.positive.bucket_counts.extend([1, 1, 3])

        return fill

    bench.send(fill_at(NOW))
    bench.send(fill_at(NOW + STEP))
    [one] = bench.past.select([Matcher("__name__", "=", "app_thing")], NOW, NOW + STEP)
    assert one.histograms is not None
    last = one.histograms[-1]
    assert last is not None
    assert (last.schema, last.count, last.zero_count) == (8, count, count / 6)
    assert dict(last.positive) == {2: 2 * count / 6, 3: 3 * count / 6}


def test_a_point_without_a_value_ends_its_series() -> None:
    """The stale marker, by its bits."""
    bench = Bench()

    def fill(metric: Any) -> None:
        point(metric.gauge, 1.0)

    def end(metric: Any) -> None:
        point(metric.gauge, at=NOW + STEP).flags = 1

    bench.send(fill)
    bench.send(end)
    [one] = bench.past.select([Matcher("__name__", "=", "app_thing")], NOW, NOW + STEP)
    assert is_stale(one.values).tolist() == [False, True]
    assert STALE_BITS > 0


def test_hostile_points_cost_only_themselves() -> None:
    """Buckets that do not fit, a scale out of reach, a hundred labels, no name, no data, next year: all counted."""
    bench = Bench()

    def buckets(metric: Any) -> None:
        metric.histogram.aggregation_temporality = CUMULATIVE
        one = point(metric.histogram)
        one.explicit_bounds.extend([1.0])
        one.bucket_counts.extend([1])

    def scale(metric: Any) -> None:
        metric.exponential_histogram.aggregation_temporality = CUMULATIVE
        point(metric.exponential_histogram).scale = -10

    def labels(metric: Any) -> None:
        point(metric.gauge, 1.0, **{f"label{index}": "x" for index in range(100)})

    def nothing(metric: Any) -> None:
        metric.description = "no data"

    def future(metric: Any) -> None:
        point(metric.gauge, 1.0, at=NOW + 365 * 86_400_000)

    for fill in (buckets, scale, labels, nothing, future):
        bench.send(fill)
    bench.send(lambda metric: point(metric.gauge, 1.0), name="...")
    assert bench.series() == {}
    assert bench.metrics.dropped == {"bad_buckets": 1, "bad_scale": 1, "too_many_labels": 1, "no_name": 1}
    assert bench.past.dropped == {"future": 1}


def test_more_series_than_there_is_room_for() -> None:
    """An exploding label: what finds no room is counted, what is there goes on."""
    bench = Bench(max_series_per_name=10)

    def fill(metric: Any) -> None:
        for index in range(100):
            point(metric.gauge, 1.0, user=str(index))

    bench.send(fill)
    bench.send(fill, now=NOW + STEP)
    assert len(bench.past) == 10
    assert bench.metrics.dropped == {"series_limit": 180}


def test_totals_outlive_series_that_vanish() -> None:
    """When other series leave the store, a delta stream goes on from its total under its new number."""
    bench = Bench(seconds=1800)
    bench.send(total(2, NOW, temporality=DELTA), name="gone")
    later = NOW + 1800 * 1000
    bench.send(total(2, later, temporality=DELTA), now=later)
    last = NOW + 2 * 1800 * 1000
    bench.past.prune(last)
    assert bench.past.epoch == 1
    bench.send(total(3, last, temporality=DELTA), now=last)
    assert bench.series() == {"__name__=app_thing_total": [2, 5]}
