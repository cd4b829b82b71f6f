"""The collector's measurements as cumulative series, bounded in number.

Series are keyed by metric and label values. When a metric has `max_series_per_metric` of them, further label sets are
added up in one series labelled `otel_metric_overflow="true"` (the name that OpenTelemetry's SDKs use), so that sums
stay right and memory stays bounded; each sample that went there is counted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from otel_llm_semconv.metrics import METRICS, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from otel_llm_collector import limits
from otel_llm_collector.contract import HistogramDelta, SeriesKey
from otel_llm_collector.measure.names import label_name, metric_name
from otel_llm_collector.measure.overflow import OVERFLOW_LABEL
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, make_labels

_OVERFLOW = ("\x00overflow",)  # no attribute value: labels are cleaned of NUL


@dataclass(slots=True)
class Histogram:
    """A cumulative histogram; `counts` are per bucket, the last one is above the highest boundary."""

    counts: list[int]
    sum: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)  # by bucket


@dataclass(frozen=True, slots=True)
class Point:
    """One series at one moment: its labels by Prometheus name, and a counter's value or a histogram's counts."""

    labels: Mapping[str, str]
    value: float
    counts: tuple[int, ...] = ()


@dataclass(slots=True)
class _Table:
    metric: Metric
    series: dict[tuple[str, ...], float | Histogram] = field(default_factory=dict)
    labels: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)  # of each series, made once

    def labels_of(self, key: tuple[str, ...]) -> dict[str, str]:
        found = self.labels.get(key)
        if found is None:
            found = self.labels[key] = _labels(self.metric, key)
        return found


class SeriesStore(Collector):
    """Holds the series of every metric in the registry; safe for threads."""

    def __init__(
        self,
        registered: Mapping[str, Metric] = METRICS,
        max_series_per_metric: int = limits.MAX_SERIES_PER_METRIC,
    ) -> None:
        self._tables = {name: _Table(metric) for name, metric in registered.items()}
        self._by_prometheus_name = {metric_name(metric.name, metric.unit): name for name, metric in registered.items()}
        self._max_series = max_series_per_metric
        self._overflowed = 0
        self._lock = threading.Lock()

    def record(self, counters: Mapping[SeriesKey, float], histograms: Mapping[SeriesKey, HistogramDelta]) -> None:
        """Add one request's measurements."""
        with self._lock:
            for (name, labels), value in counters.items():
                table = self._tables[name]
                key = self._slot(table, labels)
                table.series[key] = table.series.get(key, 0.0) + value  # type: ignore[operator]
            for (name, labels), delta in histograms.items():
                table = self._tables[name]
                key = self._slot(table, labels)
                found = table.series.get(key)
                if not isinstance(found, Histogram):
                    found = table.series[key] = Histogram([0] * len(delta.counts))
                for index, count in enumerate(delta.counts):
                    found.counts[index] += count
                found.sum += delta.sum

    def exemplify(self, name: str, labels: tuple[str, ...], bucket: int, exemplar: Exemplar) -> None:
        """Remember a span for one bucket of a histogram that was measured."""
        with self._lock:
            found = self._tables[name].series.get(tuple(_clean(value) for value in labels))
            if isinstance(found, Histogram):
                found.exemplars[bucket] = exemplar

    def _slot(self, table: _Table, labels: tuple[str, ...]) -> tuple[str, ...]:
        key = tuple(_clean(value) for value in labels)
        if key in table.series or len(table.series) < self._max_series:
            return key
        self._overflowed += 1
        return _OVERFLOW

    def exemplars(self) -> list[tuple[Labels, Exemplar]]:
        """Every exemplar with the labels of its bucket's series."""
        with self._lock:
            return [
                (_bucket(table, key, bucket), exemplar)
                for table in self._tables.values()
                for key, state in table.series.items()
                if isinstance(state, Histogram)
                for bucket, exemplar in state.exemplars.items()
            ]

    def metric(self, name: str) -> Metric | None:
        """The metric of that registry or Prometheus name, with or without `_total`."""
        name = self._by_prometheus_name.get(name.removesuffix("_total"), name)
        table = self._tables.get(name)
        return table.metric if table else None

    def points(self, name: str) -> list[Point]:
        """Every series of the metric with that registry name, as it stands now."""
        table = self._tables[name]
        with self._lock:
            return [
                Point(table.labels_of(key), state.sum, tuple(state.counts))
                if isinstance(state, Histogram)
                else Point(table.labels_of(key), state)
                for key, state in table.series.items()
            ]

    def collect(self) -> Iterator[Family]:
        """Every metric as a Prometheus family."""
        with self._lock:
            families = [_family(table) for table in self._tables.values()]
            overflowed = self._overflowed
        yield from families
        yield CounterMetricFamily(
            "otel_llm_series_overflowed_samples",
            "Samples added to an overflow series because their metric had reached its limit of series.",
            value=overflowed,
        )

    def describe(self) -> Iterable[Family]:
        """Nothing: families are made at each scrape, so registration needs no look at them."""
        return ()


def _clean(value: str) -> str:
    """A label value that every Prometheus can read: bounded, no NUL."""
    return value[: limits.MAX_LABEL_CHARS].replace("\x00", "�")


def _labels(metric: Metric, key: tuple[str, ...]) -> dict[str, str]:
    if key == _OVERFLOW:
        return {OVERFLOW_LABEL: "true"}
    return {label_name(attribute): value for attribute, value in zip(metric.attributes, key, strict=True)}


def _bucket(table: _Table, key: tuple[str, ...], bucket: int) -> Labels:
    metric = table.metric
    le = [*map(str, metric.boundaries), "+Inf"][bucket]
    name = f"{metric_name(metric.name, metric.unit)}_bucket"
    return make_labels({**table.labels_of(key), METRIC_NAME: name, "le": le})


def _family(table: _Table) -> Family:
    metric = table.metric
    name = metric_name(metric.name, metric.unit)
    names = [label_name(key) for key in metric.attributes]
    # The overflow series has another label; with an empty value it is, to Prometheus, absent from all others.
    names.append(OVERFLOW_LABEL)
    if metric.instrument == "counter":
        counter = CounterMetricFamily(name, metric.brief, labels=names)
        for key, value in table.series.items():
            counter.add_metric(_values(metric, key), value if isinstance(value, (int, float)) else 0.0)
        return counter
    histogram = HistogramMetricFamily(name, metric.brief, labels=names)
    for key, state in table.series.items():
        if isinstance(state, Histogram):
            histogram.add_metric(_values(metric, key), _buckets(metric, state), state.sum)
    return histogram


def _values(metric: Metric, key: tuple[str, ...]) -> list[str]:
    return [*([""] * len(metric.attributes)), "true"] if key == _OVERFLOW else [*key, ""]


def _buckets(metric: Metric, state: Histogram) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    total = 0
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    for index, (bound, count) in enumerate(zip([*map(str, metric.boundaries), "+Inf"], state.counts, strict=True)):
        total += count
        exemplar = state.exemplars.get(index)
        buckets.append((bound, float(total), exemplar) if exemplar else (bound, float(total)))
    return buckets
