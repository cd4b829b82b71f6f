"""The log on disk: restarts, crashes, damage, limits, a full disk."""

from __future__ import annotations

import asyncio
import shutil
import signal as signals
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.errors import Retryable, StartError
from otel_llm_collector.log import disk_file

DAY = 86400.0


def test_a_restart_goes_on_where_each_reader_stood(disk: Any) -> None:
    """After a clean stop nobody reads again what they committed, and nobody misses what they did not."""

    async def run() -> None:
        async with disk() as bench:
            for n in range(10):
                await bench.append(str(n))
            await bench.texts("a", 7)
            await bench.log.commit("a", 4)
        async with disk() as bench:
            assert bench.log.backlog("a")[Signal.TRACES] == 6
            assert await bench.texts("a", 6) == [str(n) for n in range(4, 10)]
            assert await bench.texts("b", 10) == [str(n) for n in range(10)]
            assert await bench.append("10") == 10

    asyncio.run(run())


def test_offsets_are_never_used_twice(disk: Any) -> None:
    """Even when everything was delivered and deleted, a restart counts on."""

    async def run() -> None:
        async with disk("a") as bench:
            last = await bench.append("x")
            await bench.log.commit("a", (await bench.next("a")).offset + 1)
        async with disk("a") as bench:
            assert await bench.append("y") == last + 1

    asyncio.run(run())


