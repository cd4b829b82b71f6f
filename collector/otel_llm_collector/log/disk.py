"""The log on disk: what was acknowledged survives the process, the power and a destination that is away for days.

Use it wherever telemetry matters. One SQLite file (`disk_file` has the format); requests that arrive together share
one sync to the disk. Over `max_bytes` or `max_seconds` the oldest go and each reader is told what it lost, or, with
`when_full: reject`, senders are asked to come again later. A file that is broken is set aside and a new one begins.
Delivery: at least once; after a crash the last requests delivered may be delivered again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from otel_llm_collector import limits
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.contract import Range, Record, Signal, Standing
from otel_llm_collector.errors import Retryable
from otel_llm_collector.log.disk_file import LogFile, is_broken
from otel_llm_collector.log.disk_index import SIGNALS, Block, Index

logger = logging.getLogger(__name__)

_TRANSACTION_BYTES = 8 * limits.MIB
_READ_BYTES = 4 * limits.MIB
_READ_RECORDS = 256
_CHECKPOINT_BYTES = 32 * limits.MIB
_FLUSH_SECONDS = 0.25  # how far the committed offsets on disk may lag
_COMPANY_SECONDS = 0.003  # a small transaction right behind another one waits so long for more requests
_COMPANY_BYTES = 128 * 1024  # and one of this size does not
_TICK_SECONDS = 30.0  # how often ages are looked at when nothing happens
_PAUSE_SECONDS = 1.0  # after the disk has failed

_Result = TypeVar("_Result")


class DiskLogConfig(BaseModel):
    """Requests are kept on disk until every destination has them."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["disk"] = Field("disk", description="disk")
    path: ConfigPath = Field(
        Path("data/log"), validate_default=True, description="Folder of the log; made when it is not there."
    )
    max_bytes: int = Field(limits.DISK_LOG_BYTES, ge=64 * 1024, description="Most bytes of requests kept.")
    max_seconds: float = Field(limits.DISK_LOG_SECONDS, gt=0, description="Longest time a request is kept, in seconds.")
    when_full: Literal["drop_oldest", "reject"] = Field(
        "drop_oldest", description="What happens at max_bytes: drop_oldest, or reject what arrives."
    )
    keep_seconds: float = Field(
        0.0, ge=0, description="What every destination has stays this long for `replay`, within max_bytes; in seconds."
    )


class DiskHistory:
    """What the log in a folder holds; a collector may be writing it."""

    def __init__(self, config: DiskLogConfig) -> None:
        self._file = LogFile(config.path)
        self._file.open_to_read()

    def records(self, part: Range) -> Iterator[list[Record]]:
        """The records of that part, some at a time."""
        first, last = self._file.bounds()
        position = max(first, part.first if part.since is None else self._file.offset_at(part.since))
        end = min(last, part.end if part.until is None else self._file.offset_at(part.until))
        while position < end:
            found, position = self._file.read(position, min(end, position + _READ_RECORDS), _READ_BYTES)
            yield found

    def fetch(self, offsets: Sequence[int]) -> list[Record]:
        """These records, as far as they are there."""
        return self._file.fetch(offsets)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(slots=True)
class _Reader:
    """Where one reader stands: the next offset to read, what it has committed, what it lost or still has to read."""

    position: int
    committed: int
    dirty: bool = True  # `committed` is not on disk yet
    lost: dict[Signal, int] = field(default_factory=dict)
    backlog: dict[Signal, int] = field(default_factory=lambda: dict.fromkeys(SIGNALS, 0))
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Pending:
    signal: Signal
    payload: bytes
    items: int
    kept: asyncio.Future[int]


def _steady_clock() -> Callable[[], float]:
    """Seconds since the epoch that pass evenly: setting the machine's clock makes no record old."""
    start = time.time() - time.monotonic()
    return lambda: start + time.monotonic()


