"""Taking records from the log for one destination; when it is behind, several small ones as one request.

OTLP requests of one signal, one after the other, are an OTLP request: putting them together costs a copy. A reader
that was idle sends a request as it came. One that is busy waits a moment for company, and one that is behind
catches up in fewer, larger requests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from otel_llm_collector import limits
from otel_llm_collector.contract import Log, Parcel, Record, Signal
from otel_llm_collector.deliver.books import Books, Entry


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one signal that go on together, with one entry for all of them."""

    records: list[Record]
    entry: Entry

    def parcel(self) -> Parcel:
        """All of them as one request."""
        first = self.records[0]
        if len(self.records) == 1:
            return Parcel(first.signal, first.payload, first.items)
        payload = b"".join(record.payload for record in self.records)
        return Parcel(first.signal, payload, sum(record.items for record in self.records))


class Source:
    """Reads for the destination `name`, which wants the signals `wanted`.

    `begun` is told of each record that is read, and `finish` ends those that nobody wants. Up to `merge_bytes` are put
    together; `busy` says whether something is under way or was a moment ago.
    """

    def __init__(
        self,
        name: str,
        log: Log,
        wanted: frozenset[Signal],
        books: Books,
        begun: Callable[[Record], None],
        finish: Callable[[int], Awaitable[None]],
        merge_bytes: int,
        busy: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._name = name
        self._log = log
        self._wanted = wanted
        self._books = books
        self._begun = begun
        self._finish = finish
        self._merge_bytes = merge_bytes
        self._busy = busy
        self._sleep = sleep
        self._records: AsyncIterator[Record] | None = None
        self._read: list[tuple[Record, Entry]] = []  # and not handed on yet

    async def next(self) -> Batch | None:
        """What is to be sent next; waits for it. None at the end of the log."""
        if not self._read and not await self._read_one():
            return None
        await self._gather()
        if self._busy() and self._size() < self._merge_bytes // 2:
            await self._sleep(limits.MERGE_SECONDS)
            await self._gather()
        signal = self._read[0][0].signal
        count = 1
        size = len(self._read[0][0].payload)
        while count < len(self._read):
            record = self._read[count][0]
            size += len(record.payload)
            if record.signal is not signal or size > self._merge_bytes:
                break
            count += 1
        taken, self._read = self._read[:count], self._read[count:]
        entry = taken[0][1]
        for _, other in taken[1:]:
            entry.join(other)
        return Batch([record for record, _ in taken], entry)

    def entries(self) -> list[Entry]:
        """The entries of what was read and not handed on."""
        return [entry for _, entry in self._read]

    async def _gather(self) -> None:
        """Read what is there already and may fit."""
        size = self._size()
        while (
            size < self._merge_bytes
            and len(self._read) < limits.MERGE_RECORDS
            and self._read[-1][0].signal is self._read[0][0].signal
            and any(self._log.backlog(self._name).get(signal) for signal in self._wanted)
            and await self._read_one()
        ):
            size += len(self._read[-1][0].payload)

    def _size(self) -> int:
        return sum(len(record.payload) for record, _ in self._read)

    async def _read_one(self) -> bool:
        """Read up to the next record that is wanted; False at the end of the log."""
        if self._records is None:
            self._records = self._log.read(self._name)
        while (record := await anext(self._records, None)) is not None:
            self._begun(record)
            if record.signal in self._wanted:
                self._read.append((record, self._books.open(self._name, record.signal, record.items)))
                return True
            await self._finish(record.offset)
        return False
