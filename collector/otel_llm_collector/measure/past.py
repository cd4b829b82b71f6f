"""The recent past of every series, for rules and queries: a grid of samples in compact arrays, bounded in every way.

Time is cut into slots of `resolution_ms`, and 120 slots are a block; a block holds for each series and slot one value
(float64) and where in the slot it was taken (uint16), 10 bytes a sample. A sample goes straight to its slot, so one
that comes twice changes nothing, one that comes late falls into its place, and of several in a slot the newest stays.
Blocks older than the window go as a whole. Memory that no sample was written to is never touched, so a block costs what
is in it.

Series are numbered; a number stays valid until `epoch` changes, which happens when series without samples leave.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from otel_llm_semconv import attributes as attr
from pydantic import BaseModel, ConfigDict, Field

from otel_llm_collector import limits
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.measure.blocks import ROWS_AT_ONCE, SLOTS, Block, BlockCopy, Piece, cut, together
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import (
    METRIC_NAME,
    Floats,
    Integers,
    Labels,
    Matcher,
    Rows,
    SeriesSlice,
)

NO_SERIES = -1  # the number of a series for which there was no room

_MAX_REMEMBERED_SELECTIONS = 2048
_MAX_REMEMBERED_ROWS = 500_000  # in all of those together
_UINT16 = 0xFFFF

Ids = npt.NDArray[np.int64]


class MeasureConfig(BaseModel):
    """What of metrics is kept in memory, for rules and queries."""

    model_config = ConfigDict(extra="forbid")

    window_seconds: float = Field(
        limits.WINDOW_SECONDS, ge=60, le=7 * 86400, description="How far back rules and queries can look, in seconds."
    )
    resolution_seconds: float = Field(
        limits.WINDOW_RESOLUTION_SECONDS,
        ge=0.1,
        le=3600,
        description="Seconds for which one sample per series is kept.",
    )
    max_series: int = Field(
        limits.MAX_WINDOW_SERIES,
        ge=100,
        le=1_000_000,
        description="Series kept; further counters and histograms are summed in one overflow series per metric.",
    )
    max_series_per_name: int = Field(
        limits.MAX_WINDOW_SERIES_PER_NAME,
        ge=10,
        le=1_000_000,
        description="The same for the series of one name.",
    )
    path: ConfigPath | None = Field(
        None, description="Folder in which the window survives a restart; beside a log on disk by default."
    )
    promote: list[str] = Field(
        default_factory=lambda: [attr.SERVICE_NAME], description="Resource attributes that become labels."
    )


@dataclass(frozen=True, slots=True)
class _Selected:
    """The series that some matchers choose, as of a version of those with that name."""

    version: int
    numbers: Ids
    labels: Rows


class Past:
    """The store; safe for threads. Implements the evaluator's `Storage`."""

    def __init__(
        self,
        seconds: float = limits.WINDOW_SECONDS,
        resolution_seconds: float = limits.WINDOW_RESOLUTION_SECONDS,
        max_series: int = limits.MAX_WINDOW_SERIES,
        max_series_per_name: int = limits.MAX_WINDOW_SERIES_PER_NAME,
    ) -> None:
        self.resolution_ms = max(1, round(resolution_seconds * 1000))
        self._block_ms = self.resolution_ms * SLOTS
        self.window_ms = round(seconds * 1000)
        self._max_series = max_series
        self._max_per_name = max_series_per_name
        self._origin_ms = 0
        self._lock = threading.RLock()
        self._blocks: dict[int, Block] = {}
        self._numbers: dict[Labels, int] = {}
        self._labels: list[Labels] = []
        self._free: list[int] = []
        self._by_name: dict[str, dict[int, None]] = {}
        self._versions: Counter[str] = Counter()  # changes of the series of a name; "" for all
        self._last_block = np.zeros(0, np.int64)
        self._selections: OrderedDict[tuple[Matcher, ...], _Selected] = OrderedDict()
        self._selected_rows = 0
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        self._newest_ms = 0
        self.epoch = 0
        self.dropped: Counter[str] = Counter()  # samples by reason
        self.samples = 0

    def __len__(self) -> int:
        """Series that are held."""
        return len(self._numbers)

    def names(self) -> dict[str, int]:
        """Every metric name and how many series it has."""
        with self._lock:
            return {name: len(numbers) for name, numbers in self._by_name.items()}

    def number(self, labels: Labels, *, reserved: bool = False) -> int:
        """The number of the series with these labels, made if need be; `NO_SERIES` when there is no room for it.

        `reserved` finds room where only what overflows has any.
        """
        found = self._numbers.get(labels)
        if found is not None:
            return found
        with self._lock:
            return self._number(labels, reserved=reserved)

    def all_numbers(self, series: Sequence[Labels], *, reserved: bool = False) -> list[int] | None:
        """The numbers of all of `series`; None, and none of them made, when there is no room for one."""
        with self._lock:
            new = [labels for labels in series if labels not in self._numbers]
            numbers = [self.number(labels, reserved=reserved) for labels in series]
            if NO_SERIES not in numbers:
                return numbers
            for labels in new:
                if labels in self._numbers:
                    self._remove(self._numbers[labels])
            return None

    def is_written(self, number: int) -> bool:
        """Whether the series has had a sample."""
        return bool(self._last_block[number] != np.iinfo(np.int64).max)

    def has(self, labels: Labels) -> bool:
        """Whether there is such a series."""
        return labels in self._numbers

    def _number(self, labels: Labels, *, reserved: bool) -> int:
        name = next((value for label, value in labels if label == METRIC_NAME), "")
        siblings = self._by_name.get(name, {})
        if reserved:
            if len(self._numbers) >= self._max_series + limits.MAX_OVERFLOW_SERIES:
                return NO_SERIES
        elif len(self._numbers) >= self._max_series or len(siblings) >= self._max_per_name:
            return NO_SERIES
        labels = tuple(self._pairs.setdefault(pair, pair) for pair in labels)
        if self._free:
            number = self._free.pop()
            self._labels[number] = labels
        else:
            number = len(self._labels)
            self._labels.append(labels)
            if number >= len(self._last_block):
                self._last_block = np.resize(self._last_block, max(1024, 2 * number))
        self._last_block[number] = np.iinfo(np.int64).max  # it has no sample yet, and must not leave before it has
        self._numbers[labels] = number
        self._by_name.setdefault(name, {})[number] = None
        self._changed(name)
        return number

    def _changed(self, name: str) -> None:
        self._versions[name] += 1
        self._versions[""] += 1

    def append(self, numbers: Ids, times: Integers, values: Floats, now_ms: int) -> None:
        """Add samples, one for each entry of the three arrays. What cannot be kept is counted in `dropped`."""
        with self._lock:
            good = self._admitted(numbers, times, now_ms)
            if not good.all():
                numbers, times, values = numbers[good], times[good], values[good]
            if not len(times):
                return
            if len(times) > 1 and (times[1:] < times[:-1]).any():
                order = np.argsort(times, kind="stable")  # of two samples for one slot the later is written last
                numbers, times, values = numbers[order], times[order], values[order]
            ticks = times - self._origin_ms
            slots = ticks // self.resolution_ms
            offsets = (ticks - slots * self.resolution_ms + 1).astype(self._offset_type)
            blocks = slots // SLOTS
            for index in np.unique(blocks).tolist():
                block = self._block(index)
                here = blocks == index
                whole = bool(here.all())
                rows, columns, at, new = (
                    (numbers, slots - index * SLOTS, offsets, values)
                    if whole
                    else (numbers[here], slots[here] - index * SLOTS, offsets[here], values[here])
                )
                newer = at >= block.offsets[rows, columns]
                if not newer.all():
                    self.dropped["superseded"] += int((~newer).sum())
                    rows, columns, at, new = rows[newer], columns[newer], at[newer], new[newer]
                block.version += 1
                block.offsets[rows, columns] = at
                block.values[rows, columns] = new
                last = self._last_block[rows]
                self._last_block[rows] = np.where(last == np.iinfo(np.int64).max, index, np.maximum(last, index))
                self.samples += len(rows)
            self._newest_ms = max(self._newest_ms, int(times.max()))

    def append_one(
        self, labels: Labels, time_ms: int, value: float, now_ms: int, histogram: NativeHistogram | None = None
    ) -> bool:
        """Add one sample; whether there was room for its series."""
        number = self.number(labels)
        if histogram is not None and number != NO_SERIES:
            self.append_histogram(number, time_ms, histogram, now_ms)
        else:
            self.append(np.array([number]), np.array([time_ms]), np.array([value]), now_ms)
        return number != NO_SERIES

    def append_histogram(self, number: int, time_ms: int, histogram: NativeHistogram, now_ms: int) -> None:
        """Add one native histogram."""
        with self._lock:
            before = self.samples
            self.append(np.array([number]), np.array([time_ms]), np.array([0.0]), now_ms)
            if self.samples > before:
                slot = (time_ms - self._origin_ms) // self.resolution_ms
                cells = self._blocks[slot // SLOTS].histograms.setdefault(number, {})
                cells[slot % SLOTS] = histogram

    def _admitted(self, numbers: Ids, times: Integers, now_ms: int) -> npt.NDArray[np.bool_]:
        room = numbers != NO_SERIES
        late = times < now_ms - self.window_ms
        early = times > now_ms + limits.MAX_FUTURE_SECONDS * 1000
        for reason, refused in (("series_limit", ~room), ("too_old", room & late), ("future", room & early)):
            count = int(refused.sum())
            if count:
                self.dropped[reason] += count
        return np.asarray(room & ~late & ~early)

    @property
    def _offset_type(self) -> type[np.unsignedinteger]:
        return np.uint16 if self.resolution_ms < _UINT16 else np.uint32

    def _block(self, index: int) -> Block:
        block = self._blocks.get(index)
        if block is None:
            shape = (self._max_series + limits.MAX_OVERFLOW_SERIES, SLOTS)
            block = self._blocks[index] = Block(np.zeros(shape, self._offset_type), np.zeros(shape))
        return block

    def blocks(self) -> list[tuple[int, int]]:
        """Start and version of every block."""
        with self._lock:
            return [(self._start(index), block.version) for index, block in self._blocks.items()]

    def _start(self, index: int) -> int:
        return self._origin_ms + index * self._block_ms

    def block_copy(self, start_ms: int) -> BlockCopy | None:
        """The block that starts then, if there is one."""
        with self._lock:
            block = next((one for index, one in self._blocks.items() if self._start(index) == start_ms), None)
            if block is None:
                return None
            rows = np.flatnonzero(block.offsets[: len(self._labels)].any(axis=1))
            place = {number: row for row, number in enumerate(rows.tolist())}
            labels = [self._labels[number] for number in place]
            histograms = {
                (place[number], slot): histogram
                for number, cells in block.histograms.items()
                for slot, histogram in cells.items()
                if number in place
            }
            offsets, values = block.offsets[rows], block.values[rows]
            return BlockCopy(start_ms, self.resolution_ms, labels, offsets, values, histograms)

    def prune(self, now_ms: int) -> None:
        """Let go of blocks older than the window, and of the series that had samples only there."""
        with self._lock:
            oldest = (now_ms - self.window_ms - self._origin_ms) // self._block_ms
            old = [index for index in self._blocks if index < oldest]
            if not old:
                return
            for index in old:
                del self._blocks[index]
            gone = np.flatnonzero(self._last_block[: len(self._labels)] < oldest).tolist()
            freed = set(self._free)
            for number in gone:
                if number not in freed:
                    self._remove(number)
            if gone:
                self.epoch += 1
                self._selections.clear()
                self._selected_rows = 0

    def _remove(self, number: int) -> None:
        labels = self._labels[number]
        name = next((value for label, value in labels if label == METRIC_NAME), "")
        del self._numbers[labels]
        del self._by_name[name][number]
        if not self._by_name[name]:
            del self._by_name[name]
        self._changed(name)
        self._free.append(number)
        for block in self._blocks.values():  # a late sample may have been written to a block that stays
            block.offsets[number] = 0
            block.histograms.pop(number, None)
        if not self._numbers:
            self._pairs.clear()

    def shift(self, milliseconds: int) -> None:
        """Move everything in time: the clock was set, and what was just now is still just now."""
        with self._lock:
            self._origin_ms += milliseconds
            self._newest_ms += milliseconds

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Sequence[SeriesSlice]:
        """See `Storage`."""
        with self._lock:
            selected = self._matching(tuple(matchers))
            numbers = selected.numbers
            if not len(numbers):
                return []
            first = (start_ms - self._origin_ms) // self.resolution_ms
            last = (end_ms - self._origin_ms) // self.resolution_ms
            same = together(list(self._pieces(first, last)), numbers, selected.labels)
            if same is not None:
                return same
            parts = (numbers[row : row + ROWS_AT_ONCE] for row in range(0, len(numbers), ROWS_AT_ONCE))
            return [one for part in parts for one in self._slices(part, first, last)]

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterable[Labels]:
        """The labels of every series that passes and has a sample in that time."""
        return [one.labels for one in self.select(matchers, start_ms, end_ms)]

    def _matching(self, matchers: tuple[Matcher, ...]) -> _Selected:
        name = next((one.value for one in matchers if one.name == METRIC_NAME and one.op == "="), "")
        version = self._versions[name]
        known = self._selections.get(matchers)
        if known is not None and known.version == version:
            self._selections.move_to_end(matchers)
            return known
        candidates: Iterable[int] = self._by_name.get(name, {}) if name else self._numbers.values()
        rest = [one for one in matchers if not (one.name == METRIC_NAME and one.op == "=" and one.value == name)]
        found = [number for number in candidates if _passes(self._labels[number], rest)]
        numbers = np.array(found, np.int64)
        selected = _Selected(version, numbers, Rows(self._labels[number] for number in found))
        self._selected_rows += len(found) - (len(known.numbers) if known is not None else 0)
        self._selections[matchers] = selected
        self._selections.move_to_end(matchers)
        while len(self._selections) > _MAX_REMEMBERED_SELECTIONS or self._selected_rows > _MAX_REMEMBERED_ROWS:
            self._selected_rows -= len(self._selections.popitem(last=False)[1].numbers)
        return selected

    def _pieces(self, first: int, last: int) -> Iterator[Piece]:
        """The stretches of blocks from slot `first` to `last`, and the moment before each of their slots."""
        for index in sorted(self._blocks):
            low, high = max(first - index * SLOTS, 0), min(last - index * SLOTS, SLOTS - 1)
            if low <= high:
                base = self._origin_ms + (index * SLOTS + np.arange(low, high + 1)) * self.resolution_ms - 1
                yield self._blocks[index], slice(low, high + 1), base

    def _slices(self, numbers: Ids, first: int, last: int) -> list[SeriesSlice]:
        pieces = list(self._pieces(first, last))
        slices = cut(pieces, numbers, self._labels) if pieces else []
        histograms = any(block.histograms for block, *_ in pieces)
        return [self._with_histograms(one) for one in slices] if histograms else slices

    def _with_histograms(self, one: SeriesSlice) -> SeriesSlice:
        number = self._numbers[one.labels]
        found: list[NativeHistogram | None] = []
        for time_ms in one.times.tolist():
            slot = (time_ms - self._origin_ms) // self.resolution_ms
            found.append(self._blocks[slot // SLOTS].histograms.get(number, {}).get(slot % SLOTS))
        if not any(histogram is not None for histogram in found):
            return one
        return SeriesSlice(one.labels, one.times, one.values, found)

    def allocated_bytes(self) -> int:
        """Bytes of samples that are held, at most: slots of the series that are there."""
        width = 8 + np.dtype(self._offset_type).itemsize
        return len(self._blocks) * SLOTS * width * len(self._labels)


def _passes(labels: Labels, matchers: Sequence[Matcher]) -> bool:
    if not matchers:
        return True
    have = dict(labels)
    return all(one.matches(have.get(one.name, "")) for one in matchers)
