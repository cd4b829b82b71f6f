"""The log in memory: fast, bounded, and gone with the process.

Use it where a restart may lose what was not sent yet. When `max_bytes` are kept, the oldest records go
(`drop_oldest`); each reader that had not read them is told how many items it lost, so that its books balance.
Delivery: at most once across restarts, at least once within one run.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from otel_llm_collector import limits
from otel_llm_collector.contract import Record, Signal, Standing
from otel_llm_collector.errors import Retryable


class MemoryLogConfig(BaseModel):
    """Requests are kept in memory, the oldest go first."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["memory"] = Field("memory", description="memory")
    max_bytes: int = Field(limits.MEMORY_LOG_BYTES, ge=1024, description="Most bytes of requests kept.")


@dataclass(slots=True)
class _Reader:
    """Where one reader stands: the next offset to read, what it has committed, what it lost or still has to read."""

    position: int = 0
    committed: int = 0
    lost: dict[Signal, int] = field(default_factory=dict)
    backlog: dict[Signal, int] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryLog:
    """See the module. All of it runs on one event loop."""

    durable = False
    shared = False

    def __init__(self, config: MemoryLogConfig, readers: Iterable[str], clock: Callable[[], float] = time.time) -> None:
        self._max_bytes = config.max_bytes
        self._clock = clock
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._next_offset = 0
        self._sealed = False
        self._readers = {name: _Reader() for name in readers}

    async def start(self) -> None:
        """Nothing to prepare."""

    async def shutdown(self) -> None:
        """Seal the log; what is in it goes with the process."""
        self.seal()

    def seal(self) -> None:
        """Nothing more is appended; readers end when they have read everything."""
        self._sealed = True
        for reader in self._readers.values():
            reader.arrived.set()

    async def append(self, signal: Signal, payload: bytes, items: int) -> int:
        """Keep one request; the oldest go when there is no room."""
        if self._sealed:
            msg = "log: the collector is stopping; send again later"
            raise Retryable(msg, after=5.0)
        record = Record(self._next_offset, signal, payload, items, self._clock())
        self._next_offset += 1
        self._records.append(record)
        self._bytes += len(payload)
        for reader in self._readers.values():
            reader.backlog[signal] = reader.backlog.get(signal, 0) + items
            reader.arrived.set()
        while self._bytes > self._max_bytes and len(self._records) > 1:
            self._drop_oldest()
        self._trim()
        return record.offset

    async def read(self, reader: str) -> AsyncIterator[Record]:
        """Records in order; see `contract.Log`."""
        state = self._readers[reader]
        while True:
            if state.position < self._next_offset:
                record = self._records[state.position - self._records[0].offset]
                state.position += 1
                state.backlog[record.signal] -= record.items
                yield record
            elif self._sealed:
                return
            else:
                state.arrived.clear()
                await state.arrived.wait()

    async def commit(self, reader: str, offset: int) -> None:
        """Everything below `offset` is done for `reader`."""
        state = self._readers[reader]
        state.committed = max(state.committed, offset)
        self._trim()

    async def fetch(self, offsets: Sequence[int]) -> list[Record]:
        """These records again, as far as they are still here."""
        first = self._records[0].offset if self._records else self._next_offset
        return [self._records[offset - first] for offset in offsets if first <= offset < self._next_offset]

    def take_lost(self, reader: str) -> dict[Signal, int]:
        """Items that went before `reader` had read them, since this was last asked."""
        state = self._readers[reader]
        lost, state.lost = state.lost, {}
        return lost

    def backlog(self, reader: str) -> dict[Signal, int]:
        """Items that wait for `reader` to read them."""
        return dict(self._readers[reader].backlog)

    def standing(self, reader: str) -> Standing:
        """Where `reader` stands."""
        state = self._readers[reader]
        unread = sum(len(record.payload) for record in self._records if record.offset >= state.position)
        return Standing(state.committed, self._next_offset, unread)

    def _drop_oldest(self) -> None:
        record = self._pop()
        for reader in self._readers.values():
            if reader.position <= record.offset:
                reader.lost[record.signal] = reader.lost.get(record.signal, 0) + record.items
                reader.backlog[record.signal] -= record.items
                reader.position = record.offset + 1

    def _trim(self) -> None:
        """Let go what every reader has committed."""
        done = min((reader.committed for reader in self._readers.values()), default=self._next_offset)
        while self._records and self._records[0].offset < done:
            self._pop()

    def _pop(self) -> Record:
        record = self._records.popleft()
        self._bytes -= len(record.payload)
        return record
