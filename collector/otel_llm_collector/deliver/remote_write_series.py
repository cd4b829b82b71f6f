"""OTLP metrics on their way to remote write: the series of `measure.points`, with external labels and exemplars.

Deltas are added up per series, a repeated one once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from otel_llm_collector import limits
from otel_llm_collector.deliver.remote_write_format import Exemplar, Kind, Series
from otel_llm_collector.measure import points
from otel_llm_collector.measure.names import label_name
from otel_llm_collector.measure.points import milliseconds
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import STALE, Labels, make_labels

_Value = TypeVar("_Value", float, NativeHistogram)


class Converter:
    """Turns requests into series; `external` labels go on each. It remembers the totals of deltas."""

    def __init__(self, external: Mapping[str, str]) -> None:
        self._external = {label_name(key): value for key, value in external.items()}
        self._totals: dict[Labels, tuple[int, Any]] = {}  # the last point's time, the total
        self.unsent: Counter[str] = Counter()  # points of the last request that cannot be told in series, by reason

    def series(self, payload: bytes) -> list[Series]:
        """The series of one request, each once, samples in order of time."""
        self.unsent = Counter()
        found: dict[Labels, Series] = {}
        for level in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
            common, info = points.target(level.resource)
            newest = 0
            for scope in level.scope_metrics:
                labels = {**self._external, **dict(points.scope(scope.scope)), **dict(common)}
                for metric in scope.metrics:
                    for one in self._metric(metric, labels):
                        known = found.setdefault(one.labels, one)
                        if known is not one:
                            known.samples += one.samples
                            known.exemplars += one.exemplars
                            known.histograms += one.histograms
                        newest = max(newest, *(time for time, _ in (*one.samples, *one.histograms)))
            if newest and info:
                named = make_labels({**self._external, **dict(info)})
                found.setdefault(named, Series(named, Kind.GAUGE, samples=[(newest, 1.0)]))
        for one in found.values():
            one.samples.sort(key=lambda sample: sample[0])
        return list(found.values())

    def _metric(self, metric: Any, common: Mapping[str, str]) -> Iterator[Series]:
        form = points.form(metric)
        if form is None:
            return
        for point in getattr(metric, form.shape).data_points:
            for one in self._point(form, point, common):
                one.help, one.unit = metric.description, metric.unit
                yield one

    def _point(self, form: points.Form, point: Any, common: Mapping[str, str]) -> list[Series]:
        """The series of one point; none, and that counted, when there can be none."""
        labels = {**points.labels(point), **common}
        native = form.shape == points.EXPONENTIAL
        value = points.native(point) if native else points.values(form, point)
        if points.ended(point):
            value = [STALE] * sum(1 for _ in points.parts(form, point))
        delta = form.delta and not points.ended(point)
        why = _why_not(form, value, labels, delta=delta)
        if why or value is None:
            self.unsent[why] += 1
            return []
        names = [make_labels({**labels, **more}) for more in points.parts(form, point)]
        kind, time_nano = Kind[form.kind.upper()], point.time_unix_nano
        time_ms = milliseconds(time_nano)
        if isinstance(value, NativeHistogram):
            histogram = self._total(names[0], time_nano, value) if delta else value
            return [Series(names[0], kind, histograms=[(time_ms, histogram)])]
        if delta:
            value = [self._total(name, time_nano, one) for name, one in zip(names, value, strict=False)]
        found = [Series(name, kind, samples=[(time_ms, one)]) for name, one in zip(names, value, strict=False)]
        for exemplar in () if form.shape == "summary" else point.exemplars:
            place = _place(form, point, points.number(exemplar))
            if place is not None:
                found[place].exemplars.append(_exemplar(exemplar))
        return found

    def _total(self, labels: Labels, time_nano: int, value: _Value) -> _Value:
        """What a delta adds up to; a point that is not newer than the last adds nothing."""
        last, total = self._totals.pop(labels, (0, None))
        if total is None:
            last, total = time_nano, value
        elif time_nano > last:
            last = time_nano
            total = points.added(total, value) if isinstance(value, NativeHistogram) else total + value
        self._totals[labels] = last, total
        if len(self._totals) > limits.MAX_DELTA_SERIES:
            del self._totals[next(iter(self._totals))]
        return total  # type: ignore[no-any-return]  # of the kind of `value`: a series is of one form


def _why_not(
    form: points.Form, value: list[float] | NativeHistogram | None, labels: Mapping[str, str], *, delta: bool
) -> str:
    """Why a point cannot be told in series; empty when it can."""
    if not form.name:
        return "without a name"
    if len(labels) > limits.MAX_LABELS:
        return f"with more than {limits.MAX_LABELS} labels"
    if value is None:
        return "with a scale below -4" if form.shape == points.EXPONENTIAL else "with buckets that do not fit"
    numbers = [value.sum] if isinstance(value, NativeHistogram) else value
    return "that would add what is no number" if delta and not points.finite(numbers) else ""


def _place(form: points.Form, point: Any, value: float) -> int | None:
    """Which of a point's series shows an exemplar: the bucket that its value falls into, or the counter."""
    if form.shape != "histogram":
        return 0 if form.kind == "counter" else None
    bounds = point.explicit_bounds
    return next((place for place, bound in enumerate(bounds) if value <= bound), len(bounds))


def _exemplar(given: Any) -> Exemplar:
    """An exemplar with its trace; Prometheus allows 128 characters of labels, which these keep to."""
    ids = (("span_id", given.span_id), ("trace_id", given.trace_id))
    labels = tuple((name, value.hex()) for name, value in ids if value)
    return Exemplar(labels, points.number(given), milliseconds(given.time_unix_nano))
