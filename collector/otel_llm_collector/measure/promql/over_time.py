"""Functions of range vectors, for series of floats: each looks at every window of every series at once.

A function takes `Windows` and gives the value per series and step, and where there is one. Sums are compensated
(Neumaier), as Prometheus' are. What may hold native histograms goes through `native_over_time.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from otel_llm_collector.measure.promql.storage import Flags, Floats, Integers
from otel_llm_collector.measure.promql.windows import Windows, pick, stretches

Found = tuple[Floats, Flags]
Parameter = Floats  # a scalar argument, one value per step; NaN where the function takes none
Function = Callable[[Windows, Parameter], Found]

_CLOSE = 1.1  # a window's edge is close to a sample if not farther than this many average distances between samples


def add(sums: Floats, compensation: Floats, value: Floats) -> tuple[Floats, Floats]:
    """One step of Neumaier's sum: the new sum and the new compensation."""
    total = sums + value
    lost = np.where(np.abs(sums) >= np.abs(value), (sums - total) + value, (value - total) + sums)
    return total, np.where(np.isinf(total), 0.0, compensation + lost)


def _shape(windows: Windows) -> tuple[int, int]:
    return len(windows.bunch.rows), len(windows.ends)


def _at_least(windows: Windows, count: int) -> Flags:
    return np.broadcast_to(windows.counts >= count, _shape(windows))


# rate, increase, delta


def _extrapolated(windows: Windows, *, counter: bool, per_second: bool) -> Found:
    low, high = windows.low, windows.high
    first, last = windows.value(low), windows.value(high - 1)
    change = last - first
    if counter:
        _add_resets(windows, change)
    first_at, last_at = windows.time(low), windows.time(high - 1)
    to_start = (first_at - (windows.ends - windows.range_ms)) / 1000
    to_end = (windows.ends - last_at) / 1000
    sampled = (last_at - first_at) / 1000
    average = sampled / np.maximum(windows.counts - 1, 1)
    to_start = np.where(to_start >= average * _CLOSE, average / 2, to_start)
    to_end = np.where(to_end >= average * _CLOSE, average / 2, to_end)
    seconds = windows.range_ms / 1000 if per_second else 1.0
    result = change * ((sampled + to_start + to_end) / sampled / seconds)
    if counter:
        rows = _near_zero(first, change, to_start, sampled)
        if len(rows):
            # A counter was not below zero: it is not extrapolated beyond where it would have been zero.
            gap, known, rest = (one if len(one) == 1 else one[rows] for one in (to_start, sampled, to_end))
            to_zero = known * (first[rows] / change[rows])
            sooner = (change[rows] > 0) & (first[rows] >= 0) & (to_zero < gap)
            factor = (known + np.where(sooner, to_zero, gap) + rest) / known / seconds
            result[rows] = change[rows] * factor
    return result, _at_least(windows, 2)


def _near_zero(first: Floats, change: Floats, to_start: Floats, sampled: Floats) -> npt.NDArray[np.intp]:
    """The rows where some window's counter may have been zero within the stretch that is extrapolated."""
    if not first.size:
        return np.zeros(0, np.intp)
    with_samples = sampled > 0
    shortest = np.min(sampled, initial=np.inf, where=with_samples)
    longest = np.max(to_start, initial=0.0, where=with_samples)
    return np.flatnonzero(~(first.min(axis=1) * shortest > change.max(axis=1) * longest))


def _add_resets(windows: Windows, change: Floats) -> None:
    """Add to the change of each window what its counter had reached before each of its resets."""
    values = windows.bunch.values
    fell = values[:, 1:] < values[:, :-1]
    rows = np.flatnonzero(fell.any(axis=1))
    if not len(rows):
        return
    lost = np.zeros((len(rows), values.shape[1]))
    lost[:, 1:] = np.where(fell[rows], values[rows, :-1], 0.0)
    low = windows.low if len(windows.low) == 1 else windows.low[rows]
    high = windows.high if len(windows.high) == 1 else windows.high[rows]
    first = np.minimum(low + 1, high)  # the first sample of a window was not reset inside it
    values, inside = stretches(lost, first, high)
    change[rows] += np.where(inside, values, 0.0).sum(axis=-1)


def _rate(windows: Windows, _: Parameter) -> Found:
    return _extrapolated(windows, counter=True, per_second=True)


