"""What the log on disk knows about its records without reading them: sizes, items and ages, in blocks.

A block is a run of offsets. Whole blocks leave at a time, which keeps the index at a few bytes per record.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from otel_llm_collector.contract import Signal

SIGNALS = tuple(Signal)  # their positions are part of the file format
_BLOCK_RECORDS = 256


@dataclass(slots=True)
class Block:
    """The records `first` to `end`, `end` excluded."""

    first: int
    size: int = 0  # bytes of payload
    newest: float = 0.0  # when its last record was appended
    records: array[int] = field(default_factory=lambda: array("Q"))  # items * len(SIGNALS) + position of the signal
    sizes: array[int] = field(default_factory=lambda: array("I"))  # bytes of payload of each

    @property
    def end(self) -> int:
        """The first offset after it."""
        return self.first + len(self.records)


class Index:
    """Every record from `first` to `next`, oldest first."""

    def __init__(self, start: int, max_block_bytes: int) -> None:
        self._max_block_bytes = max_block_bytes
        self._blocks: deque[Block] = deque()
        self.next = start
        self.bytes = 0

    @property
    def first(self) -> int:
        """The oldest offset kept, or `next` when nothing is."""
        return self._blocks[0].first if self._blocks else self.next

    @property
    def oldest_block(self) -> Block | None:
        """The block that goes first, or None."""
        return self._blocks[0] if self._blocks else None

    @property
    def single(self) -> bool:
        """Whether there is at most one block, the one that still grows."""
        return len(self._blocks) <= 1

    def add(self, signal: Signal, items: int, size: int, at: float) -> None:
        """One more record at `next`."""
        block = self._blocks[-1] if self._blocks else None
        if block is None or len(block.records) >= _BLOCK_RECORDS or block.size + size > self._max_block_bytes:
            block = Block(self.next)
            self._blocks.append(block)
        block.records.append(items * len(SIGNALS) + SIGNALS.index(signal))
        block.sizes.append(size)
        block.size += size
        block.newest = at
        self.bytes += size
        self.next += 1

    def skip_to(self, offset: int) -> None:
        """The next record stands at `offset`; those between were unreadable and count as empty."""
        while self.next < offset:
            self.add(SIGNALS[0], 0, 0, 0.0)

    def pop(self) -> Block:
        """Let the oldest block go."""
        block = self._blocks.popleft()
        self.bytes -= block.size
        return block

    def items(self, start: int, end: int) -> dict[Signal, int]:
        """Items of the records from `start` to `end`, `end` excluded, as far as they are kept."""
        found = dict.fromkeys(SIGNALS, 0)
        for record in self._records(start, end):
            found[SIGNALS[record % len(SIGNALS)]] += record // len(SIGNALS)
        return {signal: items for signal, items in found.items() if items}

    def size(self, start: int) -> int:
        """Bytes of payload of the records from `start` on."""
        return sum(
            block.size if block.first >= start else sum(block.sizes[start - block.first :])
            for block in self._blocks
            if block.end > start
        )

    def _records(self, start: int, end: int) -> Iterator[int]:
        for block in self._blocks:
            if block.first >= end:
                return
            if block.end > start:
                yield from block.records[max(0, start - block.first) : end - block.first]
