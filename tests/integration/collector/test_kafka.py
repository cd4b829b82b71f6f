"""Collectors that share a log in Kafka: members come and go. Librdkafka's own cluster is the broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.fakes import KafkaCluster
from otel_llm_collector.log.kafka import KafkaLog, KafkaLogConfig

pytestmark = pytest.mark.integration


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Its brokers."""
    pytest.importorskip("confluent_kafka", reason="pip install 'otel-llm[kafka]' gives it")
    cluster = KafkaCluster()
    yield cluster
    cluster.close()


@asynccontextmanager
async def member(cluster: Any) -> AsyncIterator[KafkaLog]:
    quick = {"session.timeout.ms": "1000", "heartbeat.interval.ms": "200"}
    log = KafkaLog(KafkaLogConfig.model_validate({"brokers": cluster.brokers, "client": quick}), ["a"])
    await log.start()
    try:
        yield log
    finally:
        await log.shutdown()


def test_members_that_come_and_go_lose_nothing(cluster: Any) -> None:
    """While a second collector joins the group and leaves it, every record is read and done at least once."""
    done: list[str] = []

    async def work(log: KafkaLog) -> None:
        async for record in log.read("a"):
            await asyncio.sleep(0.001)
            done.append(record.payload.decode())
            await log.commit("a", record.offset + 1)

    async def send(log: KafkaLog, first: int, last: int) -> None:
        for n in range(first, last):
            await log.append(Signal.TRACES, f"r{n}".encode(), 1)
            await asyncio.sleep(0.005)

    async def run() -> None:
        async with member(cluster) as first:
            readers = [asyncio.create_task(work(first))]
            await send(first, 0, 100)
            async with member(cluster) as second:
                readers.append(asyncio.create_task(work(second)))
                await send(second, 100, 300)
            await send(first, 300, 350)
            async with asyncio.timeout(60):
                while len(set(done)) < 350:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            for one in readers:
                one.cancel()

    asyncio.run(run())
    assert set(done) == {f"r{n}" for n in range(350)}
