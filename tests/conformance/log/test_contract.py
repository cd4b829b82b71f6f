"""What every log does, whatever it is made of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.errors import Retryable


def test_records_come_back_in_order_and_unchanged(open_log: Any) -> None:
    """Each reader gets every record as it was appended, with growing offsets; a shared log may mix up the order."""

    async def run() -> None:
        async with open_log() as bench:
            offsets = [
                await bench.log.append(signal, bytes([n]) * n, n) for n, signal in enumerate([*Signal, *Signal], 1)
            ]
            assert len(set(offsets)) == len(offsets)
            assert bench.log.shared or offsets == sorted(offsets)
            for reader in ("a", "b"):
                records = [await bench.next(reader) for _ in offsets]
                if bench.log.shared:
                    records.sort(key=lambda record: record.items)
                assert [(r.offset, r.signal, r.payload, r.items) for r in records] == [
                    (offset, signal, bytes([n]) * n, n)
                    for (n, signal), offset in zip(enumerate([*Signal, *Signal], 1), offsets, strict=True)
                ]

    asyncio.run(run())


def test_a_reader_waits_at_the_end_and_goes_on(open_log: Any) -> None:
    """Reading past the end blocks until something is appended."""

    async def run() -> None:
        async with open_log() as bench:
            waiting = asyncio.create_task(bench.next("a"))
            await asyncio.sleep(0.02)
            assert not waiting.done()
            await bench.append("x")
            assert (await waiting).payload == b"x"

    asyncio.run(run())


def test_readers_do_not_touch_each_other(open_log: Any) -> None:
    """What one reader reads and commits stays there for the other."""

    async def run() -> None:
        async with open_log() as bench:
            for n in range(10):
                await bench.append(str(n))
            for _ in range(10):
                await bench.log.commit("a", (await bench.next("a")).offset + 1)
            texts = await bench.texts("b", 10)
            assert (sorted(texts) if bench.log.shared else texts) == [str(n) for n in range(10)]
            assert bench.log.take_lost("b") == {}

    asyncio.run(run())


def test_appends_at_one_time_are_all_kept(open_log: Any) -> None:
    """Two hundred senders at once get two hundred offsets, and each record can be read."""

    async def run() -> None:
        async with open_log() as bench:
            offsets = await asyncio.gather(*(bench.append(str(n)) for n in range(200)))
            assert len(set(offsets)) == 200
            assert sorted(await bench.texts("a", 200), key=int) == [str(n) for n in range(200)]

    asyncio.run(run())


def test_a_sealed_log_takes_nothing_and_is_read_to_its_end(open_log: Any) -> None:
    """After `seal` an append is refused for now; readers get what is there and then end."""

    async def run() -> None:
        async with open_log() as bench:
            await bench.append("x")
            bench.log.seal()
            with pytest.raises(Retryable, match="send again later"):
                await bench.append("y")
            assert [record.payload async for record in bench.log.read("a")] == [b"x"]
            assert [record.payload async for record in bench.log.read("b")] == [b"x"]

    asyncio.run(run())


def test_a_waiting_reader_ends_when_the_log_is_sealed(open_log: Any) -> None:
    """Sealing wakes readers that wait at the end."""

    async def run() -> None:
        async with open_log() as bench:

            async def drain() -> list[bytes]:
                return [record.payload async for record in bench.log.read("a")]

            waiting = asyncio.create_task(drain())
            await asyncio.sleep(0.02)
            bench.log.seal()
            assert await asyncio.wait_for(waiting, 5) == []

    asyncio.run(run())


def test_shutdown_may_come_twice(open_log: Any) -> None:
    """The second shutdown does nothing."""

    async def run() -> None:
        async with open_log() as bench:
            await bench.append("x")
            await bench.log.shutdown()
            await bench.log.shutdown()

    asyncio.run(run())


def test_a_full_log_drops_the_oldest_and_tells_each_reader_what_it_lost(open_own_log: Any) -> None:
    """For every reader: appended = read + waiting + lost, item for item; who was quick enough loses nothing."""

    async def run() -> None:
        async with open_own_log(max_bytes=128 * 1024) as bench:
            for n in range(500):
                await bench.append(f"{n:04}" + "x" * 1020, items=3)
                record = await bench.next("a")
                assert record.payload.startswith(f"{n:04}".encode())
            assert bench.log.take_lost("a") == {}
            lost = bench.log.take_lost("b")[Signal.TRACES]
            waiting = bench.log.backlog("b")[Signal.TRACES]
            assert lost + waiting == 1500
            assert 1500 - 3 * 128 <= lost <= 1500 - 3 * 100, lost
            assert bench.log.take_lost("b") == {}
            first = await bench.next("b")
            assert first.payload.startswith(f"{lost // 3:04}".encode())

    asyncio.run(run())


def test_what_everybody_has_committed_makes_room(open_own_log: Any) -> None:
    """Far more than the bound passes through without loss when the readers keep up."""

    async def run() -> None:
        async with open_own_log(max_bytes=128 * 1024) as bench:
            for _ in range(500):
                await bench.append("x" * 1024)
                for reader in ("a", "b"):
                    await bench.log.commit(reader, (await bench.next(reader)).offset + 1)
            for reader in ("a", "b"):
                assert bench.log.take_lost(reader) == {}
                assert not any(bench.log.backlog(reader).values())

    asyncio.run(run())


def test_the_backlog_counts_items_per_signal(open_own_log: Any) -> None:
    """Items that wait are counted by signal and go down as they are read."""

    async def run() -> None:
        async with open_own_log() as bench:
            await bench.append("x", 5)
            await bench.append("y", 7, Signal.LOGS)
            await bench.next("a")
            assert (bench.log.backlog("a").get(Signal.TRACES, 0), bench.log.backlog("a")[Signal.LOGS]) == (0, 7)
            assert (bench.log.backlog("b")[Signal.TRACES], bench.log.backlog("b")[Signal.LOGS]) == (5, 7)

    asyncio.run(run())
