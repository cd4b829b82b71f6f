"""Incoming OTLP metrics as Prometheus series, by OpenTelemetry's rules for Prometheus.

Cumulative sums become counters and gauges, delta sums are added up; histograms become `_bucket`, `_sum` and `_count`;
exponential histograms native ones; summaries their quantiles. The resource becomes `job`, `instance` and `target_info`,
the scope `otel_scope_name` and `otel_scope_version`. A point without a recorded value ends its series.

A point that comes twice counts once: a cumulative one falls into its slot, a delta one that is not newer than the last
of its stream is dropped and counted. A counter that begins while we look gets a 0 at its beginning, so that its first
increase is seen.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from otel_llm_semconv import attributes as attr

from otel_llm_collector import limits
from otel_llm_collector.measure.names import label_name, series_name
from otel_llm_collector.measure.past import NO_SERIES, Past
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import METRIC_NAME, STALE, Labels, make_labels

_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
_NO_RECORDED_VALUE = 1  # flag of a data point
_NANO_PER_MS = 1_000_000
_MIN_SCALE, _MAX_SCALE = -4, 8  # of Prometheus' native histograms
_JOB, _INSTANCE, _INFO = "job", "instance", "target_info"
_SCOPE_NAME, _SCOPE_VERSION = "otel_scope_name", "otel_scope_version"
_BUCKET, _QUANTILE = "le", "quantile"

_Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of a metric: `kind` is counter, gauge, histogram or summary."""

    kind: str
    help: str
    unit: str


@dataclass(slots=True)
class _Stream:
    """One stream of points: its series, their numbers, and what was seen last."""

    series: tuple[Labels, ...]
    numbers: list[int]
    totals: list[float]  # of a delta stream, so far
    start: int = 0
    time: int = 0
    histogram: NativeHistogram | None = None  # of a delta stream of those, so far


@dataclass(slots=True)
class _Batch:
    """Samples of one request on their way to the store."""

    numbers: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, number: int, time_ms: int, value: float) -> None:
        self.numbers.append(number)
        self.times.append(time_ms)
        self.values.append(value)


