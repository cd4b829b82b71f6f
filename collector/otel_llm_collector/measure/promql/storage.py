"""What the evaluator asks of a store of series, and a small one in memory for tests and for what is loaded by hand.

A store hands out slices of its own arrays; the evaluator never writes to them. A series that ended is marked by one
more sample whose value is `STALE` (Prometheus' stale marker: a NaN with its own bits); from there on the series has no
value until its next sample.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt
import re2

from otel_llm_collector.measure.promql.native import NativeHistogram

Labels = tuple[tuple[str, str], ...]  # sorted by name, `__name__` among them, no empty values
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

METRIC_NAME = "__name__"
STALE_BITS = 0x7FF0000000000002
STALE = float(np.array([STALE_BITS], np.int64).view(np.float64)[0])


def is_stale(values: Floats) -> Flags:
    """Where `values` holds the stale marker; told from other NaNs by its bits."""
    return np.asarray(np.ascontiguousarray(values).view(np.int64) == STALE_BITS)


_QUIET = re2.Options()
_QUIET.log_errors = False


@lru_cache(maxsize=4096)
def anchored(pattern: str) -> Any:
    """The regular expression as Prometheus matches with it (RE2): the whole value, `.` takes a line break too.

    Raises ValueError where it is none. No pattern takes longer than linear time.
    """
    try:
        return re2.compile(f"(?s:{pattern})", _QUIET)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from error


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label; a label that a series does not have counts as empty."""

    name: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str

    def matches(self, value: str) -> bool:
        """Whether a label with this value passes."""
        if self.op == "=":
            return value == self.value
        if self.op == "!=":
            return value != self.value
        return (anchored(self.value).fullmatch(value) is not None) == (self.op == "=~")

    def __str__(self) -> str:
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.op}"{quoted}"'


@dataclass(frozen=True, slots=True)
class SeriesSlice:
    """A stretch of one series.

    `times` (milliseconds) rises strictly. `histograms`, where the series has any, is as long as `times` and holds None
    for each sample that is a float; the value beside a histogram means nothing unless it is `STALE`. Series that share
    their times had best share the very array: the evaluator then reads it once.
    """

    labels: Labels
    times: Integers
    values: Floats
    histograms: Sequence[NativeHistogram | None] | None = None


_Made = TypeVar("_Made")
_MOST_MADE = 16  # things made of the same rows: queries that group them in as many ways


class Rows(list[Labels]):
    """The labels of series that a store hands out again and again, as the very same list; never changed.

    What a query makes of them (names dropped, groups) is remembered here for the next query.
    """

    __slots__ = ("_made",)

    def __init__(self, labels: Iterable[Labels] = ()) -> None:
        super().__init__(labels)
        self._made: dict[Hashable, Any] = {}

    def remembered(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """What `make` gives, or gave when it was asked under this key before."""
        made: _Made | None = self._made.get(key)
        if made is None:
            made = make()
            if len(self._made) < _MOST_MADE:
                self._made[key] = made
        return made


@dataclass(frozen=True, slots=True)
class Together(Sequence[SeriesSlice]):
    """Series that were sampled at the very same moments, at least one: `values` has a row for each."""

    labels: Rows
    times: Integers
    values: Floats

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> SeriesSlice: ...

    @overload
    def __getitem__(self, index: slice) -> list[SeriesSlice]: ...

    def __getitem__(self, index: int | slice) -> SeriesSlice | list[SeriesSlice]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        return SeriesSlice(self.labels[index], self.times, self.values[index])


class Storage(Protocol):
    """A store of series."""

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Sequence[SeriesSlice]:
        """Every series that passes all matchers, with its samples from `start_ms` to `end_ms`, both included.

        More samples may be handed out than were asked for. A series without samples in that time may be left out.
        What has the same times is read fastest as one `Together`.
        """
        ...


class Index(Storage, Protocol):
    """A store that also says which series it has, without their samples."""

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterable[Labels]:
        """The labels of every series that passes all matchers (all series where there are none).

        Those without a sample from `start_ms` to `end_ms` may be among them.
        """
        ...


@dataclass(slots=True)
class _Series:
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    histograms: list[NativeHistogram | None] = field(default_factory=list)
    frozen: SeriesSlice | None = None


def make_labels(names_and_values: Mapping[str, str]) -> Labels:
    """The labels as the store keeps them: sorted, without empty ones."""
    return tuple(sorted((name, value) for name, value in names_and_values.items() if value))


class MemoryStorage:
    """Series in plain lists, added in order of time."""

    def __init__(self) -> None:
        self._series: dict[Labels, _Series] = {}

    def append(self, labels: Labels, time_ms: int, value: float, histogram: NativeHistogram | None = None) -> None:
        """Add one sample; one that is not later than the series' last is refused."""
        series = self._series.setdefault(labels, _Series())
        if series.times and time_ms <= series.times[-1]:
            raise ValueError(f"{dict(labels)}: time {time_ms} is not after the last sample ({series.times[-1]})")
        series.times.append(time_ms)
        series.values.append(value)
        series.histograms.append(histogram)
        series.frozen = None

    def extend(self, labels: Labels, samples: Iterable[tuple[int, float]]) -> None:
        """Add several float samples."""
        for time_ms, value in samples:
            self.append(labels, time_ms, value)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Sequence[SeriesSlice]:
        found = []
        for labels, series in self._series.items():
            have = dict(labels)
            if all(matcher.matches(have.get(matcher.name, "")) for matcher in matchers):
                found.append(_cut(_freeze(labels, series), start_ms, end_ms))
        return [one for one in found if len(one.times)]

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterable[Labels]:
        return [one.labels for one in self.select(matchers, start_ms, end_ms)]


def _freeze(labels: Labels, series: _Series) -> SeriesSlice:
    if series.frozen is None:
        histograms = series.histograms if any(one is not None for one in series.histograms) else None
        series.frozen = SeriesSlice(
            labels, np.array(series.times, np.int64), np.array(series.values, np.float64), histograms
        )
    return series.frozen


def _cut(series: SeriesSlice, start_ms: int, end_ms: int) -> SeriesSlice:
    first, last = np.searchsorted(series.times, [start_ms, end_ms + 1]).tolist()
    histograms = series.histograms[first:last] if series.histograms is not None else None
    return SeriesSlice(series.labels, series.times[first:last], series.values[first:last], histograms)