class DiskLog:
    """See the module. All of it runs on one event loop; SQLite runs in three threads of its own."""

    durable = True
    shared = False

    def __init__(self, config: DiskLogConfig, readers: Iterable[str], clock: Callable[[], float] | None = None) -> None:
        self._config = config
        clock = self._clock = clock or _steady_clock()
        self._names = list(readers)
        self._file = LogFile(config.path, clock)
        self._threads = {name: ThreadPoolExecutor(1, f"log-{name}") for name in ("write", "read", "checkpoint")}
        self._readers: dict[str, _Reader] = {}
        self._index = self._new_index(0)
        self._tail: deque[Record] = deque()
        self._tail_bytes = 0
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self._garbage: deque[Block] = deque()  # blocks whose records are still in the file
        self._garbage_bytes = 0
        self._since_checkpoint = 0
        self._checkpoint: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._sealed = False
        self._closing = False
        self._writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the file and find out where everybody stands. Raises `StartError`."""
        await self._in("write", self._recover)
        self._writing = asyncio.create_task(self._write_on())

    def seal(self) -> None:
        """Nothing more is appended; readers end when they have read everything."""
        self._sealed = True
        for reader in self._readers.values():
            reader.arrived.set()

    async def shutdown(self) -> None:
        """Seal, write what is pending, close the file."""
        self.seal()
        self._closing = True
        self._wake.set()
        if self._writing is not None:
            await self._writing
            self._writing = None
            if self._checkpoint is not None:
                await asyncio.wait([self._checkpoint])
            await self._in("write", self._file.close)
        for thread in self._threads.values():
            thread.shutdown(wait=False)

    async def append(self, signal: Signal, payload: bytes, items: int) -> int:
        """Keep one request; returns once it is on the disk."""
        if self._sealed:
            msg = "log: the collector is stopping; send again later"
            raise Retryable(msg, after=5.0)
        used = self._index.bytes + self._pending_bytes
        if self._config.when_full == "reject" and used + len(payload) > self._config.max_bytes:
            msg = f"log: full ({used} of {self._config.max_bytes} bytes in use); send again later"
            raise Retryable(msg, after=5.0)
        pending = _Pending(signal, payload, items, asyncio.get_running_loop().create_future())
        self._pending.append(pending)
        self._pending_bytes += len(payload)
        self._wake.set()
        return await pending.kept

    async def read(self, reader: str) -> AsyncIterator[Record]:
        """Records in order; see `contract.Log`."""
        state = self._readers[reader]
        while True:
            if state.position < self._index.next:
                records, end = await self._batch(state.position)
                for record in records:
                    if record.offset < state.position:
                        continue  # it was dropped while the batch was read
                    self._lose(state, record.offset)
                    state.position = record.offset + 1
                    state.backlog[record.signal] -= record.items
                    yield record
                self._lose(state, end)
            elif self._sealed:
                return
            else:
                state.arrived.clear()
                await state.arrived.wait()

    async def commit(self, reader: str, offset: int) -> None:
        """Everything below `offset` is done for `reader`; on disk a little later."""
        state = self._readers[reader]
        if offset > state.committed:
            state.committed = offset
            state.dirty = True
            self._trim()
            self._wake.set()

    async def fetch(self, offsets: Sequence[int]) -> list[Record]:
        """These records again, as far as they are still here."""
        first = self._tail[0].offset if self._tail else self._index.next
        found = [self._tail[offset - first] for offset in offsets if first <= offset < self._index.next]
        older = [offset for offset in offsets if self._index.first <= offset < first]
        return await self._patiently(self._file.fetch, older) + found if older else found

    def take_lost(self, reader: str) -> dict[Signal, int]:
        """Items that went before `reader` had read them, since this was last asked."""
        state = self._readers.get(reader)
        if state is None:
            return {}
        lost, state.lost = state.lost, {}
        return lost

    def backlog(self, reader: str) -> dict[Signal, int]:
        """Items that wait for `reader` to read them."""
        state = self._readers.get(reader)
        return dict(state.backlog) if state else {}

    def standing(self, reader: str) -> Standing:
        """Where `reader` stands."""
        state = self._readers.get(reader)
        if state is None:
            return Standing(0, 0, 0)
        return Standing(state.committed, self._index.next, self._index.size(state.position))

    # starting

    def _new_index(self, start: int) -> Index:
        return Index(start, min(_TRANSACTION_BYTES, self._config.max_bytes // 16))

    def _recover(self) -> None:
        self._file.open()
        known = self._file.readers()
        for offset, signal, items, at, size in self._file.scan():
            if self._index.next == self._index.first:
                self._index = self._new_index(offset)
            self._index.skip_to(offset)
            self._index.add(SIGNALS[signal], items, size, at)
        if self._index.next == self._index.first:
            self._index = self._new_index(max(known.values(), default=0))
        gone = sorted(known.keys() - set(self._names))
        if gone:
            logger.warning("log: %s no longer configured; what they had not got is given up", ", ".join(gone))
            self._file.forget(gone)
        for name in self._names:
            known_place = known.get(name, self._index.next)  # a new destination begins now
            place = min(max(known_place, self._index.first), self._index.next)
            reader = self._readers[name] = _Reader(place, place)
            reader.backlog |= self._index.items(place, self._index.next)
        self._trim()

    # writing

    async def _write_on(self) -> None:
        """One transaction after the other: all that arrived meanwhile, what was committed, what can go.

        A transaction costs about as much as twenty small requests in it: under load one waits a moment for company.
        """
        loop = asyncio.get_running_loop()
        flushed = written = loop.time() - 1
        while True:
            await self._work()
            if self._pending_bytes < _COMPANY_BYTES and loop.time() - written < _COMPANY_SECONDS and not self._closing:
                await asyncio.sleep(_COMPANY_SECONDS)
            self._drop_old()
            batch = self._take_batch()
            dirty = self._take_dirty() if not batch or loop.time() - flushed >= _FLUSH_SECONDS else {}
            flushed = loop.time() if dirty else flushed
            below = self._take_garbage()
            if batch or dirty or below is not None:
                at = self._clock()
                first = self._index.next
                records = [Record(first + n, p.signal, p.payload, p.items, at) for n, p in enumerate(batch)]
                try:
                    await self._in("write", self._file.write, records, dirty, below)
                except Exception as error:  # whatever it is, senders are answered and the log goes on
                    await self._failed(batch, error)
                else:
                    self._kept(batch, records, dirty)
                written = loop.time()
            elif self._closing:
                return

    async def _work(self) -> None:
        """Wait until there is something to write. Commits and deletions wait a little for company."""
        loop = asyncio.get_running_loop()
        flush_at: float | None = None
        while not (self._pending or self._closing or self._garbage_bytes > _TRANSACTION_BYTES):
            if flush_at is None and (self._garbage or any(reader.dirty for reader in self._readers.values())):
                flush_at = loop.time() + _FLUSH_SECONDS
            self._wake.clear()
            try:
                async with asyncio.timeout_at(flush_at or loop.time() + _TICK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                return

    def _take_dirty(self) -> dict[str, int]:
        return {name: reader.committed for name, reader in self._readers.items() if reader.dirty}

    def _take_batch(self) -> list[_Pending]:
        batch: list[_Pending] = []
        total = 0
        while self._pending and total < _TRANSACTION_BYTES:
            one = self._pending.popleft()
            self._pending_bytes -= len(one.payload)
            if not one.kept.done():  # its sender has gone
                batch.append(one)
                total += len(one.payload)
        return batch

    def _kept(self, batch: list[_Pending], records: list[Record], dirty: dict[str, int]) -> None:
        for name, committed in dirty.items():
            self._readers[name].dirty = self._readers[name].committed != committed
        for pending, record in zip(batch, records, strict=True):
            size = len(record.payload)
            self._index.add(record.signal, record.items, size, record.appended_at)
            self._tail.append(record)
            self._tail_bytes += size
            self._since_checkpoint += size
            for reader in self._readers.values():
                reader.backlog[record.signal] += record.items
            if not pending.kept.done():
                pending.kept.set_result(record.offset)
        while self._tail_bytes > limits.DISK_LOG_TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft().payload)
        if records:
            for reader in self._readers.values():
                reader.arrived.set()
            self._trim()
        if self._since_checkpoint > _CHECKPOINT_BYTES and (self._checkpoint is None or self._checkpoint.done()):
            self._since_checkpoint = 0
            self._checkpoint = asyncio.ensure_future(self._copy_wal())

    async def _copy_wal(self) -> None:
        try:
            await self._in("checkpoint", self._file.checkpoint)
            await self._in("write", self._file.restart_wal)
        except sqlite3.Error as error:
            logger.warning("log: the write-ahead log could not be copied now: %s", error)

    async def _failed(self, batch: list[_Pending], error: Exception) -> None:
        """Nothing of a transaction was kept: its senders come again. A broken file is replaced."""
        logger.error("log: cannot write to %s: %s", self._config.path, error)
        if is_broken(error) or not self._file.is_open:
            try:
                await self._replace(error)
            except (sqlite3.Error, OSError) as another:
                logger.error("log: no new file in %s: %s", self._config.path, another)  # noqa: TRY400 - one line
        for one in batch:
            if not one.kept.done():
                msg = f"log: cannot write to the disk now ({error}); send again later"
                one.kept.set_exception(Retryable(msg, after=5.0))
        if self._closing:
            for reader in self._readers.values():
                reader.dirty = False
        elif not batch:
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _replace(self, error: Exception) -> None:
        """Begin a new file; everybody loses what they had not read."""
        for reader in self._readers.values():
            self._lose(reader, self._index.next)
            reader.committed, reader.dirty = reader.position, True
        self._index = self._new_index(self._index.next)
        self._tail.clear()
        self._tail_bytes = 0
        await self._in("write", self._file.set_aside, error)

    # dropping

    def _drop_old(self) -> None:
        """Keep to the limits: the oldest blocks go, read or not."""
        if self._config.keep_seconds:
            self._trim()
        too_old = self._clock() - self._config.max_seconds
        while block := self._index.oldest_block:
            full = self._index.bytes + self._pending_bytes > self._config.max_bytes and not self._index.single
            if not full and block.newest >= too_old:
                return
            for reader in self._readers.values():
                self._lose(reader, block.end)
                if reader.committed < block.end:
                    reader.committed, reader.dirty = block.end, True
            self._pop_block()

    def _trim(self) -> None:
        """Let go the blocks that every reader has committed."""
        done = min((reader.committed for reader in self._readers.values()), default=self._index.next)
        kept_since = self._clock() - self._config.keep_seconds if self._config.keep_seconds else math.inf
        while (
            (block := self._index.oldest_block)
            and block.end <= done
            and block.newest < kept_since
            and (not self._index.single or done == self._index.next)
        ):
            self._pop_block()

    def _pop_block(self) -> None:
        block = self._index.pop()
        self._garbage.append(block)
        self._garbage_bytes += block.size

    def _take_garbage(self) -> int | None:
        """The offset below which records can be deleted in the next transaction; not too many at one time."""
        below, total = None, 0
        while self._garbage and total < _TRANSACTION_BYTES:
            block = self._garbage.popleft()
            self._garbage_bytes -= block.size
            below, total = block.end, total + block.size
        return below

    def _lose(self, reader: _Reader, end: int) -> None:
        """`reader` goes on at `end`; what it had not read before that is lost to it."""
        if end <= reader.position:
            return
        for signal, items in self._index.items(reader.position, end).items():
            reader.lost[signal] = reader.lost.get(signal, 0) + items
            reader.backlog[signal] -= items
        reader.position = end

    # reading

    async def _batch(self, position: int) -> tuple[list[Record], int]:
        """Records from `position` on, and the offset up to which they were looked for."""
        if self._tail and position >= self._tail[0].offset:
            start = position - self._tail[0].offset
            records = [self._tail[n] for n in range(start, min(start + 16, len(self._tail)))]
            return records, records[-1].offset + 1
        end = min(self._index.next, position + _READ_RECORDS)
        return await self._patiently(self._file.read, position, end, _READ_BYTES)

    async def _patiently(self, work: Callable[..., _Result], *arguments: object) -> _Result:
        """`work` in the reading thread, again and again while the disk fails."""
        while True:
            try:
                return await self._in("read", work, *arguments)
            except sqlite3.Error as error:
                logger.warning("log: cannot read %s now: %s", self._config.path, error)
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _in(self, thread: str, work: Callable[..., _Result], *arguments: object) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads[thread], work, *arguments)
