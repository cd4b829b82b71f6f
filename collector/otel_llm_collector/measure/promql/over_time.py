"""Functions of range vectors, for series of floats: each looks at every window of every series at once.

A function takes `Windows` and gives the value per series and step, and where there is one. Sums are compensated
(Neumaier), as Prometheus' are. What may hold native histograms goes through `native_over_time.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from otel_llm_collector.measure.promql.storage import Flags, Floats, Integers
from otel_llm_collector.measure.promql.windows import Windows, pick

Found = tuple[Floats, Flags]
Parameter = Floats  # a scalar argument, one value per step; NaN where the function takes none
Function = Callable[[Windows, Parameter], Found]

_CLOSE = 1.1  # a window's edge is close to a sample if not farther than this many average distances between samples
_SORTED_CELLS = 1 << 22


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
    if counter:
        # A counter was not below zero: it is not extrapolated beyond where it would have been zero.
        to_zero = sampled * (first / change)
        to_start = np.where((change > 0) & (first >= 0) & (to_zero < to_start), to_zero, to_start)
    to_end = np.where(to_end >= average * _CLOSE, average / 2, to_end)
    factor = (sampled + to_start + to_end) / sampled
    if per_second:
        factor = factor / (windows.range_ms / 1000)
    return change * factor, _at_least(windows, 2)


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
    total = np.zeros((len(rows), len(windows.ends)))
    for offset in range(1, int((high - low).max(initial=0))):
        index = low + offset
        inside = index < high
        total += np.where(inside, pick(lost, index), 0.0)
    change[rows] += total


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


def _sum(windows: Windows, _: Parameter) -> Found:
    sums = np.zeros(_shape(windows))
    compensation = np.zeros_like(sums)
    for inside, index in windows.each():
        sums, compensation = add(sums, compensation, np.where(inside, windows.value(index), 0.0))
    return np.where(np.isinf(sums), sums, sums + compensation), _at_least(windows, 1)


def _avg(windows: Windows, _: Parameter) -> Found:
    """The mean from the sum; where the sum would overflow, a running mean from there on."""
    sums = np.zeros(_shape(windows))
    compensation = np.zeros_like(sums)
    means = np.zeros_like(sums)
    running = np.zeros(sums.shape, np.bool_)
    for position, (inside, index) in enumerate(windows.each()):
        value = windows.value(index)
        count = position + 1.0
        new_sums, new_compensation = add(sums, compensation, value)
        over = inside & ~running & np.isinf(new_sums) & (position > 0)
        means = np.where(over, sums / max(position, 1), means)
        compensation = np.where(over, compensation / max(position, 1), compensation)
        running = running | over
        share = position / count
        new_means, mean_compensation = add(share * means, share * compensation, value / count)
        summing = inside & ~running
        means = np.where(inside & running, new_means, means)
        sums = np.where(summing, new_sums, sums)
        compensation = np.where(summing, new_compensation, np.where(inside & running, mean_compensation, compensation))
    counts = np.maximum(windows.counts, 1)
    return np.where(running, means + compensation, sums / counts + compensation / counts), _at_least(windows, 1)


def _variance(windows: Windows, _: Parameter) -> Found:
    shape = _shape(windows)
    mean, mean_rest, aux, aux_rest = (np.zeros(shape) for _ in range(4))
    for position, (inside, index) in enumerate(windows.each()):
        value = windows.value(index)
        delta = value - (mean + mean_rest)
        new_mean, new_rest = add(mean, mean_rest, delta / (position + 1.0))
        new_aux, new_aux_rest = add(aux, aux_rest, delta * (value - (new_mean + new_rest)))
        mean, mean_rest = np.where(inside, new_mean, mean), np.where(inside, new_rest, mean_rest)
        aux, aux_rest = np.where(inside, new_aux, aux), np.where(inside, new_aux_rest, aux_rest)
    return (aux + aux_rest) / np.maximum(windows.counts, 1), _at_least(windows, 1)


def _deviation(windows: Windows, parameter: Parameter) -> Found:
    variance, present = _variance(windows, parameter)
    return np.sqrt(variance), present


def _regression(windows: Windows, origin: Integers) -> tuple[Floats, Floats]:
    """Slope and value at `origin` of the straight line through the samples of each window."""
    shape = _shape(windows)
    names = ("x", "y", "xy", "xx")
    sums = {name: (np.zeros(shape), np.zeros(shape)) for name in names}
    for inside, index in windows.each():
        y = np.where(inside, windows.value(index), 0.0)
        x = np.where(inside, (windows.time(index) - origin) / 1000, 0.0)
        for name, term in zip(names, (x, y, x * y, x * x), strict=True):
            sums[name] = add(*sums[name], term)
    x, y, xy, xx = (total + compensation for total, compensation in sums.values())
    count = np.maximum(windows.counts, 1)
    slope = (xy - x * y / count) / (xx - x * x / count)
    intercept = y / count - slope * x / count
    return _unless_constant(windows, slope, intercept)


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


def _extreme(windows: Windows, choose: Callable[[Floats, Floats], Floats]) -> Found:
    best = windows.value(windows.low)
    for inside, index in windows.each():
        best = np.where(inside, choose(best, windows.value(index)), best)
    return best, _at_least(windows, 1)


def _max(windows: Windows, _: Parameter) -> Found:
    return _extreme(windows, np.fmax)


def _min(windows: Windows, _: Parameter) -> Found:
    return _extreme(windows, np.fmin)


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
    present = _at_least(windows, 1)
    result = np.full(present.shape, np.nan)
    rows = max(1, _SORTED_CELLS // max(int(windows.counts.max(initial=0)) * len(windows.ends), 1))
    for start in range(0, len(result), rows):
        part = slice(start, start + rows)
        low = windows.low if len(windows.low) == 1 else windows.low[part]
        high = windows.high if len(windows.high) == 1 else windows.high[part]
        result[part] = _quantiles_of(windows.bunch.values[part], low, high, parameter)
    return result, present


def _quantiles_of(values: Floats, low: Integers, high: Integers, q: Parameter) -> Floats:
    longest = int((high - low).max(initial=0))
    index = low[:, :, None] + np.arange(longest)
    inside = index < high[:, :, None]
    index = np.minimum(index, max(values.shape[1] - 1, 0))
    stretch = values[:, index[0]] if len(index) == 1 else values[np.arange(len(values))[:, None, None], index]
    return quantile(stretch, np.broadcast_to(inside, stretch.shape), q)


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
