"""The samples that a selector looks at: per series and step the stretch of samples in its window.

Series with the very same sample times stand in one bunch, as the rows of one array: their windows are found once.
Those with times of their own stand in a padded bunch. A window is (end - range, end]; stale markers are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from otel_llm_collector.measure.promql.block import Block, Histograms, no_histograms
from otel_llm_collector.measure.promql.storage import Flags, Floats, Integers, Labels, SeriesSlice, Together, is_stale

_NEVER = np.iinfo(np.int64).max  # the time of padding
_STEP_CELLS = 1 << 20  # the same of one row, which cannot be parted but by steps
_Rows = TypeVar("_Rows", list[int], range)
_CHUNK_CELLS = 1 << 18  # cells of one working array: small enough for the processor's cache


@dataclass(slots=True)
class Bunch:
    """Rows of samples: `times` is (1, L) for all rows or (N, L), padded at the end; `lengths` says how long each is."""

    rows: npt.NDArray[np.intp]  # which series of the selection these are
    times: Integers
    values: Floats
    lengths: Integers  # (1,) or (N,)
    histograms: Histograms | None = None

    def part(self, start: int, stop: int) -> Bunch:
        """Some of its rows."""
        shared = len(self.times) == 1
        return Bunch(
            self.rows[start:stop],
            self.times if shared else self.times[start:stop],
            self.values[start:stop],
            self.lengths if shared else self.lengths[start:stop],
            None if self.histograms is None else self.histograms[start:stop],
        )


@dataclass(slots=True)
class Windows:
    """A bunch with its windows: samples `low` to `high` - 1 of each row at each step; (1, T) where rows share times.

    T is the number of steps looked at here: those of `steps`.
    """

    bunch: Bunch
    steps: slice
    low: Integers
    high: Integers
    ends: Integers  # (T,): where the windows end
    moments: Integers  # (T,): the steps themselves, elsewhere with `offset` and `@`
    range_ms: int

    @property
    def counts(self) -> Integers:
        """How many samples each window has."""
        return self.high - self.low

    def value(self, index: Integers) -> Floats:
        """The values at one index per window, as (N, T); an index outside the bunch gives any value."""
        return pick(self.bunch.values, index)

    def time(self, index: Integers) -> Integers:
        """The times at one index per window, as (1 or N, T)."""
        return pick(self.bunch.times, index)

    def stretches(self) -> tuple[Floats, Flags]:
        """All samples of every window as (N, T, longest), and which of them are in it as (1 or N, T, longest)."""
        return stretches(self.bunch.values, self.low, self.high)

    def stretched_times(self) -> Integers:
        """The times of those samples, as (1 or N, T, longest)."""
        return stretches(self.bunch.times, self.low, self.high)[0]


def stretches(array: npt.NDArray[Any], low: Integers, high: Integers) -> tuple[npt.NDArray[Any], Flags]:
    """From `low` to before `high` in each row, padded to the longest, and what is no padding."""
    longest = int((high - low).max(initial=0))
    if low.shape == (1, 1):
        start = int(low[0, 0])
        return array[:, None, start : start + longest], np.ones((1, 1, longest), np.bool_)
    index = low[..., None] + np.arange(longest)
    inside: Flags = index < high[..., None]
    index = np.minimum(index, max(array.shape[1] - 1, 0))
    if len(index) == 1:
        found = array[:, index[0]]
    elif len(array) == 1:
        found = array[0][index]
    else:
        found = array[np.arange(len(array))[:, None, None], index]
    return found, inside


def pick(array: npt.NDArray[Any], index: Integers) -> npt.NDArray[Any]:
    """One element per row and step: `index` is (1, T) or (N, T) and may lie outside, which gives any element."""
    index = np.minimum(np.maximum(index, 0), max(array.shape[1] - 1, 0))
    if len(index) == 1:
        picked: npt.NDArray[Any] = np.take(array, index[0], axis=1)
    elif len(array) == 1:
        picked = array[0][index]
    else:
        picked = np.take_along_axis(array, index, axis=1)
    return picked


def bunches(series: Sequence[SeriesSlice], *, stale: bool = True) -> Iterator[Bunch]:
    """The series by their times, those that share them together, in parts that fit the processor's cache.

    Without `stale` no marker is among the samples.
    """
    alone: list[int] = []
    for bunch in _views(series) if isinstance(series, Together) else _stacks(series, alone):
        kept = bunch if stale else _set_apart(bunch, alone)
        if kept is not None:
            yield kept
    members = {row: series[row] if stale else fresh(series[row]) for row in alone}
    longest = max((len(one.times) for one in members.values()), default=0)
    for part in _parts([row for row, one in members.items() if len(one.times)], longest):
        yield _padded(members, part)


def _views(series: Together) -> Iterator[Bunch]:
    times, length = series.times.reshape(1, -1), np.array([len(series.times)])
    for part in _parts(range(len(series)), len(series.times)):
        yield Bunch(np.array(part, np.intp), times, series.values[part.start : part.stop], length)


def _stacks(series: Sequence[SeriesSlice], alone: list[int]) -> Iterator[Bunch]:
    """The series that share their times; what shares them with no other is added to `alone`."""
    by_times: dict[int | tuple[int, bytes], list[int]] = {}
    for row, one in enumerate(series):
        by_times.setdefault(id(one.times), []).append(row)
    if len(by_times) > 1:
        by_times = _by_content(series, by_times)
    for rows in by_times.values():
        if len(rows) == 1 and len(by_times) > 1:
            alone.append(rows[0])
            continue
        for part in _parts(rows, len(series[rows[0]].times)):
            yield _stacked(series, part)


def labels_of(series: Sequence[SeriesSlice]) -> list[Labels]:
    """The labels of each."""
    return series.labels if isinstance(series, Together) else [one.labels for one in series]


def _parts(rows: _Rows, width: int) -> Iterator[_Rows]:
    size = max(1, _CHUNK_CELLS // max(width, 1))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _set_apart(bunch: Bunch, alone: list[int]) -> Bunch | None:
    """The bunch without the rows that hold stale markers; those are added to `alone`."""
    ended = is_stale(bunch.values).any(axis=1)
    if not ended.any():
        return bunch
    alone.extend(bunch.rows[ended].tolist())
    keep = np.flatnonzero(~ended)
    if not len(keep):
        return None
    histograms = None if bunch.histograms is None else bunch.histograms[keep]
    return Bunch(bunch.rows[keep], bunch.times, bunch.values[keep], bunch.lengths, histograms)


def _by_content(
    series: Sequence[SeriesSlice], by_identity: dict[int | tuple[int, bytes], list[int]]
) -> dict[int | tuple[int, bytes], list[int]]:
    found: dict[int | tuple[int, bytes], list[int]] = {}
    for rows in by_identity.values():
        times = series[rows[0]].times
        found.setdefault((len(times), times.tobytes()), []).extend(rows)
    return found


def _stacked(series: Sequence[SeriesSlice], rows: list[int]) -> Bunch:
    times = series[rows[0]].times
    values = np.empty((len(rows), len(times)))
    for position, row in enumerate(rows):
        values[position] = series[row].values
    return Bunch(
        np.array(rows, np.intp),
        times.reshape(1, -1),
        values,
        np.array([len(times)]),
        _histograms(series, rows, len(times)),
    )


def _padded(series: Mapping[int, SeriesSlice], rows: list[int]) -> Bunch:
    lengths = np.array([len(series[row].times) for row in rows], np.int64)
    longest = int(lengths.max())
    times = np.full((len(rows), longest), _NEVER, np.int64)
    values = np.zeros((len(rows), longest))
    for position, row in enumerate(rows):
        times[position, : lengths[position]] = series[row].times
        values[position, : lengths[position]] = series[row].values
    return Bunch(np.array(rows, np.intp), times, values, lengths, _histograms(series, rows, longest))


def _histograms(
    series: Sequence[SeriesSlice] | Mapping[int, SeriesSlice], rows: list[int], length: int
) -> Histograms | None:
    if all(series[row].histograms is None for row in rows):
        return None
    found = no_histograms((len(rows), length))
    for position, row in enumerate(rows):
        histograms = series[row].histograms
        if histograms is not None:
            for index, histogram in enumerate(histograms):
                found[position, index] = histogram
    return found


def fresh(one: SeriesSlice) -> SeriesSlice:
    """The series without stale markers."""
    stale = is_stale(one.values)
    if not stale.any():
        return one
    keep = np.flatnonzero(~stale)
    histograms = None if one.histograms is None else [one.histograms[index] for index in keep.tolist()]
    return SeriesSlice(one.labels, one.times[keep], one.values[keep], histograms)


def windows(
    bunch: Bunch, ends: Integers, moments: Integers, range_ms: int, *, dense: bool = False
) -> Iterator[Windows]:
    """The windows of a bunch at each of `ends`, in parts that fit the processor's cache: some rows, then some steps.

    `dense` says that all samples of all windows will be laid out.
    """
    shared = len(bunch.times) == 1
    all_low, all_high = _bounds(bunch, ends, range_ms)
    longest = int((all_high - all_low).max(initial=0)) if dense else 1
    together = max(1, _STEP_CELLS // max(longest, 1))
    rows = max(1, _CHUNK_CELLS // max(bunch.values.shape[1], min(together, len(ends)) * longest, 1))
    for start in range(0, len(bunch.rows), rows):
        part = bunch.part(start, start + rows)
        low, high = (one if shared else one[start : start + rows] for one in (all_low, all_high))
        for step in range(0, len(ends), together):
            steps = slice(step, step + together)
            yield Windows(part, steps, low[:, steps], high[:, steps], ends[steps], moments[steps], range_ms)


def _bounds(bunch: Bunch, ends: Integers, range_ms: int) -> tuple[Integers, Integers]:
    moments = np.concatenate([ends - range_ms, ends])
    found = np.empty((len(bunch.times), len(moments)), np.int64)
    for row, (times, length) in enumerate(zip(bunch.times, bunch.lengths.tolist(), strict=True)):
        found[row] = np.searchsorted(times[:length], moments, side="right")
    return found[:, : len(ends)], found[:, len(ends) :]


def newest(bunch: Bunch, ends: Integers, lookback_ms: int) -> tuple[Flags, Integers]:
    """Where at each of `ends` a series has a sample not older than `lookback_ms`, and its index."""
    low, high = _bounds(bunch, ends, lookback_ms)
    return high > low, high - 1


def as_series(block: Block, times: Integers) -> list[SeriesSlice]:
    """The rows of a block as series, for the windows over a subquery."""
    found = []
    for row, labels in enumerate(block.labels):
        present = block.present[row]
        histograms = None if block.histograms is None else block.histograms[row]
        if present.all():
            found.append(_slice(labels, times, block.values[row], histograms))
        elif present.any():
            chosen = None if histograms is None else histograms[present]
            found.append(_slice(labels, times[present], block.values[row][present], chosen))
    return found


def _slice(labels: Labels, times: Integers, values: Floats, histograms: Histograms | None) -> SeriesSlice:
    if histograms is None or not any(one is not None for one in histograms.tolist()):
        return SeriesSlice(labels, times, values)
    return SeriesSlice(labels, times, values, histograms.tolist())
