"""Blocks of samples, and how stretches of series are cut out of them.

A block holds for each series and slot one value and where in the slot it was taken. Series that were sampled at the
same moments are cut out as one array; others one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import Floats, Integers, Labels, Rows, SeriesSlice, Together

SLOTS = 120  # in a block
ROWS_AT_ONCE = 1024  # of series that are cut out together: what is copied on the way stays in the processor's cache

Ids = npt.NDArray[np.int64]


@dataclass(slots=True)
class Block:
    """Samples of 120 slots: `offsets` is 1 more than the milliseconds into the slot, 0 where there is no sample."""

    offsets: npt.NDArray[np.unsignedinteger]
    values: Floats
    histograms: dict[int, dict[int, NativeHistogram]] = field(default_factory=dict)
    version: int = 0  # rises with every change


@dataclass(frozen=True, slots=True)
class BlockCopy:
    """A block with the labels of its rows, only those that have samples in it; histograms by row and slot."""

    start_ms: int
    resolution_ms: int
    labels: list[Labels]
    offsets: npt.NDArray[np.unsignedinteger]
    values: Floats
    histograms: dict[tuple[int, int], NativeHistogram]


Piece = tuple[Block, slice, Integers]  # of a block: some of its slots, and the moment before each


def together(pieces: Sequence[Piece], numbers: Ids, labels: Rows) -> Sequence[SeriesSlice] | None:
    """The series as one, where all were sampled at the same moments; None where they were not."""
    if any(block.histograms for block, *_ in pieces):
        return None
    beside = int(numbers[-1] - numbers[0]) + 1 == len(numbers) and bool((np.diff(numbers) == 1).all())
    chunks: list[slice | Ids] = [
        slice(int(numbers[row]), int(numbers[row]) + len(numbers[row : row + ROWS_AT_ONCE]))
        if beside
        else numbers[row : row + ROWS_AT_ONCE]
        for row in range(0, len(numbers), ROWS_AT_ONCE)
    ]
    patterns = [block.offsets[numbers[0], slots] for block, slots, _ in pieces]
    for (block, slots, _), pattern in zip(pieces, patterns, strict=True):
        if not all((block.offsets[chunk, slots] == pattern).all() for chunk in chunks):
            return None
    present = [pattern > 0 for pattern in patterns]
    width = sum(map(np.count_nonzero, present))
    if not width:
        return []
    values, row = np.empty((len(numbers), width)), 0
    for chunk in chunks:
        stop, column = min(row + ROWS_AT_ONCE, len(numbers)), 0
        for (block, slots, _), there in zip(pieces, present, strict=True):
            found = block.values[chunk, slots]
            found = found if there.all() else found[:, there]
            values[row:stop, column : column + found.shape[1]] = found
            column += found.shape[1]
        row = stop
    times = [(base + pattern)[there] for (_, _, base), pattern, there in zip(pieces, patterns, present, strict=True)]
    return Together(labels, np.concatenate(times).astype(np.int64), values)


def cut(pieces: Sequence[Piece], numbers: Ids, labels: Sequence[Labels]) -> list[SeriesSlice]:
    """One slice per series that has samples; series sampled at the same moments share their times."""
    bases = np.concatenate([base for *_, base in pieces])
    offsets = np.concatenate([block.offsets[numbers, slots] for block, slots, _ in pieces], axis=1)
    values = np.concatenate([block.values[numbers, slots] for block, slots, _ in pieces], axis=1)
    slices: list[SeriesSlice] = []
    alike: dict[bytes, list[int]] = {}
    for row, pattern in enumerate(offsets):
        alike.setdefault(pattern.tobytes(), []).append(row)
    for rows in alike.values():
        pattern = offsets[rows[0]]
        present = pattern > 0
        if not present.any():
            continue
        times = (bases + pattern)[present].astype(np.int64)
        taken = values if len(rows) == len(values) else values[rows]
        taken = taken if present.all() else taken[:, present]
        slices.extend(
            SeriesSlice(labels[number], times, taken[index]) for index, number in enumerate(numbers[rows].tolist())
        )
    return slices
