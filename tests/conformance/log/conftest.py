"""Logs to test: each kind by name, so that one suite runs over all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.contract import Record, Signal
from otel_llm_collector.log.disk import DiskLog, DiskLogConfig
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig


class Bench:
    """A log under test, with the few things that every test does to it."""

    def __init__(self, log: Any) -> None:
        self.log = log
        self._streams: dict[str, AsyncIterator[Record]] = {}

    async def append(self, text: str, items: int = 1, signal: Signal = Signal.TRACES) -> int:
        offset: int = await self.log.append(signal, text.encode(), items)
        return offset

    async def next(self, reader: str) -> Record:
        """The next record of `reader`; fails when none comes within 5 s."""
        stream = self._streams.setdefault(reader, self.log.read(reader))
        return await asyncio.wait_for(anext(stream), 5)

    async def texts(self, reader: str, count: int) -> list[str]:
        return [(await self.next(reader)).payload.decode() for _ in range(count)]

    async def close(self) -> None:
        for stream in self._streams.values():
            await stream.aclose()  # type: ignore[attr-defined]
        await self.log.shutdown()


Opener = Callable[..., Any]


@pytest.fixture
def disk(tmp_path: Path) -> Opener:
    """Opens a log on disk in the test's folder, with readers `a` and `b` unless told otherwise."""

    @asynccontextmanager
    async def open_disk(*readers: str, clock: Any = None, folder: str = "log", **config: Any) -> AsyncIterator[Bench]:
        settings = DiskLogConfig(path=tmp_path / folder, **config)
        bench = Bench(DiskLog(settings, readers or ("a", "b"), clock))
        await bench.log.start()
        try:
            yield bench
        finally:
            await bench.close()

    return open_disk


@pytest.fixture(params=["memory", "disk"])
def open_log(request: pytest.FixtureRequest, disk: Opener) -> Opener:
    """Opens a log of each kind with readers `a` and `b`; `max_bytes` bounds it."""

    @asynccontextmanager
    async def open_memory(*readers: str, **config: Any) -> AsyncIterator[Bench]:
        bench = Bench(MemoryLog(MemoryLogConfig(**config), readers or ("a", "b")))
        await bench.log.start()
        try:
            yield bench
        finally:
            await bench.close()

    return disk if request.param == "disk" else open_memory
