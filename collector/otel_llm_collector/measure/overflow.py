"""Where counters and histograms go for whose series there is no room: one series per metric that sums them all.

It carries `otel_metric_overflow="true"` and no label of theirs, as OpenTelemetry's SDKs name it. What is added is how
far each stream rose, so that a reset, a repeated point or a late one costs nothing: of a cumulative stream the increase
since its last point, of a delta stream the point itself where it is newer. The sums are written as of the moment they
are written, so that they only rise. Which streams are in it is remembered for a bounded number of them; one that was
forgotten begins anew: what it rose meanwhile is lost.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from otel_llm_collector import limits
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.native import Hint, NativeHistogram, difference, is_reset, total
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, make_labels

OVERFLOW_LABEL = "otel_metric_overflow"
_KEPT = ("le",)  # labels that say which of a metric's series it is

Value = list[float] | NativeHistogram


@dataclass(slots=True)
class _Sum:
    """The overflow of one metric; `value` holds a number for each series, or is one native histogram."""

    series: tuple[Labels, ...]
    numbers: list[int]
    value: Value | None = None
    touched: bool = False


@dataclass(slots=True)
class _Seen:
    """The last point of a stream, and where it is added."""

    sum: _Sum
    start: int
    time: int
    value: Value


class Overflow:
    """Sums into `past`; not safe for threads: whoever writes series holds a lock anyway."""

    def __init__(self, past: Past, dropped: Counter[str]) -> None:
        self._past = past
        self._dropped = dropped
        self._sums: dict[Hashable, _Sum] = {}
        self._streams: OrderedDict[Hashable, _Seen] = OrderedDict()
        self.points = 0  # that were added

    def has(self, stream: Hashable) -> bool:
        """Whether the stream is in it; it then stays, so that nothing is counted in two series."""
        return stream in self._streams

    def add(
        self,
        name: Hashable,
        series: Sequence[Labels],
        stream: Hashable,
        seen: tuple[int, int, Value],
        *,
        delta: bool = False,
        from_zero: bool = False,
    ) -> None:
        """Add a point of `stream`, one of `name` with those series: `seen` is its start, its time, its values.

        Of a stream that it has, `series` are not looked at. `from_zero` says that a cumulative stream that is new here
        began while somebody looked.
        """
        start, time, value = seen
        before = self._streams.get(stream)
        found = self._sum(name, series) if before is None else before.sum
        if found is None:
            return
        if before is not None and time <= before.time:
            self._dropped["repeated_point"] += 1
            return
        rose = value if delta else _rise(before, start, value, from_zero=from_zero)
        self._streams[stream] = _Seen(found, start, time, value)
        self._streams.move_to_end(stream)
        if len(self._streams) > limits.MAX_OVERFLOW_STREAMS:
            self._streams.popitem(last=False)
            self._dropped["overflow_forgotten"] += 1
        self.points += 1
        if rose is not None:
            found.value = rose if found.value is None else _added(found.value, rose)
            found.touched = True

    def _sum(self, name: Hashable, series: Sequence[Labels]) -> _Sum | None:
        """The sum of `name`; None where its buckets are others or there is no room even for it."""
        wanted = tuple(map(_nameless, series))
        found = self._sums.get(name)
        if found is None:
            numbers = self._past.all_numbers(wanted, reserved=True)
            if numbers is None:
                self._dropped["series_limit"] += 1
                return None
            found = self._sums[name] = _Sum(wanted, numbers)
        if found.series != wanted:
            self._dropped["overflow_buckets"] += 1
            return None
        return found

    def write(self, now_ms: int) -> None:
        """Write what was added, as of now; a sum that is new began at 0."""
        numbers, times, values = [], [], []
        for one in self._sums.values():
            if not one.touched or one.value is None:
                continue
            one.touched = False
            if isinstance(one.value, NativeHistogram):
                self._past.append_histogram(one.numbers[0], now_ms, one.value, now_ms)
                continue
            if not self._past.is_written(one.numbers[0]):
                numbers += one.numbers
                times += [now_ms - self._past.resolution_ms] * len(one.numbers)
                values += [0.0] * len(one.numbers)
            numbers += one.numbers
            times += [now_ms] * len(one.numbers)
            values += one.value
        self._past.append(np.array(numbers, np.int64), np.array(times, np.int64), np.array(values), now_ms)

    def renumber(self) -> None:
        """Series left the past, and numbers are others."""
        for one in self._sums.values():
            one.numbers = [self._past.number(labels, reserved=True) for labels in one.series]


def _nameless(labels: Labels) -> Labels:
    """The labels of the overflow's series that this one goes to."""
    kept = {name: value for name, value in labels if name == METRIC_NAME or name in _KEPT}
    return make_labels({**kept, OVERFLOW_LABEL: "true"})


def _rise(before: _Seen | None, start: int, value: Value, *, from_zero: bool) -> Value | None:
    """How far a cumulative stream rose since its last point; None where nobody knows or nothing."""
    if before is None:
        return value if from_zero else None
    if isinstance(value, NativeHistogram):
        if not isinstance(before.value, NativeHistogram) or start != before.start or is_reset(value, before.value):
            return value
        return replace(difference(value, before.value).histogram, hint=Hint.UNKNOWN)
    if isinstance(before.value, NativeHistogram) or start != before.start or _fell(value, before.value):
        return value
    return [now - then for now, then in zip(value, before.value, strict=True)]


def _fell(value: list[float], before: list[float]) -> bool:
    return any(now < then for now, then in zip(value, before, strict=True))


def _added(value: Value, rose: Value) -> Value:
    if isinstance(value, NativeHistogram) and isinstance(rose, NativeHistogram):
        return replace(total([value, rose]).histogram, hint=Hint.UNKNOWN)
    if isinstance(value, NativeHistogram) or isinstance(rose, NativeHistogram):
        return rose
    return [one + more for one, more in zip(value, rose, strict=True)]