def _increase(windows: Windows, _: Parameter) -> Found:
    return _extrapolated(windows, counter=True, per_second=False)


def _delta(windows: Windows, _: Parameter) -> Found:
    return _extrapolated(windows, counter=False, per_second=False)


def _irate(windows: Windows, _: Parameter) -> Found:
    last, before = windows.value(windows.high - 1), windows.value(windows.high - 2)
    seconds = (windows.time(windows.high - 1) - windows.time(windows.high - 2)) / 1000
    return np.where(last < before, last, last - before) / seconds, _at_least(windows, 2)


def _idelta(windows: Windows, _: Parameter) -> Found:
    return windows.value(windows.high - 1) - windows.value(windows.high - 2), _at_least(windows, 2)


# Sums


def total(values: Floats, inside: Flags) -> Floats:
    """The sum over the last axis of what is `inside`: neighbours are added in pairs until one is left."""
    sums = np.where(inside, values, 0.0)
    rest = np.zeros_like(sums)
    while (width := sums.shape[-1]) > 1:
        if width % 2:
            pad = [(0, 0)] * (sums.ndim - 1) + [(0, 1)]
            sums, rest = np.pad(sums, pad), np.pad(rest, pad)
        sums, rest = add(sums[..., ::2], rest[..., ::2] + rest[..., 1::2], sums[..., 1::2])
    if not width:
        return np.zeros(sums.shape[:-1])
    found: Floats = np.where(np.isinf(sums), sums, sums + rest)[..., 0]
    return found


def _mean(values: Floats, inside: Flags, counts: Floats) -> Floats:
    average = total(values, inside) / counts
    if np.isfinite(average).all():
        return average
    # The sum does not fit where the average may: divide first.
    return np.where(np.isfinite(average), average, total(values / counts[..., None], inside))


def _sum(windows: Windows, _: Parameter) -> Found:
    return total(*windows.stretches()), _at_least(windows, 1)


def _avg(windows: Windows, _: Parameter) -> Found:
    counts = np.maximum(windows.counts, 1).astype(np.float64)
    return _mean(*windows.stretches(), counts), _at_least(windows, 1)


def _variance(windows: Windows, _: Parameter) -> Found:
    values, inside = windows.stretches()
    counts = np.maximum(windows.counts, 1).astype(np.float64)
    away = values - windows.value(windows.low)[..., None]  # exactly 0 where all are the same
    away = away - _mean(away, inside, counts)[..., None]
    return total(away * away, inside) / counts, _at_least(windows, 1)


def _deviation(windows: Windows, parameter: Parameter) -> Found:
    variance, present = _variance(windows, parameter)
    return np.sqrt(variance), present


def _regression(windows: Windows, origin: Integers) -> tuple[Floats, Floats]:
    """Slope and value at `origin` of the straight line through the samples of each window."""
    y, inside = windows.stretches()
    x = (windows.stretched_times() - origin[..., None]) / 1000
    sum_x, sum_xx = total(x, inside), total(x * x, inside)
    sum_y, sum_xy = total(y, inside), total(x * y, inside)
    count = np.maximum(windows.counts, 1)
    slope = (sum_xy - sum_x * sum_y / count) / (sum_xx - sum_x * sum_x / count)
    return _unless_constant(windows, slope, sum_y / count - slope * sum_x / count)


def _unless_constant(windows: Windows, slope: Floats, intercept: Floats) -> tuple[Floats, Floats]:
    first = windows.value(windows.low)
    constant = _differences(windows, lambda new, old: new != old) == 0
    infinite = np.isinf(first)
    slope = np.where(constant, np.where(infinite, np.nan, 0.0), slope)
    return slope, np.where(constant, np.where(infinite, np.nan, first), intercept)


def _deriv(windows: Windows, _: Parameter) -> Found:
    return _regression(windows, windows.time(windows.low))[0], _at_least(windows, 2)


def _predict_linear(windows: Windows, parameter: Parameter) -> Found:
    slope, intercept = _regression(windows, windows.moments)
    return slope * parameter + intercept, _at_least(windows, 2)


# Counts and choices


def _count(windows: Windows, _: Parameter) -> Found:
    present = _at_least(windows, 1)
    return np.broadcast_to(windows.counts.astype(np.float64), present.shape), present