def test_a_backlog_larger_than_the_memory_kept_is_read_from_disk(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that left memory come back from the file, in order and whole."""
    monkeypatch.setattr("otel_llm_collector.limits.DISK_LOG_TAIL_BYTES", 10_000)

    async def run() -> None:
        async with disk("a") as bench:
            for n in range(300):
                await bench.append(f"{n}:" + "x" * 1000)
            assert len(bench.log._tail) < 11
            assert [text.split(":")[0] for text in await bench.texts("a", 300)] == [str(n) for n in range(300)]

    asyncio.run(run())


def test_requests_that_arrive_together_share_a_transaction(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred appends at one time need a handful of syncs, not two hundred."""
    writes = 0
    write = disk_file.LogFile.write

    def counted(*arguments: Any) -> None:
        nonlocal writes
        writes += 1
        write(*arguments)

    monkeypatch.setattr(disk_file.LogFile, "write", counted)

    async def run() -> None:
        async with disk() as bench:
            await asyncio.gather(*(bench.append(str(n)) for n in range(200)))

    asyncio.run(run())
    assert writes < 10


def test_a_new_destination_begins_now_and_one_that_is_gone_holds_nothing(
    disk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Readers are known by name across restarts; giving one up is said in the log."""

    async def run() -> None:
        async with disk("a", "old") as bench:
            await bench.append("x")
            await bench.log.commit("a", (await bench.next("a")).offset + 1)
        async with disk("a", "new") as bench:
            assert not any(bench.log.backlog("new").values())
            await bench.append("y")
            assert await bench.texts("new", 1) == ["y"]
            assert bench.log._index.first == 1

    asyncio.run(run())
    assert "old no longer configured" in caplog.text


def test_reject_asks_senders_to_come_again(disk: Any) -> None:
    """With `when_full: reject` nothing kept is ever dropped, and there is room again after a commit."""

    async def run() -> None:
        async with disk("a", max_bytes=64 * 1024, when_full="reject") as bench:
            for _ in range(64):
                await bench.append("x" * 1024)
            with pytest.raises(Retryable, match="full"):
                await bench.append("x")
            assert bench.log.take_lost("a") == {}
            await bench.texts("a", 64)
            await bench.log.commit("a", 64)
            await bench.append("x" * 1024)

    asyncio.run(run())


def test_old_records_go_and_are_counted(disk: Any) -> None:
    """What is older than `max_seconds` at a write is dropped; readers are told."""
    now = 1000.0

    async def run() -> None:
        nonlocal now
        async with disk("a", max_seconds=DAY, clock=lambda: now) as bench:
            for _ in range(3):
                await bench.append("old", 2)
            now += 2 * DAY
            await bench.append("new")
            assert bench.log.take_lost("a") == {Signal.TRACES: 6}
            assert await bench.texts("a", 1) == ["new"]

    asyncio.run(run())


def test_two_collectors_cannot_share_a_folder(disk: Any) -> None:
    """The second one is told which option to change."""

    async def run() -> None:
        async with disk():
            with pytest.raises(StartError, match=r"log\.path: is in use by another collector"):
                async with disk():
                    pass

    asyncio.run(run())


@pytest.mark.parametrize(("pragma", "says"), [("user_version = 99", "format 99"), ("application_id = 1", "0x1")])
def test_a_file_that_is_not_ours_is_left_alone(disk: Any, tmp_path: Path, pragma: str, says: str) -> None:
    """A newer format, or another program's database, stops the start and is neither read nor moved."""

    async def make() -> None:
        async with disk():
            pass

    async def run() -> None:
        with pytest.raises(StartError, match=says):
            async with disk():
                pass

    asyncio.run(make())
    with sqlite3.connect(tmp_path / "log" / disk_file.NAME) as connection:
        connection.execute(f"PRAGMA {pragma}")
    connection.close()
    asyncio.run(run())
    assert not list((tmp_path / "log").glob("*broken*"))


def _header(data: bytearray) -> None:
    data[:100] = b"\xa5" * 100


def _half(data: bytearray) -> None:
    del data[len(data) // 2 :]


def _middle(data: bytearray) -> None:
    for start in range(16384, len(data), 16384):
        data[start : start + 64] = b"\xa5" * 64


def _text(data: bytearray) -> None:
    data[:] = b"this is no database\n" * 1000


@pytest.mark.parametrize("damage", [_header, _half, _middle, _text])
def test_a_broken_file_is_set_aside_and_the_collector_starts(
    disk: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    """Whatever a disk does to the file, the next start works, keeps the broken file, and says so."""

    async def fill() -> None:
        async with disk() as bench:
            for n in range(300):
                await bench.append(f"{n}" + "x" * 300)

    async def run() -> None:
        async with disk() as bench:
            offset = await bench.append("after")
            assert (await bench.next("a")).offset == offset

    asyncio.run(fill())
    path = tmp_path / "log" / disk_file.NAME
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    asyncio.run(run())
    assert len(list((tmp_path / "log").glob("*.broken-*"))) == 1
    assert "is broken" in caplog.text


def test_a_damaged_payload_costs_its_own_record_only(disk: Any, tmp_path: Path) -> None:
    """A flipped bit inside a stored request is noticed by its checksum; the reader is told what it lost."""

    async def fill() -> None:
        async with disk("a") as bench:
            for n in range(5):
                await bench.append(f"request-{n}", items=n + 1)

    async def run() -> None:
        async with disk("a") as bench:
            assert await bench.texts("a", 4) == [f"request-{n}" for n in (0, 1, 3, 4)]
            assert bench.log.take_lost("a") == {Signal.TRACES: 3}
            assert not any(bench.log.backlog("a").values())

    asyncio.run(fill())
    path = tmp_path / "log" / disk_file.NAME
    data = path.read_bytes()
    assert data.count(b"request-2") == 1
    path.write_bytes(data.replace(b"request-2", b"request-\xb2"))
    asyncio.run(run())


def test_damage_while_running_begins_a_new_file(disk: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When SQLite finds the file broken at a write, a new one is begun, the loss is counted, and the log goes on."""

    def broken(*_: Any) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    async def run() -> None:
        async with disk("a") as bench:
            await bench.append("before", 5)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(bench.log._file, "write", broken)
                with pytest.raises(Retryable):
                    await bench.append("meanwhile")
            assert bench.log.take_lost("a") == {Signal.TRACES: 5}
            await bench.append("after")
            assert await bench.texts("a", 1) == ["after"]
        async with disk("a") as bench:
            assert await bench.texts("a", 1) == ["after"]

    asyncio.run(run())
    assert len(list((tmp_path / "log").glob("*.broken-*"))) == 1


def test_a_full_disk_refuses_for_now_and_loses_nothing(disk: Any) -> None:
    """SQLite's own "disk is full" becomes a retryable refusal; what was kept stays, and room lets senders in again."""

    async def run() -> None:
        async with disk("a") as bench:
            await bench.append("x" * 1000)
            pages = bench.log._file._writer.execute("PRAGMA page_count").fetchone()[0]
            bench.log._file._writer.execute(f"PRAGMA max_page_count = {pages + 4}")
            refused = None
            kept = 1
            while refused is None and kept < 1000:
                try:
                    await bench.append("x" * 1000)
                    kept += 1
                except Retryable as error:
                    refused = str(error)
            assert refused is not None and "full" in refused
            assert kept > 1
            bench.log._file._writer.execute("PRAGMA max_page_count = 100000")
            await bench.append("y")
            assert len(await bench.texts("a", kept + 1)) == kept + 1
            assert bench.log.take_lost("a") == {}

    asyncio.run(run())


def test_a_file_in_place_of_the_folder_stops_the_start(disk: Any, tmp_path: Path) -> None:
    """The sentence names the option and the path."""
    (tmp_path / "log").write_text("not a folder")

    async def run() -> None:
        with pytest.raises(StartError, match=r"log\.path: cannot be opened for writing .*log"):
            async with disk():
                pass

    asyncio.run(run())


def test_setting_the_clock_makes_nothing_old(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose clock jumps a year ahead keeps its backlog."""

    async def run() -> None:
        async with disk("a") as bench:
            await bench.append("x")
            monkeypatch.setattr("time.time", lambda: 4e9)
            await bench.append("y")
            assert await bench.texts("a", 2) == ["x", "y"]
            assert bench.log.take_lost("a") == {}

    asyncio.run(run())


WRITER = """
import asyncio, sys
from pathlib import Path
from otel_llm_collector.contract import Signal
from otel_llm_collector.log.disk import DiskLog, DiskLogConfig

async def main():
    log = DiskLog(DiskLogConfig(path=Path(sys.argv[1])), ["a"])
    await log.start()
    async def sender(name):
        number = 0
        while True:
            text = f"{name}-{number}"
            await log.append(Signal.TRACES, text.encode() + b" " * 500, 1)
            print(text, flush=True)  # this sender is acknowledged
            number += 1
    async def reader():
        async for record in log.read("a"):
            if record.offset < 20:
                await log.commit("a", record.offset + 1)
    await asyncio.gather(reader(), *(sender(name) for name in "wxyz"))

asyncio.run(main())
"""


@pytest.mark.integration
@pytest.mark.parametrize("acknowledged", [1, 50, 333, 1000])
def test_kill_9_loses_nothing_that_was_acknowledged(disk: Any, tmp_path: Path, acknowledged: int) -> None:
    """A process that is killed under load: every request it acknowledged is read after the next start."""
    program = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert program.stdout is not None
    said = [program.stdout.readline().strip() for _ in range(acknowledged)]
    program.send_signal(signals.SIGKILL)
    said += program.stdout.read().splitlines()[:-1]  # the last line may be cut
    program.wait(10)
    program.stdout.close()

    async def run() -> None:
        async with disk("a") as bench:
            first = bench.log._readers["a"].position
            count = bench.log._index.next - first
            found = {text.strip() for text in await bench.texts("a", count)}
            assert first <= 20
            missing = [text for text in said if text not in found]
            assert len(missing) <= first, missing  # those below the commit were delivered before
            assert all(int(text.split("-")[1]) < 20 for text in missing)

    asyncio.run(run())
    shutil.rmtree(tmp_path / "log")
