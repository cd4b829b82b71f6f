"""The log in Kafka: several collectors share it, and it outlives them all.

Use it where one machine is not enough. One topic per signal, in the form that otelcol's Kafka exporter and receiver
share (`kafka_messages`); one consumer group per destination (`kafka_reader`). Senders are answered when all replicas in
sync have their request (`acks=all`, idempotent producer). How long and how much is kept is the topics' own setting;
what Kafka deletes before a destination has read it is counted as dropped, in messages. Records come in order within a
partition. Delivery: at least once; after a rebalance or a crash what was not committed is delivered again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from otel_llm_collector import limits
from otel_llm_collector.contract import History, Record, Signal, Standing
from otel_llm_collector.errors import Retryable, StartError
from otel_llm_collector.log.kafka_messages import Message, messages
from otel_llm_collector.log.kafka_properties import (
    consumer_properties,
    own_properties,
    producer_properties,
    shared_properties,
)

if TYPE_CHECKING:
    from otel_llm_collector.log.kafka_history import Fetcher
    from otel_llm_collector.log.kafka_reader import KafkaReader

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 0.05
_MISSING = "log.kind: kafka needs a package that is not installed; pip install 'otel-llm[kafka]'"


class TopicsConfig(BaseModel):
    """The topic of each signal."""

    model_config = ConfigDict(extra="forbid")

    traces: str = Field("otlp_spans", min_length=1, description="Topic of requests of spans.")
    metrics: str = Field("otlp_metrics", min_length=1, description="Topic of requests of metrics.")
    logs: str = Field("otlp_logs", min_length=1, description="Topic of requests of log records.")
    partitions: int = Field(4, ge=1, le=65535, description="Partitions of a topic that is made because it is missing.")
    replication: int = Field(1, ge=1, description="Replicas of a topic that is made because it is missing.")

    def by_signal(self) -> dict[Signal, str]:
        """The topic of each signal."""
        return {signal: getattr(self, signal.value) for signal in Signal}


class KafkaLogConfig(BaseModel):
    """Requests are kept in Kafka, shared by any number of collectors."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["kafka"] = Field("kafka", description="kafka")
    brokers: list[str] = Field(min_length=1, description="Brokers to begin with, host:port each.")
    topics: TopicsConfig = Field(default_factory=TopicsConfig, description="The topic of each signal.")
    group: str = Field(
        "otel-llm", min_length=1, description="Consumer groups are called so, a dash and the destination's name."
    )
    begin: Literal["now", "earliest"] = Field(
        "now", description="Where a destination begins that has no group yet: at what comes now, or at the oldest."
    )
    max_message_bytes: int = Field(
        limits.KAFKA_MESSAGE_BYTES, ge=1024, description="Larger requests are split; not above what the topics allow."
    )
    client: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Further properties of librdkafka, TLS and SASL among them, values kept secret.",
    )