def _present(windows: Windows, _: Parameter) -> Found:
    present = _at_least(windows, 1)
    return np.ones(present.shape), present


def _first(windows: Windows, _: Parameter) -> Found:
    return windows.value(windows.low), _at_least(windows, 1)


def _last(windows: Windows, _: Parameter) -> Found:
    return windows.value(windows.high - 1), _at_least(windows, 1)


def _max(windows: Windows, _: Parameter) -> Found:
    values, inside = windows.stretches()
    return np.fmax.reduce(np.where(inside, values, np.nan), axis=-1, initial=np.nan), _at_least(windows, 1)


def _min(windows: Windows, _: Parameter) -> Found:
    values, inside = windows.stretches()
    return np.fmin.reduce(np.where(inside, values, np.nan), axis=-1, initial=np.nan), _at_least(windows, 1)


def _differences(windows: Windows, differs: Callable[[Floats, Floats], Flags]) -> Integers:
    """How often in each window a sample differs so from the one before it."""
    values = windows.bunch.values
    before = np.zeros((len(values), values.shape[1] + 1), np.int64)  # how many up to and including each sample
    np.cumsum(differs(values[:, 1:], values[:, :-1]), axis=1, out=before[:, 2:])
    found: Integers = pick(before, windows.high) - pick(before, np.minimum(windows.low + 1, windows.high))
    return found


def _resets(windows: Windows, _: Parameter) -> Found:
    return _differences(windows, np.less).astype(np.float64), _at_least(windows, 1)


def _changes(windows: Windows, _: Parameter) -> Found:
    changed = _differences(windows, lambda new, old: (new != old) & ~(np.isnan(new) & np.isnan(old)))
    return changed.astype(np.float64), _at_least(windows, 1)


def _quantile(windows: Windows, parameter: Parameter) -> Found:
    values, inside = windows.stretches()
    return quantile(values, np.broadcast_to(inside, values.shape), parameter), _at_least(windows, 1)


def quantile(values: Floats, inside: Flags, q: Parameter) -> Floats:
    """The `q`-quantile over the last axis of what is `inside`; NaN counts as the smallest value."""
    counts = inside.sum(axis=-1)
    # NaN first, then by value, then what is outside: sort keys cannot say that, so NaN becomes -inf and is told apart.
    nans = (np.isnan(values) & inside).sum(axis=-1)
    ordered = np.sort(np.where(inside, np.where(np.isnan(values), -np.inf, values), np.inf), axis=-1)
    if not ordered.shape[-1]:
        return np.full(counts.shape, np.nan)
    rank = q * (counts - 1.0)
    most = np.maximum(counts - 1, 0)
    safe = np.nan_to_num(rank, nan=0.0, posinf=0.0, neginf=0.0)
    lower = np.clip(np.floor(safe).astype(np.int64), 0, most)
    upper = np.minimum(lower + 1, most)
    weight = rank - np.floor(rank)

    def at(index: Integers) -> Floats:
        found = np.take_along_axis(ordered, index[..., None], axis=-1)[..., 0]
        return np.where(index < nans, np.nan, found)

    result = at(lower) * (1 - weight) + at(upper) * weight
    result = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result))
    return np.where(np.isnan(q) | (counts == 0), np.nan, result)


# Those that look at every sample of every window, not only at some.
DENSE = frozenset(
    {
        *("avg_over_time", "deriv", "max_over_time", "min_over_time", "predict_linear", "quantile_over_time"),
        *("stddev_over_time", "stdvar_over_time", "sum_over_time"),
    }
)

FUNCTIONS: dict[str, Function] = {
    "avg_over_time": _avg,
    "changes": _changes,
    "count_over_time": _count,
    "delta": _delta,
    "deriv": _deriv,
    "first_over_time": _first,
    "idelta": _idelta,
    "increase": _increase,
    "irate": _irate,
    "last_over_time": _last,
    "max_over_time": _max,
    "min_over_time": _min,
    "predict_linear": _predict_linear,
    "present_over_time": _present,
    "quantile_over_time": _quantile,
    "rate": _rate,
    "resets": _resets,
    "stddev_over_time": _deviation,
    "stdvar_over_time": _variance,
    "sum_over_time": _sum,
}
