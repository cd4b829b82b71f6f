"""Taking records from the log: what goes together, and when company is waited for."""

from __future__ import annotations

import asyncio

import pytest
from otel_llm_collector.contract import Record, Signal
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.source import Source
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig
from prometheus_client import CollectorRegistry


@pytest.mark.parametrize(
    ("busy", "size", "together"),
    [(True, 10, [3]), (False, 10, [1, 2]), (True, 60, [1, 2])],
    ids=["busy", "idle", "large enough to go alone"],
)
def test_a_busy_reader_waits_a_moment_for_company(busy: bool, size: int, together: list[int]) -> None:
    """Two requests that come in that moment go along with a small one; an idle reader sends it at once."""

    async def run() -> None:
        log = MemoryLog(MemoryLogConfig(), ["d"])
        books = Books({"d": frozenset(Signal)}, CollectorRegistry())
        pauses: list[float] = []
        found: list[int] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            await put()

        async def put() -> None:
            for _ in range(2):
                await log.append(Signal.TRACES, b"y" * 10, 1)

        async def finish(_: int) -> None: ...

        def begun(_: Record) -> None: ...

        source = Source("d", log, frozenset(Signal), books, begun, finish, 100, lambda: busy and not found, sleep)
        await log.append(Signal.TRACES, b"x" * size, 1)
        batch = await source.next()
        assert batch is not None
        found.append(len(batch.records))
        if not pauses:
            await put()
        log.seal()
        while (batch := await source.next()) is not None:
            found.append(len(batch.records))
            assert batch.parcel().items == len(batch.records) == batch.entry.open
        assert found == together

    asyncio.run(run())


def test_what_a_destination_does_not_want_is_not_waited_behind() -> None:
    """A request leaves at once although only a request of another signal comes after it."""

    async def run() -> None:
        log = MemoryLog(MemoryLogConfig(), ["d"])
        books = Books({"d": frozenset({Signal.LOGS})}, CollectorRegistry())

        async def nothing(_: float) -> None: ...

        wanted = frozenset({Signal.LOGS})
        source = Source("d", log, wanted, books, lambda _: None, nothing, 100, lambda: True, nothing)
        await log.append(Signal.LOGS, b"wanted", 1)
        await log.append(Signal.TRACES, b"not wanted", 1)
        batch = await asyncio.wait_for(source.next(), 5)
        assert batch is not None
        assert [record.payload for record in batch.records] == [b"wanted"]

    asyncio.run(run())
