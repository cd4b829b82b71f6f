"""OTLP metrics as Prometheus series, by OpenTelemetry's compatibility rules, on their way to remote write.

Names get their unit and `_total`; resources become `job`, `instance` and one `target_info` each; histograms become
`_bucket`, `_sum` and `_count`, exponential ones native histograms, summaries their quantiles. Deltas are added
up per series, a repeated one once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otel_llm_semconv import attributes as attr

from otel_llm_collector import limits
from otel_llm_collector.deliver.profile import plain
from otel_llm_collector.deliver.remote_write_format import Exemplar, Kind, Labels, NativeHistogram, Series
from otel_llm_collector.measure.names import label_name, metric_name

_STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]  # Prometheus' mark of a series' end
_NO_RECORDED_VALUE = 1
_DELTA = 1
_NANOS_PER_MS = 1_000_000
_MAX_SCALE = 8
_MIN_SCALE = -4


class Converter:
    """Turns requests into series; `external` labels go on each. It remembers the totals of deltas."""

    def __init__(self, external: Mapping[str, str]) -> None:
        self._external = {label_name(key): value for key, value in external.items()}
        self._totals: dict[Labels, tuple[int, float]] = {}  # the last point's time, the total
        self.unsent = 0  # points of the last request that cannot be told in series

    def series(self, payload: bytes) -> list[Series]:
        """The series of one request, each once, samples in order of time."""
        self.unsent = 0
        found: dict[Labels, Series] = {}
        request = ExportMetricsServiceRequest.FromString(payload)
        for level in request.resource_metrics:
            resource = {one.key: _text(one.value) for one in level.resource.attributes}
            target = _target(resource)
            newest = 0
            for scope in level.scope_metrics:
                for metric in scope.metrics:
                    for one in self._metric(metric, target):
                        known = found.setdefault(one.labels, one)
                        if known is not one:
                            known.samples += one.samples
                            known.exemplars += one.exemplars
                            known.histograms += one.histograms
                        newest = max([newest, *(time for time, _ in one.samples)])
            if newest and target:
                info = self._labels("target_info", {label_name(key): value for key, value in resource.items()}, target)
                found.setdefault(info, Series(info, Kind.GAUGE, samples=[(newest, 1.0)]))
        for one in found.values():
            one.samples.sort(key=lambda sample: sample[0])
        return list(found.values())

    def _metric(self, metric: Any, target: Mapping[str, str]) -> Iterator[Series]:
        kind = metric.WhichOneof("data")
        if kind is None:
            return
        data = getattr(metric, kind)
        base = metric_name(metric.name, metric.unit)
        delta = getattr(data, "aggregation_temporality", 0) == _DELTA
        for point in data.data_points:
            labels = {label_name(one.key): _text(one.value) for one in point.attributes}
            parts: list[tuple[str, dict[str, str], float]]
            if kind in ("gauge", "sum"):
                counter = kind == "sum" and data.is_monotonic
                name = base if not counter or base.endswith("_total") else f"{base}_total"
                parts = [(name, {}, _value(point))]
                shown = Kind.COUNTER if counter else Kind.GAUGE
            elif kind == "histogram":
                parts, shown = list(_classic(base, point)), Kind.HISTOGRAM
            elif kind == "summary":
                parts, shown = list(_summary(base, point)), Kind.SUMMARY
            else:
                yield from self._native(base, point, labels, target, metric, delta=delta)
                continue
            exemplars = [] if kind == "summary" else list(_exemplars(point))
            for name, more, value in parts:
                full = self._labels(name, {**labels, **more}, target)
                time_ms = point.time_unix_nano // _NANOS_PER_MS
                if point.flags & _NO_RECORDED_VALUE:
                    value = _STALE  # noqa: PLW2901
                elif delta:
                    value = self._total(full, point.time_unix_nano, value)  # noqa: PLW2901
                series = Series(full, shown, metric.description, metric.unit, samples=[(time_ms, value)])
                series.exemplars = [one for one in exemplars if _belongs(one, name, more, point)]
                yield series

    def _total(self, labels: Labels, time_nano: int, value: float) -> float:
        """What a delta adds up to; a point that is not newer than the last adds nothing."""
        last, total = self._totals.pop(labels, (0, 0.0))
        if time_nano > last:
            last, total = time_nano, total + value
        self._totals[labels] = last, total
        if len(self._totals) > limits.MAX_DELTA_SERIES:
            del self._totals[next(iter(self._totals))]
        return total

    def _native(
        self, base: str, point: Any, labels: dict[str, str], target: Mapping[str, str], metric: Any, *, delta: bool
    ) -> Iterator[Series]:
        if delta or point.scale < _MIN_SCALE:
            self.unsent += 1  # adding up buckets of changing scales is the sender's to do
            return
        down = max(0, point.scale - _MAX_SCALE)
        histogram = NativeHistogram(
            point.time_unix_nano // _NANOS_PER_MS,
            point.count,
            point.sum,
            point.scale - down,
            point.zero_threshold,
            point.zero_count,
            _buckets(point.positive, down),
            _buckets(point.negative, down),
        )
        full = self._labels(base, labels, target)
        yield Series(full, Kind.HISTOGRAM, metric.description, metric.unit, histograms=[histogram])

    def _labels(self, name: str, labels: Mapping[str, str], target: Mapping[str, str]) -> Labels:
        merged = {**self._external, **labels, **target, "__name__": name}
        return tuple(sorted((key, value) for key, value in merged.items() if value))


def _text(value: Any) -> str:
    given = plain(value)
    if isinstance(given, bool):
        return "true" if given else "false"
    return given if isinstance(given, str) else str(given)


def _target(resource: Mapping[str, str]) -> dict[str, str]:
    service, namespace = resource.get(attr.SERVICE_NAME, ""), resource.get(attr.SERVICE_NAMESPACE, "")
    job = f"{namespace}/{service}" if namespace and service else service
    target = {"job": job, "instance": resource.get(attr.SERVICE_INSTANCE_ID, "")}
    return {key: value for key, value in target.items() if value}


def _value(point: Any) -> float:
    return float(point.as_int if point.WhichOneof("value") == "as_int" else point.as_double)


def _classic(base: str, point: Any) -> Iterator[tuple[str, dict[str, str], float]]:
    total = 0
    for bound, count in zip([*point.explicit_bounds, None], point.bucket_counts, strict=False):
        total += count
        if bound is not None:
            yield f"{base}_bucket", {"le": _bound(bound)}, float(total)
    yield f"{base}_bucket", {"le": "+Inf"}, float(point.count)
    yield f"{base}_count", {}, float(point.count)
    if point.HasField("sum"):
        yield f"{base}_sum", {}, point.sum


def _summary(base: str, point: Any) -> Iterator[tuple[str, dict[str, str], float]]:
    for one in point.quantile_values:
        yield base, {"quantile": _bound(one.quantile)}, one.value
    yield f"{base}_count", {}, float(point.count)
    yield f"{base}_sum", {}, point.sum


def _bound(value: float) -> str:
    return repr(value).removesuffix(".0")


def _exemplars(point: Any) -> Iterator[Exemplar]:
    """Exemplars with their trace; Prometheus allows 128 characters of labels, which these keep to."""
    for one in point.exemplars:
        labels = []
        if one.span_id:
            labels.append(("span_id", one.span_id.hex()))
        if one.trace_id:
            labels.append(("trace_id", one.trace_id.hex()))
        yield Exemplar(tuple(labels), _value(one), one.time_unix_nano // _NANOS_PER_MS)


def _belongs(exemplar: Exemplar, name: str, more: Mapping[str, str], point: Any) -> bool:
    """Whether an exemplar is shown on this series: on the bucket that its value falls into, or on a counter."""
    if "le" not in more:
        return name.endswith("_total")
    bounds: Iterable[float] = getattr(point, "explicit_bounds", ())
    return more["le"] == next((_bound(bound) for bound in bounds if exemplar.value <= bound), "+Inf")


def _buckets(buckets: Any, down: int) -> dict[int, int]:
    """Counts by Prometheus' index, which is one above OpenTelemetry's; `down` halves the resolution so many times."""
    counts: dict[int, int] = {}
    for place, count in enumerate(buckets.bucket_counts):
        if count:
            index = ((buckets.offset + place) >> down) + 1
            counts[index] = counts.get(index, 0) + count
    return counts
