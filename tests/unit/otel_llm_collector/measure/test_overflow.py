"""What has no room of its own is summed in one series per metric that only rises, whatever its senders do."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otel_llm_collector.measure.otlp_metrics import OtlpMetrics
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql import instant, parse
from otel_llm_collector.measure.promql.storage import Matcher
from otel_llm_collector.measure.promql.values import Vector
from otel_llm_collector.measure.sampler import Sampler
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

NOW = 1_700_000_000_000
STEP = 15_000
NANO = 1_000_000
CUMULATIVE, DELTA = 2, 1
STEPS = 8


class Bench:
    """A store with little room, and requests of one metric each."""

    def __init__(self, max_series_per_name: int) -> None:
        self.past = Past(seconds=7200, max_series=1000, max_series_per_name=max_series_per_name)
        self.metrics = OtlpMetrics(self.past)

    def send(self, fill: Any, *, now: int = NOW, instance: str = "") -> None:
        """One request with one metric that `fill` fills in."""
        request = ExportMetricsServiceRequest()
        resource_metrics = request.resource_metrics.add()
        resource_metrics.resource.attributes.add(key="service.instance.id").value.string_value = instance
        fill(resource_metrics.scope_metrics.add().metrics.add(name="app.thing"))
        self.metrics.take(request.SerializeToString(), now)

    def series(self, name: str) -> dict[str, list[float]]:
        """Values by name and labels."""
        found = self.past.select([Matcher("__name__", "=~", name)], NOW - 10**7, NOW + 10**8)
        return {" ".join(f"{key}={value}" for key, value in one.labels): list(one.values) for one in found}


def point(into: Any, value: float = 0.0, at: int = NOW, start: int = 0, **attributes: str) -> Any:
    """One point."""
    one = into.data_points.add(time_unix_nano=at * NANO, start_time_unix_nano=start * NANO)
    if hasattr(one, "as_double"):
        one.as_double = value
    for key, text in attributes.items():
        one.attributes.add(key=key).value.string_value = text
    return one


def sums(values: dict[str, float], at: int, *, start: int = NOW - 10**9, temporality: int = CUMULATIVE) -> Any:
    """What fills in a counter with a point for each user."""

    def fill(metric: Any) -> None:
        metric.sum.aggregation_temporality, metric.sum.is_monotonic = temporality, True
        for user, value in values.items():
            point(metric.sum, value, at, start, user=user)

    return fill


def overflow(bench: Bench, name: str = "app_thing_total") -> list[float]:
    """The values of the overflow series of a name."""
    (found,) = bench.past.select(
        [Matcher("__name__", "=", name), Matcher("otel_metric_overflow", "=", "true")], 0, 2**60
    )
    assert len(found.labels) == 2
    return list(found.values)


def test_cumulative_counters_add_what_they_rose() -> None:
    """The first point says nothing, then increases count; a reset, a repeated and a late point are what they are."""
    bench = Bench(max_series_per_name=2)
    for step, (a, b) in enumerate([(100, 200), (110, 200), (110, 205), (3, 205), (4, 206)]):
        at = NOW + step * STEP
        fill = sums({"x": 1, "y": 1, "a": a, "b": b}, at)
        bench.send(fill, now=at)
        bench.send(fill, now=at)  # the same again
        bench.send(sums({"a": 1, "b": 1}, at - 1), now=at)  # late
    assert overflow(bench) == [0, 10, 15, 18, 20]
    assert bench.metrics.dropped["repeated_point"] == 20
    assert bench.metrics.overflow.points == 10
    assert len(bench.series("app_thing_total")) == 3


def test_a_counter_that_begins_while_we_look_counts_from_zero() -> None:
    """Its start is after our first look, so that all of it is increase."""
    bench = Bench(max_series_per_name=1)
    bench.send(sums({"x": 1}, NOW))
    bench.send(sums({"a": 7}, NOW + STEP, start=NOW + 1000), now=NOW + STEP)
    assert overflow(bench) == [0, 7]


def test_deltas_are_added_once() -> None:
    """A delta that comes again, or is older than its stream's last, adds nothing."""
    bench = Bench(max_series_per_name=1)
    bench.send(sums({"x": 1}, NOW, temporality=DELTA))
    for at, values in [(1, {"a": 5, "b": 1}), (1, {"a": 5, "b": 1}), (2, {"a": 2}), (1, {"b": 9})]:
        bench.send(sums(values, NOW + at * STEP, temporality=DELTA), now=NOW + at * STEP)
    assert overflow(bench) == [0, 6, 8]


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
def test_histograms_are_added_bucket_by_bucket(temporality: int) -> None:
    """The overflow is a whole histogram; other bounds are counted and left out; none is half in its own series."""
    bench = Bench(max_series_per_name=2)

    def fill(counts: tuple[int, int], bound: float = 1.0, at: int = NOW) -> Any:
        def into(metric: Any) -> None:
            metric.histogram.aggregation_temporality = temporality
            for user in ("x", "y"):
                one = point(metric.histogram, at=at, start=NOW - 10**9, user=user)
                one.bucket_counts[:] = counts
                one.explicit_bounds[:] = [bound]
                one.count, one.sum = sum(counts), 10.0 * sum(counts)

        return into

    for step, counts in enumerate([(1, 1), (2, 3)]):
        bench.send(fill(counts, at=NOW + step * STEP), now=NOW + step * STEP)
    bench.send(fill((2, 3), 2.0, NOW + 2 * STEP), now=NOW + 2 * STEP)
    assert bench.metrics.dropped["overflow_buckets"] == 2
    rose = 1 if temporality == CUMULATIVE else 3
    found = {
        name: values[-1] for name, values in bench.series("app_thing_.*").items() if "otel_metric_overflow" in name
    }
    assert found["__name__=app_thing_bucket le=1 otel_metric_overflow=true"] == rose
    assert (
        found["__name__=app_thing_bucket le=+Inf otel_metric_overflow=true"]
        == found["__name__=app_thing_count otel_metric_overflow=true"]
    )
    own = [name for name in bench.series("app_thing_count") if "overflow" not in name]
    assert len(own) == 1


