"""What the evaluator computes with: samples of many series at every step of a query, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Flags, Floats, Integers, Labels, Rows
from otel_llm_collector.measure.promql.values import QueryError

Histograms = npt.NDArray[np.object_]  # NativeHistogram or None

_DROPPED_WITH_THE_NAME = frozenset({METRIC_NAME, "__type__", "__unit__"})
_LAST_DROPPED = max(_DROPPED_WITH_THE_NAME)
_TWICE = "vector cannot contain metrics with the same labelset"


@dataclass(frozen=True, slots=True)
class Grid:
    """The moments at which a query is evaluated."""

    start: int
    step: int
    count: int

    @property
    def times(self) -> Integers:
        """Every moment, in milliseconds."""
        return self.start + self.step * np.arange(self.count, dtype=np.int64)

    @property
    def first(self) -> Grid:
        """The first moment alone."""
        return Grid(self.start, self.step, 1)


@dataclass(slots=True)
class Block:
    """Rows are series, columns are steps. A sample is there where `present`; it is a float unless a histogram."""

    labels: list[Labels]
    values: Floats
    present: Flags
    histograms: Histograms | None = None
    unnamed: Flags | None = None  # rows that lose their name at the end of the query, where that is put off

    @property
    def steps(self) -> int:
        """How many columns."""
        return int(self.values.shape[1])

    @property
    def floats(self) -> Flags:
        """Where the sample is a float."""
        return self.present if self.histograms is None else self.present & ~self.natives

    @property
    def natives(self) -> Flags:
        """Where the sample is a native histogram."""
        if self.histograms is None:
            return np.zeros_like(self.present)
        return self.present & holds(self.histograms)

    def rows(self, index: npt.NDArray[np.intp] | Sequence[int]) -> Block:
        """The rows of that index."""
        chosen = np.asarray(index, np.intp)
        return Block(
            [self.labels[row] for row in chosen.tolist()],
            self.values[chosen],
            self.present[chosen],
            None if self.histograms is None else self.histograms[chosen],
            None if self.unnamed is None else self.unnamed[chosen],
        )

    def used(self) -> Block:
        """The rows with at least one sample."""
        used = np.flatnonzero(self.present.any(axis=1))
        return self if len(used) == len(self.labels) else self.rows(used)

    def repeated(self, count: int) -> Block:
        """The one column of this block, `count` times over."""
        return Block(
            self.labels,
            np.repeat(self.values, count, axis=1),
            np.repeat(self.present, count, axis=1),
            None if self.histograms is None else np.repeat(self.histograms, count, axis=1),
            self.unnamed,
        )

    def unnamed_rows(self) -> Flags:
        """Which rows lose their name at the end."""
        return np.zeros(len(self.labels), np.bool_) if self.unnamed is None else self.unnamed


def holds(histograms: Histograms) -> Flags:
    """Where an array of objects holds a histogram."""
    flags: Flags = (histograms != None).astype(np.bool_)  # noqa: E711 - of each element
    return flags


def empty(steps: int) -> Block:
    """A block without rows."""
    return Block([], np.zeros((0, steps)), np.zeros((0, steps), np.bool_))


def no_histograms(shape: tuple[int, ...]) -> Histograms:
    """An array of None."""
    return np.full(shape, None, dtype=object)


def without_name(labels: Labels) -> Labels:
    """The labels without the metric's name, type and unit."""
    if labels and labels[0][0] == METRIC_NAME and (len(labels) == 1 or labels[1][0] > _LAST_DROPPED):
        return labels[1:]  # they are sorted, so nothing else is to go
    return tuple(pair for pair in labels if pair[0] not in _DROPPED_WITH_THE_NAME)


def without_names(labels: list[Labels]) -> list[Labels]:
    """The same of every row."""
    if isinstance(labels, Rows):
        return labels.remembered(without_names, lambda: Rows(map(without_name, labels)))
    return [without_name(one) for one in labels]


def changed(labels: Labels, new: Iterable[tuple[str, str]]) -> Labels:
    """The labels with some set anew; an empty value removes one."""
    merged = dict(labels)
    merged.update(new)
    return tuple(sorted((name, value) for name, value in merged.items() if value))


def merged(block: Block) -> Block:
    """Rows with the same labels become one; an error where two of them have a sample at the same step."""
    if len(set(block.labels)) == len(block.labels):
        return block
    rows: dict[Labels, list[int]] = {}
    for row, labels in enumerate(block.labels):
        rows.setdefault(labels, []).append(row)
    first = [same[0] for same in rows.values()]
    result = block.rows(first)
    for target, same in enumerate(rows.values()):
        for row in same[1:]:
            _into(result, target, block, row)
    return result


def _into(result: Block, target: int, block: Block, row: int) -> None:
    present = block.present[row]
    if (result.present[target] & present).any():
        raise QueryError(_TWICE)
    result.values[target, present] = block.values[row, present]
    result.present[target] |= present
    if block.histograms is not None and result.histograms is not None:
        result.histograms[target, present] = block.histograms[row, present]


def is_label_name(name: str) -> bool:
    """Any text that is not empty and is proper UTF-8."""
    return bool(name) and not any("\ud800" <= character <= "\udfff" for character in name)


def shown(name: str) -> str:
    """A name in a message: bytes that are no UTF-8 as their numbers."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def refuse_twins(labels: Sequence[Labels]) -> None:
    """An error where two series have the same labels."""
    if len(set(labels)) != len(labels):
        raise QueryError(_TWICE)


def joined(blocks: Sequence[Block], steps: int) -> Block:
    """The rows of several blocks, one after the other."""
    blocks = [block for block in blocks if block.labels]
    if not blocks:
        return empty(steps)
    if len(blocks) == 1:
        return blocks[0]
    histograms = None
    if any(block.histograms is not None for block in blocks):
        histograms = np.concatenate(
            [no_histograms(one.values.shape) if one.histograms is None else one.histograms for one in blocks]
        )
    return Block(
        [labels for block in blocks for labels in block.labels],
        np.concatenate([block.values for block in blocks]),
        np.concatenate([block.present for block in blocks]),
        histograms,
        np.concatenate([block.unnamed_rows() for block in blocks]),
    )


def sample_at(block: Block, row: int, step: int) -> float | NativeHistogram:
    """One sample that is there."""
    if block.histograms is not None and block.histograms[row, step] is not None:
        found: NativeHistogram = block.histograms[row, step]
        return found
    return float(block.values[row, step])
