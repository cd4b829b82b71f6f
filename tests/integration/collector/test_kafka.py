"""Collectors that share a log in Kafka: members come and go. Librdkafka's own cluster is the broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import cli, limits
from otel_llm_collector.contract import Signal
from otel_llm_collector.fakes import KafkaCluster
from otel_llm_collector.log.kafka import KafkaLog, KafkaLogConfig
from otel_llm_collector.testing import HttpSink

pytestmark = pytest.mark.integration


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Its brokers."""
    pytest.importorskip("confluent_kafka", reason="pip install 'otel-llm[kafka]' gives it")
    cluster = KafkaCluster()
    yield cluster
    cluster.close()


def span(name: str, trace: int) -> bytes:
    """A request of one span."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        name=name, trace_id=trace.to_bytes(16, "big"), span_id=b"s" * 8
    )
    encoded: bytes = request.SerializeToString()
    return encoded


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


def test_part_of_the_topics_is_sent_again(cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From an offset of each partition, up to another, beside the group, whose place stays; every signal."""
    topics = {signal.value: f"replayed-{signal}" for signal in Signal}
    section = {"kind": "kafka", "brokers": cluster.brokers, "topics": {**topics, "partitions": 2}}
    for topic in topics.values():
        cluster.create_topic(topic, 2)

    async def run() -> None:
        log = KafkaLog(KafkaLogConfig.model_validate(section), ["one"])
        await log.start()
        kept = [await log.append(Signal.TRACES, span(f"s{n}", trace=n % 5), 1) for n in range(40)]
        await log.append(Signal.LOGS, ExportLogsServiceRequest().SerializeToString(), 1)
        from otel_llm_collector.log.kafka_reader import decode  # noqa: PLC0415 - needs an extra

        positions = [decode(offset)[1:] for offset in kept]
        async with HttpSink() as sink:
            exporter = {"type": "otlp_http", "endpoint": f"http://{sink.address}"}
            (tmp_path / "c.yaml").write_text(json.dumps({"log": section, "exporters": {"one": exporter}}))
            for arguments, wanted in (
                (["--from-offset", "0"], range(100)),
                (["--from-offset", "3"], range(3, 100)),
                (["--from-offset", "1", "--to-offset", "4"], range(1, 4)),
                (["--from-offset", "1000"], range(0)),
            ):
                sink.taken.clear()
                command = ["replay", str(tmp_path / "c.yaml"), "--exporter", "one", *arguments]
                assert await asyncio.to_thread(cli.main, command) == 0
                names = {one.name for taken in sink.taken if taken.signal is Signal.TRACES for one in taken.spans()}
                assert names == {f"s{n}" for n, (_, position) in enumerate(positions) if position in wanted}
        # the destination's own place is where it was
        read = log.read("one")
        assert len([await asyncio.wait_for(anext(read), 20) for _ in range(41)]) == 41
        await log.shutdown()

    asyncio.run(run())
    assert "nothing" in capsys.readouterr().out.splitlines()[-1]


def test_brokers_that_do_not_answer_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A replay from a Kafka that is not there ends with its option and what would be right."""
    pytest.importorskip("confluent_kafka", reason="pip install 'otel-llm[kafka]' gives it")
    section = {"kind": "kafka", "brokers": ["127.0.0.1:1"]}
    exporter = {"type": "otlp_http", "endpoint": "http://127.0.0.1:1"}
    (tmp_path / "c.yaml").write_text(json.dumps({"log": section, "exporters": {"one": exporter}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "KAFKA_SECONDS", 1.0)
        assert cli.main(["replay", str(tmp_path / "c.yaml"), "--exporter", "one", "--from-offset", "0"]) == 1
    assert "log.brokers: 127.0.0.1:1 cannot be read" in capsys.readouterr().err