class OtlpMetrics:
    """Writes the points of metrics requests into `past`; safe for threads."""

    def __init__(self, past: Past, promoted: Sequence[str] = (attr.SERVICE_NAME,)) -> None:
        self._past = past
        self._promoted = frozenset(promoted)
        self._streams: dict[_Key, dict[_Key, _Stream]] = {}
        self._targets: dict[bytes, tuple[Labels, Labels]] = {}
        self._epoch = past.epoch
        self._lock = threading.Lock()
        self.described: dict[str, Described] = {}
        self.dropped: Counter[str] = Counter()  # points by reason

    def take(self, request: bytes, now_ms: int) -> None:
        """Write the points of one ExportMetricsServiceRequest."""
        message = ExportMetricsServiceRequest.FromString(request)
        with self._lock:
            if self._epoch != self._past.epoch:
                self._renumber()
            batch = _Batch()
            for resource_metrics in message.resource_metrics:
                target = self._target(resource_metrics.resource, now_ms, batch)
                for scope_metrics in resource_metrics.scope_metrics:
                    common = (*target, *_scope(scope_metrics.scope))
                    for metric in scope_metrics.metrics:
                        self._metric(metric, common, batch, now_ms)
            numbers, times = np.array(batch.numbers, np.int64), np.array(batch.times, np.int64)
            self._past.append(numbers, times, np.array(batch.values), now_ms)

    def _renumber(self) -> None:
        """Forget the streams whose series have left the store; the others keep their totals."""
        self._epoch = self._past.epoch
        for key, streams in list(self._streams.items()):
            kept = {one: stream for one, stream in streams.items() if all(map(self._past.has, stream.series))}
            for stream in kept.values():
                stream.numbers = [self._past.number(labels) for labels in stream.series]
            self._streams[key] = kept
            if not kept:
                del self._streams[key]

    def _target(self, resource: Any, now_ms: int, batch: _Batch) -> Labels:
        key = resource.SerializeToString()
        known = self._targets.get(key)
        if known is None:
            if len(self._targets) >= limits.MAX_REMEMBERED_TARGETS:
                self._targets.clear()
            known = self._targets[key] = _target(resource.attributes, self._promoted)
        common, info = known
        if info:
            self.described.setdefault(_INFO, Described("gauge", "Target metadata.", ""))
            batch.add(self._past.number(info), now_ms, 1.0)
        return common

    def _metric(self, metric: Any, common: Labels, batch: _Batch, now_ms: int) -> None:
        shape = metric.WhichOneof("data")
        if shape is None:
            return
        data = getattr(metric, shape)
        delta = shape not in ("gauge", "summary") and data.aggregation_temporality == _DELTA
        counts = shape == "sum" and data.is_monotonic
        kind = {"sum": "counter" if counts else "gauge", "exponential_histogram": "histogram"}.get(shape, shape)
        name = series_name(metric.name, metric.unit, "sum" if kind == "gauge" and shape == "sum" else kind)
        if not name:
            self.dropped["no_name"] += len(data.data_points)
            return
        if name not in self.described and len(self.described) < limits.MAX_WINDOW_SERIES_PER_NAME:
            self.described[name] = Described(kind, metric.description, metric.unit)
        streams = self._streams.setdefault((name, shape, delta, common), {})
        writer = _Writer(self._past, self.dropped, batch, now_ms, delta=delta, rising=kind != "gauge")
        write = _WRITE[shape] if not delta or shape not in _NUMBERS else _Writer.addend
        for point in data.data_points:
            value = point.as_double or point.as_int if shape in _NUMBERS else _READ[shape](point)
            start, time, flags = point.start_time_unix_nano, point.time_unix_nano, point.flags
            for changing in _CHANGING[shape]:
                point.ClearField(changing)
            key = point.SerializeToString()  # what is left says which stream it is
            stream = streams.get(key)
            if stream is None:
                stream = self._stream(name, shape, common, point)
                if stream is None:
                    continue
                streams[key] = stream
            if flags & _NO_RECORDED_VALUE:
                writer.end(stream, time)
            else:
                write(writer, stream, start, time, value)

    def _stream(self, name: str, shape: str, common: Labels, point: Any) -> _Stream | None:
        """The series of a new stream, or None with a reason counted when there is no room for all of them."""
        labels = {**_labels(point.attributes), **dict(common)}
        if len(labels) > limits.MAX_LABELS:
            self.dropped["too_many_labels"] += 1
            return None
        series = tuple(make_labels({**labels, **more}) for more in _parts(name, shape, point))
        numbers = [self._past.number(one) for one in series]
        if NO_SERIES in numbers:
            self.dropped["series_limit"] += 1
            return None
        return _Stream(series, numbers, [0.0] * len(series))


