"""What only the Kafka log has: brokers, partitions, groups, other members. Librdkafka's own cluster is the broker."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import limits
from otel_llm_collector.contract import Signal
from otel_llm_collector.errors import Retryable, StartError, TooLarge
from otel_llm_collector.log.kafka import KafkaLog, KafkaLogConfig
from otel_llm_collector.log.kafka_messages import count, messages
from otel_llm_collector.log.kafka_reader import decode

kafka_client = pytest.importorskip("confluent_kafka", reason="pip install 'otel-llm[kafka]' gives it")


def traces(*ids: int, size: int = 0) -> ExportTraceServiceRequest:
    """A request with one span for each id."""
    request = ExportTraceServiceRequest()
    level = request.resource_spans.add(schema_url="r")
    level.resource.attributes.add(key="service.name").value.string_value = "svc"
    scope = level.scope_spans.add(schema_url="s")
    for number, one in enumerate(ids):
        span = scope.spans.add(trace_id=bytes([one]) * 16, span_id=bytes([number + 1]) * 8, name=f"span-{number}")
        if size:
            span.attributes.add(key="padding").value.string_value = "x" * size
    return request


def test_each_trace_is_a_message_with_its_id_as_key() -> None:
    """Keys are 32 hexadecimal digits, resource and scope go along, and no span is lost or doubled."""
    whole = traces(1, 2, 1)
    found = messages(Signal.TRACES, whole.SerializeToString(), 3, 10_000)
    assert {one.key: one.items for one in found} == {b"01" * 16: 2, b"02" * 16: 1}
    parts = {one.key: ExportTraceServiceRequest.FromString(one.value) for one in found}
    names = {key: [s.name for s in part.resource_spans[0].scope_spans[0].spans] for key, part in parts.items()}
    assert names == {b"01" * 16: ["span-0", "span-2"], b"02" * 16: ["span-1"]}
    for part in parts.values():
        assert part.resource_spans[0].resource == whole.resource_spans[0].resource
        assert (part.resource_spans[0].schema_url, part.resource_spans[0].scope_spans[0].schema_url) == ("r", "s")


def test_a_request_of_one_trace_keeps_its_bytes() -> None:
    """Nothing is rebuilt where there is nothing to cut."""
    payload = traces(7, 7).SerializeToString()
    (only,) = messages(Signal.TRACES, payload, 2, 10_000)
    assert only.value is payload
    assert only.key == b"07" * 16


def test_what_is_too_large_is_cut_between_items_and_one_fat_item_is_refused() -> None:
    """Each message stays below the limit; an item over it alone is no message, and the sentence names the option."""
    payload = traces(*[1] * 40, size=1000).SerializeToString()
    found = messages(Signal.TRACES, payload, 40, 10_000)
    assert all(len(one.value) <= 10_000 for one in found)
    assert sum(one.items for one in found) == 40
    with pytest.raises(TooLarge, match=r"log\.max_message_bytes"):
        messages(Signal.TRACES, traces(1, size=20_000).SerializeToString(), 1, 10_000)


def test_metrics_and_logs_have_no_key_and_points_are_counted() -> None:
    """As otelcol's exporter sends them; a message that does not say its items is counted."""
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for value in (1, 2, 3):
        metric.gauge.data_points.add(as_int=value)
    (only,) = messages(Signal.METRICS, metrics.SerializeToString(), 3, 10_000)
    assert (only.key, only.items) == (None, 3)
    assert count(Signal.METRICS, only.value) == 3
    assert count(Signal.LOGS, ExportLogsServiceRequest().SerializeToString()) == 0
    assert count(Signal.TRACES, b"\xff\xff") == 0


def begins(cluster: Any, prefix: str) -> dict[tuple[str, int], int]:
    """Where another life of the reader `a` would begin: the offsets that its group has committed."""
    consumer = kafka_client.Consumer({"bootstrap.servers": ",".join(cluster.brokers), "group.id": f"{prefix}-a"})
    topic = consumer.list_topics(f"{prefix}-traces", timeout=10).topics[f"{prefix}-traces"]
    places = [kafka_client.TopicPartition(topic.topic, number) for number in topic.partitions]
    found = {(one.topic, one.partition): one.offset for one in consumer.committed(places, timeout=10)}
    consumer.close()
    return found


@pytest.mark.parametrize(("at", "plus", "done"), [(24, 1, 25), (24, 0, 24), (39, 1, 40)])
def test_what_was_committed_is_not_read_again_and_the_rest_is(
    cluster: Any, kafka: Any, at: int, plus: int, done: int
) -> None:
    """The group's offsets part what was read before the commit from the rest; an odd offset includes its record."""
    prefix = uuid.uuid4().hex

    async def run() -> list[Any]:
        async with kafka("a", prefix=prefix) as bench:
            for n in range(40):
                await bench.append(f"r{n}")
            read = [await bench.next("a") for _ in range(40)]
            await bench.log.commit("a", read[at].offset + plus)
            return read

    read = asyncio.run(run())
    start = begins(cluster, prefix)
    places = [decode(record.offset) for record in read]
    again = [
        number for number, (_, partition, offset) in enumerate(places) if offset >= start[f"{prefix}-traces", partition]
    ]
    assert again == list(range(done, 40))