@pytest.mark.parametrize("temporality", [CUMULATIVE, DELTA])
def test_native_histograms_are_added(temporality: int) -> None:
    """Also where their resolutions differ."""
    bench = Bench(max_series_per_name=1)

    def fill(count: int, at: int) -> Any:
        def into(metric: Any) -> None:
            metric.exponential_histogram.aggregation_temporality = temporality
            for user, scale in (("x", 1), ("a", 1), ("b", 0)):
                one = point(metric.exponential_histogram, at=at, start=NOW - 10**9, user=user)
                one.scale, one.count, one.sum = scale, count, float(count)
                one.positive.bucket_counts[:] = [count]

        return into

    for step, count in enumerate([2, 5]):
        bench.send(fill(count, NOW + step * STEP), now=NOW + step * STEP)
    query = parse('histogram_count(app_thing{otel_metric_overflow="true"})')
    answer = instant(query, bench.past, NOW + STEP)
    assert isinstance(answer, Vector)
    assert [one.value for one in answer.samples] == [6.0 if temporality == CUMULATIVE else 14.0]


def test_gauges_and_what_may_fall_are_counted_only() -> None:
    """A sum of gauges would be a number that nobody measured."""
    bench = Bench(max_series_per_name=1)

    def fill(metric: Any) -> None:
        for user in ("x", "a", "b"):
            point(metric.gauge, 1.0, user=user)

    bench.send(fill)
    assert bench.metrics.dropped["series_limit"] == 2
    assert len(bench.series("app_thing")) == 1


def test_streams_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A label explosion costs a bounded memory, and what is forgotten is counted; the sum never falls."""
    monkeypatch.setattr("otel_llm_collector.limits.MAX_OVERFLOW_STREAMS", 3)
    bench = Bench(max_series_per_name=1)
    for step in range(6):
        at = NOW + step * STEP
        fill = sums({f"u{step * 4 + number}": 1 for number in range(4)}, at, start=NOW + 1)
        bench.send(fill, now=at, instance=str(step))
    values = overflow(bench)
    assert values == sorted(values)
    assert bench.metrics.dropped["overflow_forgotten"] == 24 - 1 - 3
    assert len(bench.metrics._streams) == 1


def test_own_series_overflow_too() -> None:
    """Counters of the collector beyond the room rise in the overflow; restarts of the clock are no resets."""
    registry = CollectorRegistry()
    calls = Counter("calls", "x", ["user"], registry=registry)
    took = Histogram("took", "x", ["user"], buckets=[1], registry=registry)
    Gauge("level", "x", ["user"], registry=registry).labels("a").set(3)
    past = Past(seconds=7200, max_series=1000, max_series_per_name=2)
    sampler = Sampler(registry, past)
    for step in range(STEPS):
        for user in range(step + 1):
            calls.labels(str(user)).inc()
            took.labels(str(user)).observe(0.5)
        sampler.sample(NOW + step * STEP)
    answer = instant(parse("sum by (__name__) ({otel_metric_overflow='true'})"), past, NOW + (STEPS - 1) * STEP)
    assert isinstance(answer, Vector)
    totals = {dict(one.labels)["__name__"]: one.value for one in answer.samples}
    assert totals["calls_total"] == sum(range(1, STEPS - 1))
    assert totals["took_count"] == sum(range(1, STEPS - 1))
    rate = instant(parse("sum(increase(calls_total[2m]))"), past, NOW + (STEPS - 1) * STEP)
    assert isinstance(rate, Vector)
    assert rate.samples[0].value > 0


def test_the_overflow_outlives_its_neighbours() -> None:
    """When series leave and numbers change, the sum goes on from where it was."""
    bench = Bench(max_series_per_name=2)
    for hour in range(5):
        at = NOW + hour * 3_600_000
        bench.past.prune(at)
        bench.send(sums({f"x{hour}": 1, f"y{hour}": 1, "a": 10 * hour}, at), now=at)
    assert bench.past.epoch
    assert overflow(bench)[-1] == 40
