"""One reader per destination: read from the log -> filter -> shape -> split -> retry -> send -> commit.

Each reader has its own position in the log and its own requests under way; a destination that is slow, dead or hostile
holds nobody else back. The log position is committed after a request was sent or its loss was counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from otel_llm_collector import limits
from otel_llm_collector.contract import Destination, Log, Parcel, Receipt, Record, Signal
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.otlp import split, without_content
from otel_llm_collector.deliver.settings import Content, DestinationSettings, RetrySettings
from otel_llm_collector.errors import Permanent, Retryable

logger = logging.getLogger(__name__)

_MAX_RETRY_AFTER_SECONDS = 300.0  # a backend that asks for more is asked again after this


class Reader:
    """Delivers the log to one destination."""

    def __init__(
        self, name: str, log: Log, destination: Destination, settings: DestinationSettings, books: Books
    ) -> None:
        self._name = name
        self._log = log
        self._destination = destination
        self._settings = settings
        self._signals = frozenset(settings.signals)
        self._books = books
        self._slots = asyncio.Semaphore(settings.max_in_flight)
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._in_flight: Counter[Signal] = Counter()
        self._done: set[int] = set()
        self._committed = 0
        self._task: asyncio.Task[None] | None = None
        self._last_error = ""
        books.watch(name, self._waiting)

    async def start(self) -> None:
        """Open the destination and begin to read."""
        await self._destination.start()
        self._task = asyncio.create_task(self._run())

    async def shutdown(self) -> None:
        """Send what is left of a sealed log for `limits.SHUTDOWN_SECONDS`; give up the rest and count it."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(limits.SHUTDOWN_SECONDS):
                await asyncio.shield(self._task)
        except TimeoutError:
            await self._give_up()
        self._task = None
        await self._destination.shutdown()

    def details(self) -> dict[str, object]:
        """How this destination stands, for /health/detailed."""
        waiting = {signal.value: count for signal, count in self._waiting().items() if count}
        return {"type": self._settings.type, "waiting": waiting, "last_error": self._last_error}

    async def _run(self) -> None:
        async for record in self._log.read(self._name):
            self._count_lost()
            await self._slots.acquire()
            if record.signal in self._signals:
                self._in_flight[record.signal] += record.items
                self._under_way[record.offset] = asyncio.create_task(self._deliver(record))
            else:
                await self._finish(record.offset)
        await asyncio.gather(*self._under_way.values())
        self._count_lost()

    async def _give_up(self) -> None:
        """Stop at the end of the time to shut down: what waits is lost and counted."""
        tasks = [task for task in (self._task, *self._under_way.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._count_lost()
        for signal, items in self._waiting().items():
            if items:
                self._books.dropped(self._name, signal, items, "shutdown")
                logger.warning(
                    "exporters.%s: %d %s not sent when the collector stopped", self._name, items, signal.items
                )
        self._in_flight.clear()

    async def _deliver(self, record: Record) -> None:
        try:
            for parcel in self._parcels(record):
                await self._send(parcel)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception(
                "exporters.%s: failed on a request of %d %s", self._name, record.items, record.signal.items
            )
            self._drop(record.signal, self._in_flight[record.signal] and record.items, "failed")
        await self._finish(record.offset)

    def _parcels(self, record: Record) -> Sequence[Parcel]:
        """What is really sent of a record: content removed, below the destination's size."""
        payload = record.payload
        if self._settings.content is Content.DROP:
            payload = without_content(record.signal, payload)
        parcels, too_large = split(Parcel(record.signal, payload, record.items), self._settings.max_request_bytes)
        if too_large:
            self._drop(record.signal, too_large, "too_large")
        return parcels

    async def _send(self, parcel: Parcel) -> None:
        try:
            receipt = await send_with_retry(
                lambda: self._destination.send(parcel), self._settings.retry, self._note_retry
            )
        except Permanent as error:
            self._failed(parcel, "refused", error)
        except Retryable as error:
            self._failed(parcel, "retries_exhausted", error)
        else:
            refused = min(max(receipt.refused, 0), parcel.items)
            if receipt.message:
                logger.warning("exporters.%s: the backend says: %s", self._name, receipt.message[:300])
            self._drop(parcel.signal, refused, "partial_success")
            self._books.sent(self._name, parcel.signal, parcel.items - refused)
            self._in_flight[parcel.signal] -= parcel.items - refused

    def _failed(self, parcel: Parcel, reason: str, error: Exception) -> None:
        self._last_error = str(error)[:300]
        logger.warning(
            "exporters.%s: %d %s dropped (%s): %s", self._name, parcel.items, parcel.signal.items, reason, error
        )
        self._drop(parcel.signal, parcel.items, reason)

    def _note_retry(self, error: Retryable) -> None:
        self._last_error = str(error)[:300]
        self._books.retried(self._name)

    def _drop(self, signal: Signal, items: int, reason: str) -> None:
        self._books.dropped(self._name, signal, items, reason)
        self._in_flight[signal] -= items

    def _count_lost(self) -> None:
        for signal, items in self._log.take_lost(self._name).items():
            if signal in self._signals:
                self._books.dropped(self._name, signal, items, "log_overflow")

    def _waiting(self) -> Mapping[Signal, int]:
        backlog = self._log.backlog(self._name)
        return {signal: backlog.get(signal, 0) + self._in_flight[signal] for signal in self._signals}

    async def _finish(self, offset: int) -> None:
        """Commit as far as everything before is done."""
        self._slots.release()
        self._under_way.pop(offset, None)
        self._done.add(offset)
        oldest = min(self._under_way, default=max(self._done) + 1)
        self._done = {done for done in self._done if done >= oldest}
        if oldest > self._committed:
            self._committed = oldest
            await self._log.commit(self._name, oldest)


class Readers:
    """All readers together; they stop side by side, so that one shutdown budget holds for all."""

    def __init__(self, readers: Mapping[str, Reader]) -> None:
        self._readers = dict(readers)

    async def start(self) -> None:
        """Start every reader."""
        for reader in self._readers.values():
            await reader.start()

    async def shutdown(self) -> None:
        """Stop every reader at the same time."""
        await asyncio.gather(*(reader.shutdown() for reader in self._readers.values()))

    def details(self) -> dict[str, object]:
        """How each destination stands."""
        return {name: reader.details() for name, reader in self._readers.items()}


async def send_with_retry(
    send: Callable[[], Awaitable[Receipt]],
    retry: RetrySettings,
    on_retry: Callable[[Retryable], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    jitter: Callable[[], float] = random.random,
) -> Receipt:
    """Call `send` until it succeeds, fails for good, or `retry.max_elapsed_seconds` are over.

    The pause doubles from `initial_seconds` to `max_seconds`, times a jitter of 0.5 to 1.5; a backend's own wish
    stands above it. Raises `Permanent`, or the last `Retryable`.
    """
    began = clock()
    pause = retry.initial_seconds
    while True:
        try:
            return await send()
        except Retryable as error:
            asked = min(error.after or 0.0, _MAX_RETRY_AFTER_SECONDS)
            wait = max(asked, pause * (0.5 + jitter()))
            if clock() - began + wait > retry.max_elapsed_seconds:
                raise
            on_retry(error)
            await sleep(wait)
            pause = min(pause * 2, retry.max_seconds)
