"""Incoming OTLP metrics on their way into the window: streams, the totals of deltas, ends and beginnings.

What a point's series are called and which values they get is in `points`. A point without a recorded value ends its
series. A point that comes twice counts once: a cumulative one falls into its slot, a delta one that is not newer than
the last of its stream is dropped and counted. A counter that begins while we look gets a 0 at its beginning, so that
its first increase is seen.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otel_llm_semconv import attributes as attr

from otel_llm_collector import limits
from otel_llm_collector.measure import points
from otel_llm_collector.measure.overflow import Overflow
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.points import milliseconds
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import STALE, Labels, make_labels

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
        self.overflow = Overflow(past, self.dropped)
        self._since_ms = 0  # when we began to look

    def take(self, request: bytes, now_ms: int) -> None:
        """Write the points of one ExportMetricsServiceRequest."""
        message = ExportMetricsServiceRequest.FromString(request)
        with self._lock:
            if self._epoch != self._past.epoch:
                self._renumber()
            self._since_ms = self._since_ms or now_ms
            batch = _Batch()
            for resource_metrics in message.resource_metrics:
                target = self._target(resource_metrics.resource, now_ms, batch)
                for scope_metrics in resource_metrics.scope_metrics:
                    common = (*target, *points.scope(scope_metrics.scope))
                    for metric in scope_metrics.metrics:
                        self._metric(metric, common, batch, now_ms)
            numbers, times = np.array(batch.numbers, np.int64), np.array(batch.times, np.int64)
            self._past.append(numbers, times, np.array(batch.values), now_ms)
            self.overflow.write(now_ms)

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
        self.overflow.renumber()

    def _target(self, resource: Any, now_ms: int, batch: _Batch) -> Labels:
        key = resource.SerializeToString()
        known = self._targets.get(key)
        if known is None:
            if len(self._targets) >= limits.MAX_REMEMBERED_TARGETS:
                self._targets.clear()
            known = self._targets[key] = points.target(resource, self._promoted)
        common, info = known
        if info:
            self.described.setdefault(points.INFO, Described("gauge", "Target metadata.", ""))
            batch.add(self._past.number(info), now_ms, 1.0)
        return common

    def _metric(self, metric: Any, common: Labels, batch: _Batch, now_ms: int) -> None:
        form = points.form(metric)
        if form is None:
            return
        data = getattr(metric, form.shape).data_points
        if not form.name:
            self.dropped["no_name"] += len(data)
            return
        if form.name not in self.described and len(self.described) < limits.MAX_WINDOW_SERIES_PER_NAME:
            self.described[form.name] = Described(form.kind, metric.description, metric.unit)
        streams = self._streams.setdefault((form, common), {})
        writer = _Writer(self._past, self.dropped, batch, now_ms, delta=form.delta, rising=form.rising)
        read, write = _read_and_write(form)
        for point in data:
            start, time, ended = point.start_time_unix_nano, point.time_unix_nano, points.ended(point)
            value = None if ended else read(point)
            if value is None and not ended:
                self.dropped["bad_scale" if form.shape == points.EXPONENTIAL else "bad_buckets"] += 1
                continue
            _clear(form, point)
            key = point.SerializeToString()  # what is left says which stream it is
            stream = streams.get(key)
            if stream is None:
                stream = self._place((form, common, key), point, (start, time, value))
                if stream is None:
                    continue
                streams[key] = stream
            if ended:
                writer.end(stream, time)
            else:
                write(writer, stream, start, time, value)
        if not streams:
            del self._streams[form, common]

    def _place(self, name: _Key, point: Any, seen: tuple[int, int, Any]) -> _Stream | None:
        """A new stream for a point; None where that has no series of its own, and what can be done was done."""
        form, common, _ = name
        value = seen[2]
        series: tuple[Labels, ...] | None = ()
        if not self.overflow.has(name):
            series = self._series(form, common, point, len(value) if isinstance(value, list) else None)
        if series is None:
            return None
        numbers = self._past.all_numbers(series) if series else None
        if numbers is not None:
            return _Stream(series, numbers, [0.0] * len(series))
        if value is not None:
            self._overflow(form, series, name, seen)
        return None

    def _series(self, form: points.Form, common: Labels, point: Any, count: int | None) -> tuple[Labels, ...] | None:
        """The `count` series of a stream, or None with a reason counted when they have too many labels."""
        labels = {**points.labels(point), **dict(common)}
        if len(labels) > limits.MAX_LABELS:
            self.dropped["too_many_labels"] += 1
            return None
        return tuple(make_labels({**labels, **more}) for more in islice(points.parts(form, point), count))

    def _overflow(
        self, form: points.Form, series: tuple[Labels, ...], stream: _Key, seen: tuple[int, int, Any]
    ) -> None:
        """What only rises is summed with others of its metric; what may fall is counted and dropped."""
        start, time, value = seen
        if isinstance(value, float):
            value = [value]
        whole = points.finite([value.sum] if isinstance(value, NativeHistogram) else value)
        if form.shape == "summary" or not form.rising or not whole:
            self.dropped["series_limit"] += 1
            return
        from_zero = milliseconds(start) >= self._since_ms
        self.overflow.add(form.name, series, stream, (start, time, value), delta=form.delta, from_zero=from_zero)


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
            self.batch.add(number, milliseconds(time), STALE)

    def number(self, stream: _Stream, start: int, time: int, value: float) -> None:
        """One value as it stands."""
        time_ms = milliseconds(time)
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
        """The values of the series of the stream, of all but the sum where the point has none."""
        time_ms = milliseconds(time)
        if self.delta:
            if self._repeated(stream, time) or not self._finite(values):
                return
            added = [total + value for total, value in zip(stream.totals, values, strict=False)]
            values = stream.totals = [*added, *stream.totals[len(added) :]]
        if start != stream.start and self.rising and not (self.delta and stream.time):
            self._begin(stream, start, time_ms)
        stream.start, stream.time = start, time
        for number, value in zip(stream.numbers, values, strict=False):
            self.batch.add(number, time_ms, value if value == value else math.nan)  # noqa: PLR0124 - see above

    def native(self, stream: _Stream, start: int, time: int, histogram: NativeHistogram) -> None:
        """One native histogram."""
        if self.delta:
            if self._repeated(stream, time) or not self._finite([histogram.sum]):
                return
            histogram = stream.histogram = points.added(stream.histogram, histogram)
        stream.start, stream.time = start, time
        self.past.append_histogram(stream.numbers[0], milliseconds(time), histogram, self.now_ms)

    def _begin(self, stream: _Stream, start: int, time_ms: int) -> None:
        """A 0 where the stream began, before its first point and after what was before."""
        zero_ms = min(milliseconds(start), time_ms - self.past.resolution_ms)
        if start and zero_ms > milliseconds(stream.time) and zero_ms > self.now_ms - self.past.window_ms:
            for number in stream.numbers:
                self.batch.add(number, zero_ms, 0.0)

    def _repeated(self, stream: _Stream, time: int) -> bool:
        if time > stream.time:
            return False
        self.dropped["repeated_delta"] += 1
        return True

    def _finite(self, values: list[float]) -> bool:
        if points.finite(values):
            return True
        self.dropped["not_finite"] += 1
        return False


# What differs from one point of a stream to the next.
_TIMES = ("start_time_unix_nano", "time_unix_nano", "flags")
_CHANGING = {
    **dict.fromkeys(points.NUMBERS, (*_TIMES, "as_double", "as_int", "exemplars")),
    "histogram": (*_TIMES, "bucket_counts", "sum", "count", "min", "max", "exemplars"),
    "exponential_histogram": (
        *(*_TIMES, "scale", "zero_count", "positive", "negative"),
        *("zero_threshold", "sum", "count", "min", "max", "exemplars"),
    ),
    "summary": (*_TIMES, "sum", "count"),
}


def _read_and_write(form: points.Form) -> tuple[Any, Any]:
    """What takes the value of a point of this form, and what writes it."""
    if form.shape in points.NUMBERS:
        return points.number, _Writer.addend if form.delta else _Writer.number
    if form.shape == points.EXPONENTIAL:
        return points.native, _Writer.native
    return partial(points.values, form), _Writer.several


def _clear(form: points.Form, point: Any) -> None:
    """Take away what differs from one point of a stream to the next."""
    for changing in _CHANGING[form.shape]:
        point.ClearField(changing)
    if form.shape == "summary":
        for one in point.quantile_values:
            one.ClearField("value")