@dataclass(slots=True)
class _Writer:
    """Turns the points of one metric into samples."""

    past: Past
    dropped: Counter[str]
    batch: _Batch
    now_ms: int
    delta: bool
    rising: bool

    def end(self, stream: _Stream, time: int) -> None:
        """The series have no value any more."""
        for number in stream.numbers:
            self.batch.add(number, time // _NANO_PER_MS, STALE)

    def number(self, stream: _Stream, start: int, time: int, value: float) -> None:
        """One value as it stands."""
        time_ms = time // _NANO_PER_MS
        if start != stream.start:
            if self.rising:
                self._begin(stream, start, time_ms)
            stream.start = start
        stream.time = time
        batch = self.batch
        batch.numbers.append(stream.numbers[0])
        batch.times.append(time_ms)
        batch.values.append(value if value == value else math.nan)  # noqa: PLR0124 - a NaN of plain bits

    def addend(self, stream: _Stream, start: int, time: int, value: float) -> None:
        """One value to add to what was before."""
        self.several(stream, start, time, [float(value)])

    def several(self, stream: _Stream, start: int, time: int, values: list[float]) -> None:
        """The values of all series of the stream."""
        if len(values) != len(stream.numbers):
            self.dropped["bad_buckets"] += 1
            return
        time_ms = time // _NANO_PER_MS
        if self.delta:
            if self._repeated(stream, time) or not self._finite(values):
                return
            values = stream.totals = [total + value for total, value in zip(stream.totals, values, strict=True)]
        if start != stream.start and self.rising and not (self.delta and stream.time):
            self._begin(stream, start, time_ms)
        stream.start, stream.time = start, time
        for number, value in zip(stream.numbers, values, strict=True):
            self.batch.add(number, time_ms, value if value == value else math.nan)  # noqa: PLR0124 - see above

    def native(self, stream: _Stream, start: int, time: int, histogram: NativeHistogram | None) -> None:
        """One native histogram."""
        if histogram is None:
            self.dropped["bad_scale"] += 1
            return
        if self.delta:
            if self._repeated(stream, time) or not self._finite([histogram.sum]):
                return
            histogram = stream.histogram = _sum(stream.histogram, histogram)
        stream.start, stream.time = start, time
        self.past.append_histogram(stream.numbers[0], time // _NANO_PER_MS, histogram, self.now_ms)

    def _begin(self, stream: _Stream, start: int, time_ms: int) -> None:
        """A 0 where the stream began, before its first point and after what was before."""
        zero_ms = min(start // _NANO_PER_MS, time_ms - self.past.resolution_ms)
        if start and zero_ms > stream.time // _NANO_PER_MS and zero_ms > self.now_ms - self.past.window_ms:
            for number in stream.numbers:
                self.batch.add(number, zero_ms, 0.0)

    def _repeated(self, stream: _Stream, time: int) -> bool:
        if time > stream.time:
            return False
        self.dropped["repeated_delta"] += 1
        return True

    def _finite(self, values: list[float]) -> bool:
        if all(map(math.isfinite, values)):
            return True
        self.dropped["not_finite"] += 1
        return False


def _read_histogram(point: Any) -> list[float]:
    """Cumulative buckets, then sum and count."""
    total, values = 0, []
    for count in point.bucket_counts:
        total += count
        values.append(float(total))
    return [*(values or [float(point.count)]), point.sum, float(point.count)]


def _read_summary(point: Any) -> list[float]:
    """The quantiles' values, then sum and count; what is left of the point says which quantiles they are."""
    values = [one.value for one in point.quantile_values]
    for one in point.quantile_values:
        one.ClearField("value")
    return [*values, point.sum, float(point.count)]


def _parts(name: str, shape: str, point: Any) -> Iterable[dict[str, str]]:
    """Name and further label of each series of a stream, in the order in which its values are read."""
    if shape == "histogram":
        for bound in (*point.explicit_bounds, math.inf):
            yield {METRIC_NAME: f"{name}_bucket", _BUCKET: go_float(bound)}
    elif shape == "summary":
        for one in point.quantile_values:
            yield {METRIC_NAME: name, _QUANTILE: go_float(one.quantile)}
    else:
        yield {METRIC_NAME: name}
        return
    yield {METRIC_NAME: f"{name}_sum"}
    yield {METRIC_NAME: f"{name}_count"}


def go_float(value: float) -> str:
    """A bound as Prometheus writes it: without an exponent, without a trailing `.0`."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")


def _native(point: Any) -> NativeHistogram | None:
    """The point as a native histogram; None when it is coarser than Prometheus has, a finer one is made coarser."""
    if point.scale < _MIN_SCALE:
        return None
    scale = min(point.scale, _MAX_SCALE)
    return NativeHistogram(
        schema=scale,
        count=float(point.count),
        sum=point.sum,
        zero_threshold=point.zero_threshold,
        zero_count=float(point.zero_count),
        positive=_buckets(point.positive, point.scale - scale),
        negative=_buckets(point.negative, point.scale - scale),
    )


def _buckets(buckets: Any, coarser: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for index, count in enumerate(buckets.bucket_counts, buckets.offset):
        if count:
            where = (index >> coarser) + 1  # OTLP counts from one lower
            found[where] = found.get(where, 0.0) + count
    return found


def _sum(before: NativeHistogram | None, more: NativeHistogram) -> NativeHistogram:
    """Both together; when their resolutions differ, a new beginning with the later one."""
    if before is None or (before.schema, before.zero_threshold) != (more.schema, more.zero_threshold):
        return more
    return replace(
        more,
        count=before.count + more.count,
        sum=before.sum + more.sum,
        zero_count=before.zero_count + more.zero_count,
        positive=Counter(before.positive) + Counter(more.positive),
        negative=Counter(before.negative) + Counter(more.negative),
    )


_NUMBERS = frozenset({"gauge", "sum"})
_READ: dict[str, Any] = {"histogram": _read_histogram, "summary": _read_summary, "exponential_histogram": _native}
_WRITE: dict[str, Any] = {
    **dict.fromkeys(_NUMBERS, _Writer.number),
    **dict.fromkeys(("histogram", "summary"), _Writer.several),
    "exponential_histogram": _Writer.native,
}
# What differs from one point of a stream to the next.
_TIMES = ("start_time_unix_nano", "time_unix_nano", "flags")
_CHANGING = {
    **dict.fromkeys(_NUMBERS, (*_TIMES, "as_double", "as_int", "exemplars")),
    "histogram": (*_TIMES, "bucket_counts", "sum", "count", "min", "max", "exemplars"),
    "exponential_histogram": (
        *(*_TIMES, "scale", "zero_count", "positive", "negative"),
        *("zero_threshold", "sum", "count", "min", "max", "exemplars"),
    ),
    "summary": (*_TIMES, "sum", "count"),
}


def _target(attributes: Iterable[KeyValue], promoted: frozenset[str]) -> tuple[Labels, Labels]:
    """The labels of a resource that all its series have, and those of its `target_info` (none when it says no more)."""
    said = {one.key: _text(one.value) for one in attributes}
    name, namespace = said.get(attr.SERVICE_NAME, ""), said.get(attr.SERVICE_NAMESPACE, "")
    identity = {
        _JOB: f"{namespace}/{name}" if namespace else name,
        _INSTANCE: said.get(attr.SERVICE_INSTANCE_ID, ""),
    }
    rest = [
        (key, value)
        for key, value in said.items()
        if key not in (attr.SERVICE_NAME, attr.SERVICE_NAMESPACE, attr.SERVICE_INSTANCE_ID)
    ]
    more = {label_name(key): value for key, value in said.items() if key in promoted}
    info = _merged(rest[: limits.MAX_LABELS])
    if not info or not any(identity.values()):
        return make_labels({**more, **identity}), ()
    return make_labels({**more, **identity}), make_labels({**info, **identity, METRIC_NAME: _INFO})


def _scope(scope: Any) -> Labels:
    return tuple(pair for pair in ((_SCOPE_NAME, scope.name), (_SCOPE_VERSION, scope.version)) if pair[1])


def _labels(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return _merged([(one.key, _text(one.value)) for one in attributes])


def _merged(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Label values by label; keys that become the same label have their values joined in the order of the keys."""
    labels: dict[str, str] = {}
    for key, value in sorted(pairs):
        name = label_name(key)
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        text = value.string_value
    elif kind is None:
        text = ""
    elif kind == "bool_value":
        text = "true" if value.bool_value else "false"
    elif kind in ("array_value", "kvlist_value", "bytes_value"):
        text = json_format.MessageToJson(value, indent=None)
    else:
        text = str(getattr(value, kind))
    return text[: limits.MAX_SERIES_LABEL_CHARS].replace("\x00", "�")
