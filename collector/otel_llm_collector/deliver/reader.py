"""One reader per destination: read from the log -> the steps of `chain` -> commit.

Each reader has its own position in the log and its own requests under way; a destination that is slow, dead or hostile
holds nobody else back. The log position is committed after a request was sent or its loss was counted.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping

from otel_llm_collector import limits, rust
from otel_llm_collector.contract import Destination, Log, Parcel, Record, Signal
from otel_llm_collector.deliver.assemble import Assembler
from otel_llm_collector.deliver.books import Books, Entry
from otel_llm_collector.deliver.breaker import State
from otel_llm_collector.deliver.chain import Condition, Step, compose, filtered
from otel_llm_collector.deliver.filter import Filter
from otel_llm_collector.deliver.retry import Timing
from otel_llm_collector.deliver.sampling import Sampler
from otel_llm_collector.deliver.settings import DestinationSettings
from otel_llm_collector.deliver.source import Batch, Source
from otel_llm_collector.deliver.summary import reading
from otel_llm_collector.deliver.traces import WholeTraceSettings
from otel_llm_collector.errors import StartError

logger = logging.getLogger(__name__)


class Progress:
    """Which offset may be committed while several records are under way at one time.

    Records begin in the order of the log and end in any order.
    """

    def __init__(self) -> None:
        self._under_way: dict[int, tuple[float, int]] = {}
        self._next = 0
        self.bytes = 0  # of the records under way

    def begin(self, offset: int, appended_at: float = 0.0, size: int = 0) -> None:
        """The record at `offset` is under way."""
        self._under_way[offset] = appended_at, size
        self._next = offset + 1
        self.bytes += size

    @property
    def oldest(self) -> float | None:
        """When the oldest record under way was appended."""
        return next(iter(self._under_way.values()))[0] if self._under_way else None

    def end(self, offset: int) -> int:
        """The record at `offset` is done; everything below the returned offset is."""
        _, size = self._under_way.pop(offset)
        self.bytes -= size
        return next(iter(self._under_way), self._next)


class Reader:
    """Delivers the log to one destination."""

    def __init__(
        self,
        name: str,
        log: Log,
        destination: Destination,
        settings: DestinationSettings,
        books: Books,
        timing: Timing | None = None,
        shutdown_seconds: float | None = limits.SHUTDOWN_SECONDS,
    ) -> None:
        self._name = name
        self._log = log
        self._destination = destination
        self._settings = settings
        self._signals = frozenset(settings.signals)
        self._books = books
        self._shutdown_seconds = shutdown_seconds
        self._condition = Condition()
        self._slots = asyncio.Semaphore(settings.max_in_flight)
        self._progress = Progress()
        timing = timing or Timing()
        retry = settings.retry.for_log(durable=log.durable)
        chosen = Filter(settings.filter) if settings.filter is not None else None
        self._deliver_chosen = compose(name, destination, settings, retry, books, self._condition, timing)
        self._deliver = filtered(self._deliver_chosen, chosen) if chosen is not None else self._deliver_chosen
        self._assembler: Assembler | None = None
        whole = settings.whole_traces or (WholeTraceSettings() if settings.sampling is not None else None)
        if whole is not None and Signal.TRACES in settings.signals:
            self._assembler = Assembler(
                name,
                whole,
                Sampler(settings.sampling) if settings.sampling is not None else None,
                chosen,
                reading(rust.module(os.environ)),
                settings.max_request_bytes,
                books,
                log.fetch,
                self._slots.acquire,
                self._launch,
                self._finish,
                timing,
            )
        self._under_way: dict[asyncio.Task[None], Entry] = {}
        merge = min(settings.merge_bytes, settings.max_request_bytes) if self._assembler is None else 0
        self._sending = 0  # slots that are used
        self._clock = timing.clock
        self._sent_at = -math.inf  # when a request was last begun
        self._source = Source(
            name, log, self._signals, books, self._begun, self._finish, merge, self._busy, timing.sleep
        )
        self._taken: Entry | None = None  # a record that waits for a slot
        self._main: asyncio.Task[None] | None = None
        self.failure: Exception | None = None  # what ended it before its time
        books.watch(name, self._backlog)

    async def start(self) -> None:
        """Open the destination and begin to read."""
        try:
            await self._destination.start()
        except (OSError, ValueError) as error:
            msg = f"exporters.{self._name}: cannot be set up: {error}; mend its tls and endpoint settings"
            raise StartError(msg) from error
        for signal, items in self._log.backlog(self._name).items():
            self._books.found(self._name, signal, items)
        if self._assembler is not None:
            self._assembler.start()
        self._main = asyncio.create_task(self._guarded())

    async def shutdown(self) -> None:
        """Send what is left of a sealed log for `shutdown_seconds`, and no longer; None: to the end."""
        if self._main is None:
            return
        done, _ = await asyncio.wait([self._main], timeout=self._shutdown_seconds)
        if not done:
            await self._give_up(self._main)
        self._main = None
        await self._destination.shutdown()

    def details(self) -> dict[str, object]:
        """How this destination stands, for /health/detailed."""
        waiting = {signal.value: count for signal, count in self._books.waiting(self._name).items() if count}
        standing = self._log.standing(self._name)
        oldest = self._progress.oldest
        held = {"held": self._assembler.details()} if self._assembler is not None else {}
        return {
            "type": self._settings.type,
            **held,
            "offset": standing.committed,
            "log_end": standing.end,
            "lag": {
                "items": sum(waiting.values()),
                "bytes": standing.unread_bytes + self._progress.bytes,
                "seconds": round(max(0.0, time.time() - oldest), 3) if oldest is not None else 0.0,
            },
            "waiting": waiting,
            "breaker": self._condition.breaker.state if self._condition.breaker is not None else State.CLOSED,
            "retrying_requests": self._condition.retrying,
            "last_error": self._condition.last_error,
        }

    async def _guarded(self) -> None:
        try:
            await self._run()
        except Exception as error:
            logger.exception("exporters.%s: reading the log failed; nothing more is sent before a restart", self._name)
            self._condition.last_error = f"reading the log failed: {type(error).__name__}"
            self.failure = error

    async def _run(self) -> None:
        """Read until the log ends. A slot is taken before a record is, so that what is read is under way.

        With an assembler a record comes first: its traces need the slots while nothing is read.
        """
        while True:
            if self._assembler is None:
                await self._slots.acquire()
            batch = await self._source.next()
            if batch is None:
                break
            await self._take(batch)
        self._count_lost()
        if self._assembler is not None:
            await self._assembler.stop()
            if not self._log.durable:
                await self._assembler.flush()
        await asyncio.gather(*self._under_way)
        self._put_back()

    def _begun(self, record: Record) -> None:
        """A record was read."""
        self._count_lost()
        if self._log.shared:  # only now is it this collector's to send
            self._books.found(self._name, record.signal, record.items)
        self._progress.begin(record.offset, record.appended_at, len(record.payload))
        if self._assembler is not None:
            self._assembler.hear(record)

    async def _take(self, batch: Batch) -> None:
        parcel = batch.parcel()
        if self._assembler is not None and parcel.signal is Signal.TRACES:
            await self._assembler.take(batch.records[0], batch.entry)
            return
        if self._assembler is not None:
            self._taken = batch.entry
            await self._slots.acquire()
            self._taken = None

        async def done() -> None:
            for record in batch.records:
                await self._finish(record.offset)

        self._begin(self._handle(self._deliver, parcel, batch.entry, done), batch.entry)

    def _busy(self) -> bool:
        """Whether a request is under way, or one was sent a moment ago."""
        return self._sending > 0 or self._clock() - self._sent_at < limits.MERGE_SECONDS

    def _launch(self, parcel: Parcel, entry: Entry, done: Callable[[], Awaitable[None]]) -> None:
        """Send a parcel of whole traces; it has a slot."""
        self._begin(self._handle(self._deliver_chosen, parcel, entry, done), entry)

    def _begin(self, work: Coroutine[None, None, None], entry: Entry) -> None:
        self._sending += 1
        self._sent_at = self._clock()
        task = asyncio.create_task(work)
        self._under_way[task] = entry
        task.add_done_callback(self._under_way.pop)

    async def _handle(self, deliver: Step, parcel: Parcel, entry: Entry, done: Callable[[], Awaitable[None]]) -> None:
        """Take one parcel through its steps, a slot held meanwhile; `done` commits."""
        try:
            await deliver(parcel, entry)
        except Exception as error:
            logger.exception(
                "exporters.%s: failed on a request of %d %s", self._name, parcel.items, parcel.signal.items
            )
            self._condition.last_error = f"{type(error).__name__}: see the collector's own log"
            entry.dropped(entry.open, "failed")
        finally:
            self._sending -= 1
            self._slots.release()
        await done()

    async def _finish(self, offset: int) -> None:
        """Commit as far as everything before is done."""
        await self._log.commit(self._name, self._progress.end(offset))

    async def _give_up(self, main: asyncio.Task[None]) -> None:
        """Stop at the end of the time to shut down: what waits is sent after the next start, or lost and counted."""
        waiting = self._books.waiting(self._name)
        under_way = dict(self._under_way)
        assembling = self._assembler.cancel() if self._assembler is not None else None
        for task in (main, *under_way):
            task.cancel()
        await asyncio.gather(main, *under_way, *([assembling] if assembling else []), return_exceptions=True)
        for signal, items in waiting.items():
            if items:
                where = "wait in the log for the next start" if self._log.durable else "were lost"
                logger.warning("exporters.%s: %d %s not sent yet %s", self._name, items, signal.items, where)
        open_entries = [*under_way.values(), *self._source.entries(), *self._held()]
        if self._log.durable:
            for entry in open_entries:
                entry.put_back()
            self._books.watch(self._name, lambda: waiting)
            return
        for entry in open_entries:
            entry.dropped(entry.open, "shutdown")
        for signal, items in self._backlog().items():
            self._books.lost(self._name, signal, items, "shutdown")
        self._books.watch(self._name, dict)

    def _put_back(self) -> None:
        """At the end of a durable log: traces that are still waited for stay there for the next start."""
        held = self._held()
        if held:
            waiting = self._books.waiting(self._name)
            logger.info(
                "exporters.%s: %d spans of unfinished traces wait in the log", self._name, sum(waiting.values())
            )
            for entry in held:
                entry.put_back()
            self._books.watch(self._name, lambda: waiting)

    def _held(self) -> list[Entry]:
        taken = [self._taken] if self._taken is not None else []
        return [*taken, *self._assembler.entries()] if self._assembler is not None else []

    def _backlog(self) -> Mapping[Signal, int]:
        self._count_lost()
        return self._log.backlog(self._name)

    def _count_lost(self) -> None:
        for signal, items in self._log.take_lost(self._name).items():
            if self._log.shared:
                self._books.found(self._name, signal, items)
            self._books.lost(self._name, signal, items, "log_overflow")


class Readers:
    """All readers together; they stop side by side, so that one shutdown budget holds for all."""

    def __init__(self, readers: Mapping[str, Reader]) -> None:
        self._readers = dict(readers)

    async def start(self) -> None:
        """Start every reader; when one cannot, those already started are stopped and its error is raised."""
        try:
            for reader in self._readers.values():
                await reader.start()
        except BaseException:
            await self.shutdown()
            raise

    async def shutdown(self) -> None:
        """Stop every reader at the same time."""
        await asyncio.gather(*(reader.shutdown() for reader in self._readers.values()))

    def details(self) -> dict[str, object]:
        """How each destination stands."""
        return {name: reader.details() for name, reader in self._readers.items()}