class KafkaLog:
    """See the module."""

    durable = True
    shared = True

    def __init__(self, config: KafkaLogConfig, readers: Iterable[str]) -> None:
        self._config = config
        self._names = list(readers)
        self._topics = config.topics.by_signal()
        self._signals = {topic: signal for signal, topic in self._topics.items()}
        self._producer: Any = None
        self._readers: dict[str, KafkaReader] = {}
        self._fetcher: Fetcher | None = None
        self._fetching = asyncio.Lock()
        self._sealed = False
        self._stopping = threading.Event()
        self._polling: threading.Thread | None = None

    async def start(self) -> None:
        """Find the brokers and the topics, give new groups their place, begin to read. Raises `StartError`."""
        try:
            import confluent_kafka as kafka  # noqa: PLC0415 - an extra

            from otel_llm_collector.log.kafka_reader import KafkaReader  # noqa: PLC0415 - needs it as well
        except ImportError as error:
            raise StartError(_MISSING) from error
        try:
            self._producer = kafka.Producer(producer_properties(self._config))
            await asyncio.to_thread(self._prepare, kafka)
            self._readers = {
                name: KafkaReader(name, consumer_properties(self._config, name), self._signals) for name in self._names
            }
        except kafka.KafkaException as error:
            brokers = ", ".join(self._config.brokers)
            msg = f"log.brokers: {brokers} cannot be used: {error}; start them, or mend brokers and client"
            raise StartError(msg) from error
        self._polling = threading.Thread(target=self._poll, name="log-kafka", daemon=True)
        self._polling.start()
        for reader in self._readers.values():
            reader.start()

    def seal(self) -> None:
        """Nothing more is appended; readers end where the log ends now."""
        self._sealed = True
        for reader in self._readers.values():
            reader.seal()

    async def shutdown(self) -> None:
        """Seal, wait for what is on its way to the brokers, leave the groups."""
        self.seal()
        await asyncio.gather(*(reader.stop() for reader in self._readers.values()))
        self._readers = {}
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, limits.KAFKA_SECONDS)
        self._stopping.set()
        if self._polling is not None:
            await asyncio.to_thread(self._polling.join)
            self._polling = None
        if self._fetcher is not None:
            await asyncio.to_thread(self._fetcher.close)
            self._fetcher = None

    async def append(self, signal: Signal, payload: bytes, items: int) -> int:
        """Keep one request; returns once every replica in sync has it."""
        if self._sealed:
            msg = "log: the collector is stopping; send again later"
            raise Retryable(msg, after=5.0)
        parts = messages(signal, payload, items, self._config.max_message_bytes)
        kept = await asyncio.gather(*(self._produce(signal, part) for part in parts), return_exceptions=True)
        for one in kept:
            if isinstance(one, BaseException):
                raise one
        return min(one for one in kept if isinstance(one, int))

    def read(self, reader: str) -> AsyncIterator[Record]:
        """Records as the reader's group gets them; see `contract.Log`."""
        return self._readers[reader].read()

    async def commit(self, reader: str, offset: int) -> None:
        """See `contract.Log`; with the brokers about a second later."""
        self._readers[reader].commit(offset)

    async def fetch(self, offsets: Sequence[int]) -> list[Record]:
        """These records again, as far as Kafka still has them."""
        async with self._fetching:
            if self._fetcher is None:
                from otel_llm_collector.log.kafka_history import Fetcher  # noqa: PLC0415 - needs an extra

                self._fetcher = Fetcher(self._config)
            return await asyncio.to_thread(self._fetcher.fetch, list(offsets))

    def take_lost(self, reader: str) -> dict[Signal, int]:
        """Messages that Kafka deleted before `reader` had read them, since this was last asked."""
        found = self._readers.get(reader)
        return found.take_lost() if found else {}

    def backlog(self, reader: str) -> dict[Signal, int]:
        """Nothing: what waits in Kafka may be another collector's to read."""
        return {}

    def standing(self, reader: str) -> Standing:
        """Where `reader` stands, in messages over the partitions that are its own now."""
        found = self._readers.get(reader)
        return found.standing() if found else Standing(0, 0, 0)

    # blocking work, in threads

    def _prepare(self, kafka: Any) -> None:
        places = [place for topic in self._topics.values() for place in self._partitions(kafka, topic)]
        if self._config.begin == "earliest":
            return
        for name in self._names:
            consumer = kafka.Consumer(consumer_properties(self._config, name))
            try:
                _begin_now(kafka, consumer, places)
            finally:
                consumer.close()

    def _partitions(self, kafka: Any, topic: str) -> list[Any]:
        """The partitions of a topic, which is made when it is not there."""
        found = self._producer.list_topics(topic, timeout=limits.KAFKA_SECONDS).topics[topic]
        if found.error is not None:
            from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # noqa: PLC0415 - an extra

            admin = AdminClient({**shared_properties(self._config), **own_properties(self._config)})
            new = NewTopic(topic, self._config.topics.partitions, self._config.topics.replication)
            for future in admin.create_topics([new], operation_timeout=limits.KAFKA_SECONDS).values():
                try:
                    future.result(limits.KAFKA_SECONDS)
                except kafka.KafkaException as error:
                    if error.args[0].code() != kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                        raise
            found = self._producer.list_topics(topic, timeout=limits.KAFKA_SECONDS).topics[topic]
        return [kafka.TopicPartition(topic, number) for number in found.partitions]

    async def _produce(self, signal: Signal, message: Message) -> int:
        """Send one message; the offset it got, once all replicas in sync have it."""
        from otel_llm_collector.log.kafka_reader import ITEMS, encode  # noqa: PLC0415 - needs an extra

        loop = asyncio.get_running_loop()
        kept: asyncio.Future[int] = loop.create_future()

        def delivered(error: Any, sent: Any) -> None:
            def answer() -> None:
                if kept.done():
                    return
                if error is None:
                    kept.set_result(encode(signal, sent.partition(), sent.offset()))
                else:
                    kept.set_exception(Retryable(f"log: Kafka did not take it: {error}; send again later", after=5.0))

            loop.call_soon_threadsafe(answer)

        try:
            self._producer.produce(
                self._topics[signal],
                message.value,
                message.key,
                headers={ITEMS: str(message.items)},
                on_delivery=delivered,
            )
        except BufferError as error:
            msg = "log: too much waits for Kafka already; send again later"
            raise Retryable(msg, after=1.0) from error
        return await kept

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(0.1)


def kafka_history(config: KafkaLogConfig) -> History:
    """What the topics hold, for `replay`. Raises `StartError` when the extra is missing."""
    try:
        from otel_llm_collector.log.kafka_history import KafkaHistory  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StartError(_MISSING) from error
    return KafkaHistory(config)


def _begin_now(kafka: Any, consumer: Any, places: Sequence[Any]) -> None:
    """Commit the end of each partition for a group that has no place there; a group with members has one.

    A broker that has just started needs a moment before it knows about groups.
    """
    give_up = time.monotonic() + limits.KAFKA_SECONDS
    while True:
        try:
            committed = consumer.committed(list(places), timeout=limits.KAFKA_SECONDS)
            break
        except kafka.KafkaException:
            if time.monotonic() > give_up:
                raise
            time.sleep(_WAIT_SECONDS)
    ends = []
    for one in committed:
        if one.offset < 0:
            _, end = consumer.get_watermark_offsets(one, timeout=limits.KAFKA_SECONDS)
            ends.append(kafka.TopicPartition(one.topic, one.partition, end))
    if ends:
        try:
            consumer.commit(offsets=ends, asynchronous=False)
        except kafka.KafkaException as error:
            logger.info("log: another collector gives a new group its place: %s", error)
