"""Functions of range vectors for series that hold native histograms: one window after the other.

Such a series may hold floats too, so each function here decides what a mix means, as Prometheus does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from otel_llm_collector.measure.promql import over_time
from otel_llm_collector.measure.promql.block import Block, no_histograms
from otel_llm_collector.measure.promql.native import (
    Hint,
    Incompatible,
    NativeHistogram,
    Total,
    difference,
    is_reset,
    mean,
    reduced,
    total,
)
from otel_llm_collector.measure.promql.notes import Notebook
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Floats, SeriesSlice
from otel_llm_collector.measure.promql.syntax import Call, Expr
from otel_llm_collector.measure.promql.windows import bunches, fresh, windows

if TYPE_CHECKING:
    from otel_llm_collector.measure.promql.evaluate import Evaluator, Range

Answer = float | NativeHistogram | None
_CLOSE = 1.1
_NONE = np.full(1, np.nan)


@dataclass(frozen=True, slots=True)
class Point:
    """One sample of a window."""

    at: int
    value: float
    histogram: NativeHistogram | None


@dataclass(frozen=True, slots=True)
class Window:
    """The samples of one series in one window, and where to complain."""

    points: Sequence[Point]
    start: int
    end: int
    metric: str
    notebook: Notebook
    argument: Expr

    @property
    def natives(self) -> list[NativeHistogram]:
        """The histograms."""
        return [point.histogram for point in self.points if point.histogram is not None]

    @property
    def mixed(self) -> bool:
        """Whether there are floats and histograms."""
        return 0 < len(self.natives) < len(self.points)

    def warn(self, message: str) -> None:
        """A warning that names the metric."""
        self.notebook.warn(f'{message} "{self.metric}"', self.argument)

    def warn_of_mix(self) -> None:
        """Floats and histograms together have no answer."""
        self.warn("encountered a mix of histograms and floats for metric name")

    def warn_of_schemas(self) -> None:
        """Exponential and custom buckets together have no answer."""
        self.warn("vector contains a mix of histograms with exponential and custom buckets schemas for metric name")

    def tell_of_reconciling(self, found: Total, what: str) -> Total:
        """Custom bounds that had to be dropped are worth an info."""
        if found.reconciled:
            self.notebook.info(f"mismatched custom buckets were reconciled during {what}", self.argument)
        return found


def fill(
    evaluator: Evaluator, call: Call, selected: Range, parameter: Floats, block: Block, rows: Sequence[int]
) -> None:
    """Compute the function for those rows of the selection, into the block."""
    block.histograms = no_histograms(block.values.shape)
    position = 1 if call.name == "quantile_over_time" else 0
    for row in rows:
        series = fresh(selected.series[row])
        low, high = _bounds(series, selected)
        metric = dict(series.labels).get(METRIC_NAME, "")
        argument = call.arguments[position]
        points = _points(series)
        for step, end in enumerate(selected.ends.tolist()):
            chosen = points[low[step] : high[step]]
            if not chosen:
                continue
            evaluator.check_time()
            window = Window(chosen, end - selected.length_ms, end, metric, evaluator.notebook, argument)
            answer = _answer(call.name, window, parameter[step : step + 1], evaluator, step)
            if isinstance(answer, NativeHistogram):
                block.histograms[row, step] = answer
            if answer is not None:
                block.present[row, step] = True
                block.values[row, step] = 0.0 if isinstance(answer, NativeHistogram) else answer


def _bounds(series: SeriesSlice, selected: Range) -> tuple[list[int], list[int]]:
    ends = selected.ends
    low = np.searchsorted(series.times, ends - selected.length_ms, side="right")
    return low.tolist(), np.searchsorted(series.times, ends, side="right").tolist()


def _points(series: SeriesSlice) -> list[Point]:
    histograms = series.histograms or [None] * len(series.times)
    return [
        Point(at, value, histogram)
        for at, value, histogram in zip(series.times.tolist(), series.values.tolist(), histograms, strict=True)
    ]


def _answer(name: str, window: Window, parameter: Floats, evaluator: Evaluator, step: int) -> Answer:
    if name in _FUNCTIONS:
        try:
            return _FUNCTIONS[name](window)
        except Incompatible:
            window.warn_of_schemas()
            return None
    return _of_floats(name, window, parameter, int(evaluator.grid.times[step]))


def _of_floats(name: str, window: Window, parameter: Floats, moment: int) -> Answer:
    """The functions that leave histograms out, by the code for floats."""
    floats = [point for point in window.points if point.histogram is None]
    least = 2 if name in ("deriv", "predict_linear") else 1
    if floats and window.mixed:
        window.notebook.info(
            f'ignored histograms in a range containing both floats and histograms for metric name "{window.metric}"',
            window.argument,
        )
    if len(floats) < least:
        return None
    times = np.array([point.at for point in floats], np.int64)
    values = np.array([point.value for point in floats])
    (bunch,) = bunches([SeriesSlice((), times, values)])
    ends = np.array([window.end])
    (part,) = windows(bunch, ends, np.array([moment]), window.end - window.start)
    found, present = over_time.FUNCTIONS[name](part, parameter)
    return float(found[0, 0]) if present[0, 0] else None


# rate, increase, delta


def _rate(window: Window) -> Answer:
    return _extrapolated(window, counter=True, per_second=True)


def _increase(window: Window) -> Answer:
    return _extrapolated(window, counter=True, per_second=False)


def _delta(window: Window) -> Answer:
    return _extrapolated(window, counter=False, per_second=False)


def _extrapolated(window: Window, *, counter: bool, per_second: bool) -> Answer:
    if window.mixed:
        window.warn_of_mix()
        return None
    points = window.points
    if len(points) < 2:  # noqa: PLR2004 - one sample has no rate
        return None
    if not window.natives:
        name = "delta" if not counter else "rate" if per_second else "increase"
        return _of_floats(name, window, _NONE, window.end)
    change = _change(window, counter=counter)
    if change is None:
        return None
    sampled = (points[-1].at - points[0].at) / 1000
    average = sampled / (len(points) - 1)
    to_start = (points[0].at - window.start) / 1000
    to_end = (window.end - points[-1].at) / 1000
    to_start = average / 2 if to_start >= average * _CLOSE else to_start
    first = window.natives[0].count
    if counter and change.count > 0 and first >= 0:
        to_start = min(to_start, sampled * (first / change.count))
    to_end = average / 2 if to_end >= average * _CLOSE else to_end
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor /= (window.end - window.start) / 1000
    return change.scaled(factor)


def _change(window: Window, *, counter: bool) -> NativeHistogram | None:
    natives = window.natives
    first, last = natives[0], natives[-1]
    if counter and any(one.hint is Hint.GAUGE for one in natives):
        window.warn("this native histogram metric is not a counter:")
    if counter and is_reset(natives[1], first):
        # What the first one's buckets were does not matter then.
        first = NativeHistogram(schema=natives[1].schema, custom_values=natives[1].custom_values)
    if any(one.custom != first.custom for one in ((first, *natives[1:]) if counter else (first, last))):
        raise Incompatible("a mix of histograms with exponential and custom buckets")
    if counter and not last.custom:
        last = reduced(last, min(one.schema for one in (first, *natives[1:])))
    found = window.tell_of_reconciling(difference(last, first), "subtraction").histogram
    if counter:
        found = _with_resets(window, found, [first, *natives[1:]])
    elif natives[0].hint is not Hint.GAUGE or natives[-1].hint is not Hint.GAUGE:
        window.warn("this native histogram metric is not a gauge:")
    return replace(found, hint=Hint.GAUGE)


def _with_resets(window: Window, found: NativeHistogram, natives: Sequence[NativeHistogram]) -> NativeHistogram:
    for before, now in pairwise(natives):
        if is_reset(now, before):
            found = window.tell_of_reconciling(total([found, before]), "addition").histogram
    return found


def _irate(window: Window) -> Answer:
    return _of_last_two(window, counter=True)


def _idelta(window: Window) -> Answer:
    return _of_last_two(window, counter=False)


def _of_last_two(window: Window, *, counter: bool) -> Answer:
    if len(window.points) < 2:  # noqa: PLR2004 - two samples it takes
        return None
    before, now = window.points[-2:]
    seconds = (now.at - before.at) / 1000
    if before.histogram is None and now.histogram is None:
        change = now.value if counter and now.value < before.value else now.value - before.value
        return change / seconds if counter else change
    if before.histogram is None or now.histogram is None:
        window.warn_of_mix()
        return None
    gauges = [one.hint is Hint.GAUGE for one in (before.histogram, now.histogram)]
    if counter and any(gauges):
        window.warn("this native histogram metric is not a counter:")
    if not counter and not all(gauges):
        window.warn("this native histogram metric is not a gauge:")
    found = now.histogram
    if not counter or not is_reset(now.histogram, before.histogram):
        found = window.tell_of_reconciling(difference(now.histogram, before.histogram), "subtraction").histogram
    found = replace(found, hint=Hint.GAUGE)
    return found.divided(seconds) if counter else found


# Sums, counts and choices


def _added(window: Window, name: str, combine: Callable[[Sequence[NativeHistogram]], Total]) -> Answer:
    if window.mixed:
        window.warn_of_mix()
        return None
    natives = window.natives
    if not natives:
        return _of_floats(name, window, _NONE, window.end)
    found = window.tell_of_reconciling(combine(natives), "aggregation")
    hints = {one.hint for one in natives}
    if {Hint.RESET, Hint.NOT_RESET} <= hints:
        window.notebook.warn("conflicting counter resets during histogram aggregation", window.argument)
    return found.histogram


def _sum(window: Window) -> Answer:
    return _added(window, "sum_over_time", total)


def _avg(window: Window) -> Answer:
    return _added(window, "avg_over_time", mean)


def _resets(window: Window) -> Answer:
    return _pairs(window, lambda now, before: now < before, is_reset)


def _changes(window: Window) -> Answer:
    return _pairs(
        window,
        lambda now, before: now != before and not (np.isnan(now) and np.isnan(before)),
        lambda now, before: not now.same_as(before),
    )


def _pairs(
    window: Window,
    floats: Callable[[float, float], bool],
    natives: Callable[[NativeHistogram, NativeHistogram], bool],
) -> float:
    count = 0
    for before, now in pairwise(window.points):
        if now.histogram is not None and before.histogram is not None:
            count += natives(now.histogram, before.histogram)
        elif now.histogram is None and before.histogram is None:
            count += floats(now.value, before.value)
        else:
            count += 1
    return float(count)


def _sample(point: Point) -> Answer:
    return point.value if point.histogram is None else point.histogram


_FUNCTIONS: dict[str, Callable[[Window], Answer]] = {
    "avg_over_time": _avg,
    "changes": _changes,
    "count_over_time": lambda window: float(len(window.points)),
    "delta": _delta,
    "first_over_time": lambda window: _sample(window.points[0]),
    "idelta": _idelta,
    "increase": _increase,
    "irate": _irate,
    "last_over_time": lambda window: _sample(window.points[-1]),
    "present_over_time": lambda _: 1.0,
    "rate": _rate,
    "resets": _resets,
    "sum_over_time": _sum,
}
