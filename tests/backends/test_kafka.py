"""The log in a real Kafka: one broker without ZooKeeper (KRaft), started from its jars."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import cli
from otel_llm_collector.contract import Signal
from otel_llm_collector.log.kafka import KafkaLog, KafkaLogConfig
from otel_llm_collector.testing import HttpSink

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""
QUIET = "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
QUIET += "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"


@pytest.fixture(scope="module")
def broker(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    jars = Path(__file__).parents[2] / ".cache/backends/kafka/jars"
    java = shutil.which("java")
    if java is None or not list(jars.glob("kafka_*.jar")):
        pytest.skip("no Kafka broker is installed for these tests; make kafka fetches one, where Java and Maven are")
    folder = tmp_path_factory.mktemp("kafka")
    port, controller = tools.free_port(), tools.free_port()
    (folder / "broker.properties").write_text(PROPERTIES.format(broker=port, controller=controller, folder=folder))
    (folder / "log4j.properties").write_text(QUIET)
    run = [java, "-Xmx384m", "-cp", f"{jars}/*", f"-Dlog4j.configuration=file:{folder}/log4j.properties"]
    format_ = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", "broker.properties"]
    subprocess.run([*run, *format_], cwd=folder, check=True, capture_output=True, timeout=120)
    with tools.listening(folder, *run, "kafka.Kafka", "broker.properties", port=port):
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def log(broker: str, prefix: str, *readers: str, **more: Any) -> AsyncIterator[KafkaLog]:
    topics = {signal.value: f"{prefix}-{signal}" for signal in Signal}
    options = {"brokers": [broker], "topics": topics, "group": prefix, **more}
    opened = KafkaLog(KafkaLogConfig.model_validate(options), readers)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.shutdown()


def test_topics_are_made_and_what_is_not_committed_comes_again(broker: str) -> None:
    """Missing topics get the partitions asked for; a second life reads what the first had not done, and no more."""
    prefix = uuid.uuid4().hex

    async def run() -> None:
        async with log(broker, prefix, "a") as first:
            sent = [await first.append(Signal.TRACES, f"r{n}".encode(), 1) for n in range(50)]
            records = first.read("a")
            read = [await asyncio.wait_for(anext(records), 30) for _ in sent]
            assert sorted(record.offset for record in read) == sorted(sent)
            for record in read[:30]:
                await first.commit("a", record.offset + 1)
            fetched = await first.fetch([record.offset for record in read[:5]])
            assert [record.payload for record in fetched] == [record.payload for record in read[:5]]
        async with log(broker, prefix, "a") as second:
            records = second.read("a")
            again = [(await asyncio.wait_for(anext(records), 30)).payload for _ in range(20)]
            assert sorted(again) == sorted(record.payload for record in read[30:])
            second.seal()
            assert [record async for record in records] == []

    asyncio.run(run())


def test_two_members_share_and_one_that_goes_leaves_nothing_behind(broker: str) -> None:
    """Every record is done at least once while a second member of the group joins, works and leaves."""
    prefix = uuid.uuid4().hex
    done: dict[str, set[bytes]] = {"first": set(), "second": set()}

    async def work(name: str, opened: KafkaLog) -> None:
        async for record in opened.read("a"):
            await asyncio.sleep(0.001)
            done[name].add(record.payload)
            await opened.commit("a", record.offset + 1)

    async def run() -> None:
        async with log(broker, prefix, "a") as first:
            tasks = [asyncio.create_task(work("first", first))]
            async with log(broker, prefix, "a") as second:
                tasks.append(asyncio.create_task(work("second", second)))
                sent = 0
                async with asyncio.timeout(60):
                    while sent < 300 or len(done["second"]) < 50:  # a group takes seconds to share anew
                        await first.append(Signal.TRACES, f"r{sent}".encode(), 1)
                        sent += 1
                        await asyncio.sleep(0.005)
            for n in range(sent, sent + 50):
                await first.append(Signal.LOGS, f"r{n}".encode(), 1)
            async with asyncio.timeout(60):
                while len(done["first"] | done["second"]) < sent + 50:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()

    asyncio.run(run())
    assert done["first"]


def test_a_whole_collector_on_kafka(broker: str, tools: Any, tmp_path: Path) -> None:
    """Priced traces, metrics and logs go through Kafka to two destinations, and the books balance."""
    prefix = uuid.uuid4().hex
    topics = {signal.value: f"{prefix}-{signal}" for signal in Signal}
    section = {"kind": "kafka", "brokers": [broker], "topics": topics, "group": prefix}

    async def run() -> None:
        async with HttpSink() as sink:
            exporters = {
                "one": {"type": "otlp_http", "endpoint": f"http://{sink.address}"},
                "two": {"type": "file", "path": str(tmp_path / "archive")},
            }

            def collect() -> None:
                with tools.Collector(tmp_path, exporters, log=section) as collector:
                    traces = [tools.Trace() for _ in range(20)]
                    for trace in traces:
                        collector.send(Signal.TRACES, trace.request)
                    collector.send(Signal.LOGS, traces[0].score("helpful", 1.0))
                    spans = "otelcol_exporter_sent_spans_total"
                    for name in exporters:
                        tools.wait_for(lambda name=name: collector.metric(spans, exporter=name) == 40, what=name)
                    accepted = collector.metric("otel_llm_exporter_accepted_spans_total", exporter="one")
                    waiting = collector.metric("otel_llm_exporter_waiting_spans", exporter="one")
                    assert (accepted, waiting) == (40, 0)

            await asyncio.to_thread(collect)
            assert sink.count(Signal.TRACES) == 40
            spans = [span for taken in sink.taken for span in taken.spans()]
            assert sum("otel_llm.cost.total" in {one.key for one in span.attributes} for span in spans) == 20

    asyncio.run(run())


def test_a_part_by_time_is_sent_again(broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`replay --from-time` and `--to-time` find their places in each partition by the brokers' own index."""
    prefix = uuid.uuid4().hex

    def request(name: str) -> bytes:
        message = ExportTraceServiceRequest()
        span = message.resource_spans.add().scope_spans.add().spans.add(name=name)
        span.trace_id = uuid.uuid4().bytes  # any partition
        encoded: bytes = message.SerializeToString()
        return encoded

    async def run() -> None:
        marks = []
        async with log(broker, prefix, "one") as opened:
            for part in range(3):
                for n in range(20):
                    await opened.append(Signal.TRACES, request(f"{part}-{n}"), 1)
                await asyncio.sleep(0.05)
                marks.append(datetime.now(UTC).isoformat())
                await asyncio.sleep(0.05)
        topics = {signal.value: f"{prefix}-{signal}" for signal in Signal}
        async with HttpSink() as sink:
            section = {"kind": "kafka", "brokers": [broker], "topics": topics, "group": prefix}
            exporter = {"type": "otlp_http", "endpoint": f"http://{sink.address}"}
            (tmp_path / "c.yaml").write_text(json.dumps({"log": section, "exporters": {"one": exporter}}))
            for arguments, parts in (
                (["--from-time", marks[0]], "12"),
                (["--from-time", marks[0], "--to-time", marks[1]], "1"),
                (["--from-time", marks[2]], ""),
                (["--from-offset", "0"], "012"),
            ):
                sink.taken.clear()
                command = ["replay", str(tmp_path / "c.yaml"), "--exporter", "one", *arguments]
                assert await asyncio.to_thread(cli.main, command) == 0
                names = [one.name for taken in sink.taken for one in taken.spans()]
                assert sorted(names) == sorted(f"{part}-{n}" for part in parts for n in range(20))

    asyncio.run(run())
    assert "replayed to one: 40 sent" in capsys.readouterr().out