def test_records_are_fetched_again_by_offset(kafka: Any) -> None:
    """Whole traces are put together from records that were read before."""

    async def run() -> None:
        async with kafka("a") as bench:
            for n in range(30):
                await bench.append(f"r{n}", items=n)
            read = [await bench.next("a") for _ in range(30)]
            wanted = [record.offset for record in read[::7]]
            fetched = await bench.log.fetch(wanted)
            assert [(one.offset, one.payload, one.items) for one in fetched] == [
                (one.offset, one.payload, one.items) for one in read[::7]
            ]
            assert await bench.log.fetch([read[0].offset + (1000 << 19)]) == []

    asyncio.run(run())


def test_a_new_destination_begins_now_or_at_the_oldest(kafka: Any) -> None:
    """A reader without a group gets what is appended from now on, or everything with `begin: earliest`."""
    prefix = uuid.uuid4().hex

    async def run() -> None:
        async with kafka("a", prefix=prefix) as bench:
            await bench.append("old")
        async with kafka("b", prefix=prefix) as bench:
            await bench.append("new")
            assert await bench.texts("b", 1) == ["new"]
        async with kafka("c", prefix=prefix, begin="earliest") as bench:
            assert sorted(await bench.texts("c", 2)) == ["new", "old"]

    asyncio.run(run())


def test_a_reader_that_does_not_read_holds_little_and_keeps_its_place(kafka: Any, monkeypatch: Any) -> None:
    """Over the bound the partitions are paused and the group is kept; when it reads again, everything comes."""
    monkeypatch.setattr(limits, "KAFKA_READ_AHEAD_BYTES", 100_000)

    async def run() -> None:
        async with kafka("a") as bench:
            first = asyncio.create_task(bench.next("a"))
            for n in range(100):
                await bench.append(f"{n:03}" + "x" * 20_000)
            await asyncio.sleep(1.5)
            held = bench.log.standing("a").unread_bytes
            assert 0 < held < 100_000 + 64 * 20_003, held
            texts = {(await first).payload[:3]} | {text[:3].encode() for text in await bench.texts("a", 99)}
            assert len(texts) == 100

    asyncio.run(run())


def test_brokers_that_are_away_refuse_for_now_and_lose_nothing(cluster: Any, kafka: Any, monkeypatch: Any) -> None:
    """While no broker answers, senders are told to come again; what was acknowledged is there when they are back."""
    monkeypatch.setattr(limits, "KAFKA_SECONDS", 1.0)

    async def run() -> None:
        async with kafka("a") as bench:
            await bench.append("before")
            cluster.down()
            try:
                with pytest.raises(Retryable, match="send again later"):
                    await bench.append("meanwhile")
            finally:
                cluster.up()
            async with asyncio.timeout(20):
                while True:
                    try:
                        await bench.append("after")
                        break
                    except Retryable:
                        await asyncio.sleep(0.1)
            found = {(await bench.next("a")).payload for _ in range(2)}
            assert b"before" in found

    asyncio.run(run())


def test_what_others_wrote_is_read_and_counted(cluster: Any, kafka: Any) -> None:
    """A message without our header, as otelcol's exporter writes it, has its items counted."""
    prefix = uuid.uuid4().hex

    async def run() -> None:
        async with kafka("a", prefix=prefix) as bench:
            producer = kafka_client.Producer({"bootstrap.servers": ",".join(cluster.brokers)})
            producer.produce(f"{prefix}-traces", traces(1, 2, 3).SerializeToString(), headers={"other": b"\xff"})
            await asyncio.to_thread(producer.flush, 10)
            record = await bench.next("a")
            assert (record.signal, record.items) == (Signal.TRACES, 3)

    asyncio.run(run())


def test_the_compression_key_and_header_are_as_otelcol_reads_them(cluster: Any, kafka: Any) -> None:
    """A plain consumer finds the request as it is, the trace id as key, and equal keys in one partition."""
    prefix = uuid.uuid4().hex

    async def run() -> list[Any]:
        async with kafka("a", prefix=prefix) as bench:
            for _ in range(3):
                await bench.log.append(Signal.TRACES, traces(1, 2, 3, 4).SerializeToString(), 4)
        consumer = kafka_client.Consumer(
            {"bootstrap.servers": ",".join(cluster.brokers), "group.id": "peer", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([f"{prefix}-traces"])
        found: list[Any] = []
        async with asyncio.timeout(20):
            while len(found) < 12:
                found += await asyncio.to_thread(consumer.consume, 12, 0.5)
        consumer.close()
        return found

    found = asyncio.run(run())
    places: dict[bytes, set[int]] = {}
    for message in found:
        request = ExportTraceServiceRequest.FromString(message.value())
        ids = {s.trace_id for level in request.resource_spans for one in level.scope_spans for s in one.spans}
        assert {one.hex().encode() for one in ids} == {message.key()}
        assert dict(message.headers()) == {"otel_llm.items": b"1"}
        places.setdefault(message.key(), set()).add(message.partition())
    assert all(len(partitions) == 1 for partitions in places.values())


def test_brokers_that_cannot_be_reached_stop_the_start(monkeypatch: Any) -> None:
    """The sentence names the option and the address, and no property of the client."""
    monkeypatch.setattr(limits, "KAFKA_SECONDS", 0.5)
    config = KafkaLogConfig.model_validate({"brokers": ["127.0.0.1:1"], "client": {"sasl.password": "hidden"}})

    async def run() -> None:
        log = KafkaLog(config, ["a"])
        with pytest.raises(StartError, match=r"log\.brokers: 127\.0\.0\.1:1 cannot be used") as caught:
            await log.start()
        assert "hidden" not in str(caught.value) + repr(config)
        await log.shutdown()

    asyncio.run(run())
