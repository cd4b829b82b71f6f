"""Logs to test: each kind by name, so that one suite runs over all of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.contract import Record, Signal
from otel_llm_collector.fakes import KafkaCluster
from otel_llm_collector.log.disk import DiskLog, DiskLogConfig
from otel_llm_collector.log.kafka import KafkaLog, KafkaLogConfig
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
        """The next record of `reader`; fails when none comes within 10 s."""
        stream = self._streams.setdefault(reader, self.log.read(reader))
        return await asyncio.wait_for(anext(stream), 10)

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


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Librdkafka's own Kafka, on loopback."""
    pytest.importorskip("confluent_kafka", reason="pip install 'otel-llm[kafka]' gives it")
    cluster = KafkaCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def kafka(cluster: Any) -> Opener:
    """Opens a log in Kafka with topics of its own, unless `prefix` names those of another."""

    @asynccontextmanager
    async def open_kafka(*readers: str, prefix: str = "", **config: Any) -> AsyncIterator[Bench]:
        prefix = prefix or uuid.uuid4().hex
        topics = {signal.value: f"{prefix}-{signal}" for signal in Signal}
        settings = KafkaLogConfig.model_validate(
            {"brokers": cluster.brokers, "topics": topics, "group": prefix, **config}
        )
        bench = Bench(KafkaLog(settings, readers or ("a", "b")))
        await bench.log.start()
        try:
            yield bench
        finally:
            await bench.close()

    return open_kafka


@pytest.fixture
def memory() -> Opener:
    """Opens a log in memory."""

    @asynccontextmanager
    async def open_memory(*readers: str, **config: Any) -> AsyncIterator[Bench]:
        bench = Bench(MemoryLog(MemoryLogConfig(**config), readers or ("a", "b")))
        await bench.log.start()
        try:
            yield bench
        finally:
            await bench.close()

    return open_memory


@pytest.fixture(params=["memory", "disk"])
def open_own_log(request: pytest.FixtureRequest) -> Opener:
    """Opens a log that is one collector's own: it knows its bound and what waits in it. Readers `a` and `b`."""
    opener: Opener = request.getfixturevalue(request.param)
    return opener


@pytest.fixture(params=["memory", "disk", "kafka"])
def open_log(request: pytest.FixtureRequest) -> Opener:
    """Opens a log of each kind with readers `a` and `b`."""
    opener: Opener = request.getfixturevalue(request.param)
    return opener
