"""`histogram_quantile` and `histogram_fraction` for classic histograms (one series per bucket) and native ones.

Histograms with the same bounds are computed together, as one array of histogram x bucket x step. Where a bucket is
missing at a step, or two series are the same bucket, that histogram is computed step by step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from otel_llm_collector.measure.promql.block import Block, joined
from otel_llm_collector.measure.promql.native import NativeHistogram, fraction_of, quantile_of, short
from otel_llm_collector.measure.promql.notes import Notebook
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Flags, Floats, Integers, Labels, Rows
from otel_llm_collector.measure.promql.syntax import Call, Expr

if TYPE_CHECKING:
    from otel_llm_collector.measure.promql.evaluate import Evaluator

Index = npt.NDArray[np.intp]

_BUCKET = "le"
_SMALL = 1e-12  # counts that differ by less than this part of them are the same
_TINY = 2.2250738585072014e-308
_CHUNK_CELLS = 1 << 18


@dataclass(slots=True)
class _Alike:
    """Classic histograms with the same bounds: their numbers, and for each the row of every bucket."""

    bounds: Floats
    numbers: Index
    rows: Index  # (histograms, bounds)


@dataclass(slots=True)
class _Layout:
    """The classic histograms among some rows: the labels of each without `le`, and those with the same bounds."""

    labels: list[Labels]
    alike: list[_Alike]


@dataclass(slots=True)
class _Input:
    classic: _Layout
    buckets: Flags  # (rows, steps): samples that count as buckets
    natives: Flags  # (rows, steps): native histograms that count


OfBuckets = Callable[[Floats, Floats, Integers], Floats]  # of bounds (B,), counts (H, B, S), step numbers (S,)


def warn_of_quantiles(notebook: Notebook, q: Floats, at: Expr) -> None:
    """A quantile is between 0 and 1."""
    for value in dict.fromkeys(q[~((q >= 0) & (q <= 1))].tolist()):
        notebook.warn(f"quantile value should be between 0 and 1, got {short(value)}", at)


def quantile(evaluator: Evaluator, call: Call) -> Block:
    """`histogram_quantile(q, v)`."""
    q = evaluator.scalar(call.arguments[0])
    block = evaluator.vector(call.arguments[1])
    notebook, argument = evaluator.notebook, call.arguments[1]
    warn_of_quantiles(notebook, q, call.arguments[0])
    given = _sorted_out(evaluator, block, argument)
    fixes = _Fixes(evaluator.grid.times)

    def of_buckets(bounds: Floats, counts: Floats, steps: Integers) -> Floats:
        return _quantiles(q[steps], bounds, counts, fixes, steps)

    def of_native(one: NativeHistogram, step: int, metric: str) -> float:
        value, note = quantile_of(float(q[step]), one)
        if note:
            happened = "result is NaN" if note == "result" else "result is skewed higher"
            message = f"input to histogram_quantile has NaN observations, {happened}"
            notebook.info(_about(message, metric), argument)
        return value

    answer = _answered(evaluator, block, given, of_buckets, of_native)
    fixes.tell(notebook, argument)
    return answer


def fraction(evaluator: Evaluator, call: Call) -> Block:
    """`histogram_fraction(lower, upper, v)`."""
    lower, upper = evaluator.scalar(call.arguments[0]), evaluator.scalar(call.arguments[1])
    argument = call.arguments[2]
    block = evaluator.vector(argument)
    given = _sorted_out(evaluator, block, argument)

    def of_buckets(bounds: Floats, counts: Floats, steps: Integers) -> Floats:
        return _fractions(lower[steps], upper[steps], bounds, counts)

    def of_native(one: NativeHistogram, step: int, metric: str) -> float:
        value, nans = fraction_of(float(lower[step]), float(upper[step]), one)
        if nans:
            message = "input to histogram_fraction has NaN observations, which are excluded from all fractions"
            evaluator.notebook.info(_about(message, metric), argument)
        return value

    return _answered(evaluator, block, given, of_buckets, of_native)


def _about(message: str, metric: str) -> str:
    return f'{message} for metric name "{metric}"' if metric else message


def _sorted_out(evaluator: Evaluator, block: Block, argument: Expr) -> _Input:
    """Which samples are buckets of which classic histogram, and which are native ones."""
    if block.histograms is None and isinstance(block.labels, Rows) and block.present.any(axis=1).all():
        known = block.labels.remembered(_well_formed, partial(_well_formed, block.labels))
        if known.labels:
            return _Input(known, block.present, np.zeros((0, 0), np.bool_))
    floats = block.floats
    buckets = floats if floats is not block.present else floats.copy()
    by_labels, malformed = _buckets(block.labels, np.flatnonzero(floats.any(axis=1)).tolist())
    for row, written in malformed:
        metric = dict(block.labels[row]).get(METRIC_NAME, "") if evaluator.options.late_names else ""
        message = f'bucket label "le" is missing or has a malformed value of "{written}"'
        evaluator.notebook.warn(_about(message, metric), argument)
        buckets[row] = False
    natives = block.natives if block.histograms is not None else np.zeros((0, 0), np.bool_)
    given = _Input(_layout(by_labels), buckets, natives)
    if natives.any():
        _drop_both_kinds(evaluator, block, by_labels, given, argument)
    return given


_Buckets = dict[Labels, list[tuple[float, int]]]  # by the labels without `le`: upper bounds and rows


def _well_formed(labels: Sequence[Labels]) -> _Layout:
    """The histograms that all rows make up; none where a row is no bucket."""
    by_labels, malformed = _buckets(labels, range(len(labels)))
    return _Layout([], []) if malformed else _layout(by_labels)


def _buckets(labels: Sequence[Labels], rows: Iterable[int]) -> tuple[_Buckets, list[tuple[int, str]]]:
    """The buckets among the rows, and the rows that are none with what they say of `le`."""
    by_labels: _Buckets = {}
    malformed = []
    place = 0  # of `le` among the labels; where it was in the last series
    for row in rows:
        own = labels[row]
        if place >= len(own) or own[place][0] != _BUCKET:
            place = next((at for at, (name, _) in enumerate(own) if name == _BUCKET), len(own))
        written = own[place][1] if place < len(own) else ""
        bound = _bound(written)
        if bound is None:
            malformed.append((row, written))
            continue
        by_labels.setdefault(own[:place] + own[place + 1 :], []).append((bound, row))
    return by_labels, malformed


def _layout(by_labels: _Buckets) -> _Layout:
    together: dict[tuple[float, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for number, found in enumerate(by_labels.values()):
        found.sort()
        bounds, rows = zip(*found, strict=True)
        together.setdefault(bounds, []).append((number, rows))
    alike = [
        _Alike(
            np.array(bounds),
            np.array([number for number, _ in members], np.intp),
            np.array([rows for _, rows in members], np.intp),
        )
        for bounds, members in together.items()
    ]
    return _Layout(list(by_labels), alike)


def _drop_both_kinds(evaluator: Evaluator, block: Block, by_labels: _Buckets, given: _Input, argument: Expr) -> None:
    """Where the same histogram is there in both kinds, neither counts."""
    for row in np.flatnonzero(given.natives.any(axis=1)).tolist():
        classic = by_labels.get(block.labels[row])
        if classic is None:
            continue
        rows = [other for _, other in classic]
        both = given.natives[row] & given.buckets[rows].any(axis=0)
        if both.any():
            metric = dict(block.labels[row]).get(METRIC_NAME, "") if evaluator.options.late_names else ""
            message = "vector contains a mix of classic and native histograms"
            evaluator.notebook.warn(_about(message, metric), argument)
            given.natives[row, both] = False
            given.buckets[np.ix_(np.array(rows, np.intp), np.flatnonzero(both))] = False


@lru_cache(maxsize=4096)
def _bound(text: str) -> float | None:
    if not text or "_" in text or text != text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _answered(
    evaluator: Evaluator,
    block: Block,
    given: _Input,
    of_buckets: OfBuckets,
    of_native: Callable[[NativeHistogram, int, str], float],
) -> Block:
    """The answers for classic and native histograms, without metric names."""
    values, present = _of_classic(given, block, of_buckets)
    blocks = [Block(given.classic.labels, values, present).used()]
    if block.histograms is not None:
        numbers = np.zeros(block.values.shape)
        for row, step in np.argwhere(given.natives).tolist():
            metric = dict(block.labels[row]).get(METRIC_NAME, "") if evaluator.options.late_names else ""
            numbers[row, step] = of_native(block.histograms[row, step], step, metric)
        blocks.append(replace(block, values=numbers, present=given.natives, histograms=None).used())
    return evaluator.nameless(joined(blocks, block.steps))


# Classic histograms


def _of_classic(given: _Input, block: Block, of_buckets: OfBuckets) -> tuple[Floats, Flags]:
    shape = (len(given.classic.labels), block.steps)
    values, present = np.zeros(shape), np.zeros(shape, np.bool_)
    steps = np.arange(block.steps)
    for alike in given.classic.alike:
        bounds = alike.bounds
        distinct = len(np.unique(bounds)) == len(bounds)
        chunk = max(1, _CHUNK_CELLS // max(1, len(bounds) * block.steps))
        for start in range(0, len(alike.numbers), chunk):
            part, rows = alike.numbers[start : start + chunk], alike.rows[start : start + chunk]
            buckets = _taken(given.buckets, rows)
            some = buckets.any(axis=1)
            present[part] = some
            if distinct and (some == buckets.all(axis=1)).all():
                values[part] = of_buckets(bounds, _taken(block.values, rows), steps)
                continue
            for number, of_one in zip(part.tolist(), rows, strict=True):
                _by_pattern(bounds, of_one, given, block, of_buckets, values[number])
    return values, present


def _taken(array: npt.NDArray[Any], rows: Index) -> npt.NDArray[Any]:
    """The rows as (histograms, bounds, steps); where they stand in order already, nothing is copied."""
    first, last = int(rows[0, 0]), int(rows[-1, -1])
    if last - first + 1 == rows.size and (np.diff(rows.ravel()) == 1).all():
        return array[first : last + 1].reshape(*rows.shape, -1)
    return array[rows]


def _by_pattern(
    bounds: Floats, rows: Index, given: _Input, block: Block, of_buckets: OfBuckets, values: Floats
) -> None:
    """One histogram whose buckets come and go: the steps with the same buckets together."""
    patterns, which = np.unique(given.buckets[rows], axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        if not pattern.any():
            continue
        steps = np.flatnonzero(which.reshape(-1) == number)
        distinct, first = np.unique(bounds[pattern], return_index=True)
        counts = np.add.reduceat(block.values[np.ix_(rows[pattern], steps)], first, axis=0)
        values[steps] = of_buckets(distinct, counts[None], steps)[0]


class _Fixes:
    """What had to be changed so that the counts of buckets rise, for the info that says so."""

    def __init__(self, times: Integers) -> None:
        self._times = times
        self._samples = 0
        self._bounds: list[float] = []
        self._moments: list[int] = []
        self._most = 0.0

    def note(self, bound: float, lost: Floats, steps: Integers) -> None:
        """In the bucket up to `bound` so many counts had been `lost` (histograms x steps, 0 where none)."""
        where = lost > 0
        self._bounds.append(bound)
        self._moments += [int(at) for at in self._times[steps][where.any(axis=0)]]
        self._most = max(self._most, float(lost.max()))

    def count(self, histograms: int) -> None:
        """So many histograms were changed."""
        self._samples += histograms

    def tell(self, notebook: Notebook, at: Expr) -> None:
        """Say so, if there was anything."""
        if not self._samples:
            return
        start, end = (
            datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for moment in (min(self._moments), max(self._moments))
        )
        notebook.info(
            "input to histogram_quantile needed to be fixed for monotonicity (see "
            "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile), "
            f"from buckets {short(min(self._bounds))} to {short(max(self._bounds))}, "
            f"with a max diff of {self._most:.2g}, over {self._samples} samples from {start} to {end}",
            at,
        )


def _rising(bounds: Floats, counts: Floats, fixes: _Fixes, steps: Integers) -> Floats:
    """The counts made to rise from bucket to bucket; what differs by rounding only is made the same."""
    change = counts[:, 1:] - counts[:, :-1]
    least = _SMALL * 2.5 * float(np.max(counts, initial=0.0)) + _TINY
    if np.count_nonzero(change < least) == np.count_nonzero(change == 0) and not np.isnan(least):
        return counts
    fixed = counts.copy()
    changed = np.zeros((counts.shape[0], counts.shape[2]), np.bool_)
    before = counts[:, 0]
    for bucket in range(1, counts.shape[1]):
        now = counts[:, bucket]
        size = np.abs(before) + np.abs(now)
        same = (before == now) | (np.abs(before - now) < _SMALL * np.where((before == 0) | (now == 0), _TINY, size))
        fell = ~same & (now < before)
        if fell.any():
            fixes.note(float(bounds[bucket]), np.where(fell, before - now, 0.0), steps)
            changed |= fell
        before = np.where(same | fell, before, now)
        fixed[:, bucket] = before
    fixes.count(int(changed.sum()))
    return fixed


def _quantiles(q: Floats, bounds: Floats, counts: Floats, fixes: _Fixes, steps: Integers) -> Floats:
    """The quantile of each histogram at each step; linear inside a bucket."""
    result = np.full((counts.shape[0], counts.shape[2]), np.nan)
    if bounds[-1] == math.inf and len(bounds) > 1:
        counts = _rising(bounds, counts, fixes, steps)
        rank = q * counts[:, -1]
        found = (counts[:, :-1] < rank[:, None]).sum(axis=1)
        lower = np.where(found > 0, bounds[np.maximum(found - 1, 0)], 0.0)
        below = np.take_along_axis(counts, np.maximum(found - 1, 0)[:, None], axis=1)[:, 0]
        below = np.where(found > 0, below, 0.0)
        inside = np.take_along_axis(counts, found[:, None], axis=1)[:, 0] - below
        upper = bounds[found]
        result = lower + (upper - lower) * ((rank - below) / inside)
        result = np.where(found == len(bounds) - 1, bounds[-2], result)
        result = np.where((found == 0) & (bounds[0] <= 0), bounds[0], result)
        result = np.where((counts[:, -1] == 0) | np.isnan(rank), np.nan, result)
    result = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result))
    return np.where(np.isnan(q), np.nan, result)


def _fractions(lower: Floats, upper: Floats, bounds: Floats, counts: Floats) -> Floats:
    """Which part of the observations lies between the bounds."""
    everything = counts[:, -1]
    if bounds[-1] != math.inf:
        return np.full(everything.shape, np.nan)
    below = [np.minimum(_below(edge, bounds, counts), everything) for edge in (lower, upper)]
    result = np.where(lower >= upper, 0.0, (below[1] - below[0]) / everything)
    return np.where((everything == 0) | np.isnan(lower) | np.isnan(upper), np.nan, result)


def _below(edge: Floats, bounds: Floats, counts: Floats) -> Floats:
    """How many observations lie below `edge`, linear inside a bucket; the first one begins at 0 or has no beginning."""
    lowers = np.concatenate([[0.0 if bounds[0] > 0 else -math.inf], bounds[:-1]])
    result = counts[:, -1].copy()
    rank = np.zeros_like(result)
    done = np.zeros(result.shape, np.bool_)
    for bucket in range(len(bounds)):
        now = counts[:, bucket]
        low, high = lowers[bucket], bounds[bucket]
        at_edge = ~done & (low >= edge)
        inside = ~done & ~at_edge & (high > edge)
        share = now if low == -math.inf else rank + (now - rank) * (edge - low) / (high - low)
        result = np.where(at_edge, rank, np.where(inside, share, result))
        done = done | at_edge | inside
        rank = now
    return result
