"""A disk that is full, read-only or slow to come back; a clock that jumps; a large backlog at the start."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.contract import Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.log.disk import DiskLog, DiskLogConfig
from otel_llm_collector.testing import HttpSink

from .conftest import FULL, PROTOBUF, Machine, names, request, sending

pytestmark = pytest.mark.integration

ONE = '  one: {{type: otlp_http, endpoint: "http://{}", retry: {{max_seconds: 0.2}}}}\n'
DEAD = '  dead: {type: otlp_http, endpoint: "http://127.0.0.1:1", retry: {max_seconds: 0.2}}\n'
MIB = 1 << 20


def _limited(limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def test_a_full_disk_refuses_and_recovers(machine: Machine) -> None:
    """Files may not grow: senders are asked to come again, what was acknowledged arrives, and with room it goes on."""

    async def run() -> None:
        async with HttpSink() as sink:
            machine.configure(ONE.format(sink.address) + DEAD)  # the dead one keeps everything in the log
            process = await machine.start(lambda: _limited(3 * MIB))
            async with sending(machine.url, size=20_000) as senders:
                await sink.until(lambda: senders.refused > 20, 30)
                before = len(senders.acknowledged)
                assert before > 10
                await sink.until(lambda: senders.acknowledged <= names(sink).keys(), 30)
                await machine.assert_balance()
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                await sink.until(lambda: len(senders.acknowledged) > before + 20, 30)
            await sink.until(lambda: senders.acknowledged <= names(sink).keys(), 30)
            await machine.assert_balance()
            assert await machine.stop() == 0
        assert "cannot write" in machine.said()

    asyncio.run(run())


@pytest.fixture
def small_disk(machine: Machine) -> Iterator[Path]:
    """A file system of 8 MiB under the log's folder."""
    folder = machine.folder / "log"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here; run as root on a machine where mount works")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_file_system_that_fills_up(machine: Machine, small_disk: Path) -> None:
    """A real ENOSPC, twice: refused meanwhile, nothing acknowledged lost, good again when there is room."""

    async def run() -> None:
        async with HttpSink() as sink:
            machine.configure(ONE.format(sink.address))
            await machine.start()
            filler = small_disk / "filler"
            async with sending(machine.url, size=20_000) as senders:
                for _ in range(2):
                    before, refused = len(senders.acknowledged), senders.refused
                    await sink.until(lambda before=before: len(senders.acknowledged) > before + 20, 30)
                    with contextlib.suppress(OSError):  # it is full
                        filler.write_bytes(b"x" * (8 * MIB))
                    await sink.until(lambda refused=refused: senders.refused > refused + 10, 30)
                    filler.unlink()
                before = len(senders.acknowledged)
                await sink.until(lambda: len(senders.acknowledged) > before + 20, 30)
            await sink.until(lambda: senders.acknowledged <= names(sink).keys(), 30)
            await machine.assert_balance()
            assert await machine.stop() == 0

    asyncio.run(run())


def test_a_read_only_disk_stops_the_start(machine: Machine, small_disk: Path) -> None:
    """One sentence that names the option, exit code 1, and what lies there is not touched."""
    machine.configure(ONE.format("127.0.0.1:1"))

    async def life() -> None:
        await machine.start()
        await machine.stop()

    asyncio.run(life())
    before = contents(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, said = refused_start(machine)
    assert code == 1
    assert "log.path: cannot be opened for writing" in said
    assert "Traceback" not in said
    assert contents(small_disk) == before


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused_start(machine: Machine) -> tuple[int, str]:
    """Exit code and last words of a collector that cannot start."""
    ended = subprocess.run(
        [sys.executable, "-m", "otel_llm_collector", "run", "collector.yaml"],
        cwd=machine.folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stderr


def test_a_folder_that_cannot_be_made_stops_the_start(machine: Machine) -> None:
    """The same for a path where nobody can write."""
    machine.configure(ONE.format("127.0.0.1:1"), "{kind: disk, path: /proc/otel-llm-log}")
    code, said = refused_start(machine)
    assert code == 1
    assert "log.path: cannot be opened for writing" in said


@pytest.mark.parametrize("jump", [-400 * 86400, 400 * 86400], ids=["back", "ahead"])
def test_a_clock_that_jumps_loses_nothing(tmp_path: Path, jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set by more than a year while running: nothing is too old, everything arrives, lags are no nonsense."""
    real = time.time
    shift = [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + shift[0])

    async def run() -> None:
        async with HttpSink() as sink:
            text = (
                'receivers: {otlp: {grpc: null, http: {endpoint: "127.0.0.1:0"}}}\nserver: {endpoint: "127.0.0.1:0"}\n'
                f"log: {{kind: disk, path: {tmp_path / 'log'}}}\nexporters:\n{ONE.format(sink.address)}{DEAD}"
                f'  held: {{type: otlp_http, endpoint: "http://{sink.address}", whole_traces: {{quiet_seconds: 1}}}}\n'
            )
            app = App(config.parse(text, {}, source="test", folder=tmp_path), load_engine({}))
            await app.start()
            async with httpx2.AsyncClient(trust_env=False) as client:

                async def post(name: str) -> None:
                    url = f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces"
                    assert (await client.post(url, content=request(name), headers=PROTOBUF)).status_code == 200

                for number in range(20):
                    await post(f"before-{number}")
                shift[0] = jump
                for number in range(20):
                    await post(f"after-{number}")
                await sink.until(lambda: set(names(sink).values()) == {2} and len(names(sink)) == 40, 20)
                details: Any = app.readers.details()
                assert details["dead"]["lag"]["items"] == 40
                assert all(0 <= one["lag"]["seconds"] < abs(jump) + 60 for one in details.values())
            await app.shutdown()

    asyncio.run(run())


BACKLOG_MB = 1000 if FULL else 100


@pytest.mark.timeout(900 if FULL else 200)
@pytest.mark.parametrize(
    ("size", "more"), [(400_000, ""), (2_000, ""), (100_000, ", whole_traces: {quiet_seconds: 1}")]
)
def test_a_large_backlog_is_sent_in_little_memory(machine: Machine, size: int, more: str) -> None:
    """After a restart everything in the log arrives, and the process never holds more than 400 MB."""
    count = (BACKLOG_MB if FULL or size > 10_000 else 20) * 1_000_000 // size

    async def fill() -> None:
        log = DiskLog(DiskLogConfig(path=machine.folder / "log"), ["one"])
        await log.start()
        turn = asyncio.Semaphore(64)

        async def append(number: int) -> None:
            async with turn:
                await log.append(Signal.TRACES, request(f"{number:012}", size=size), 1)

        for first in range(0, count, 1000):
            await asyncio.gather(*(append(number) for number in range(first, min(first + 1000, count))))
        await log.shutdown()

    async def run() -> None:
        await fill()
        arrived: set[bytes] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    body = await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                    arrived.update(part[:12] for part in body.split(b"*\x0c")[1:])  # field 5, 12 bytes: the span's name
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
        address = "{}:{}".format(*server.sockets[0].getsockname())
        machine.configure(f'  one: {{type: otlp_http, endpoint: "http://{address}", compression: none{more}}}\n')
        process = await machine.start()
        wanted = {f"{number:012}".encode() for number in range(count)}
        async with asyncio.timeout(800 if FULL else 150):
            while not wanted <= arrived:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1000
        await machine.stop()
        server.close()
        assert peak < 400, f"{peak:.0f} MB"

    asyncio.run(run())
