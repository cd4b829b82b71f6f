"""What the log in Kafka holds, read beside whoever writes it: records by their offsets, and for `replay`.

Nobody joins a consumer group here and nothing is committed: the places of the destinations stay where they are. An
offset that a person names counts in each partition of each topic; a time means the same everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import confluent_kafka as kafka

from otel_llm_collector import limits
from otel_llm_collector.contract import Range, Record
from otel_llm_collector.errors import StartError
from otel_llm_collector.log.kafka import KafkaLogConfig
from otel_llm_collector.log.kafka_properties import consumer_properties
from otel_llm_collector.log.kafka_reader import Place, decode, record

_WAIT_SECONDS = 0.05
_MILLI = 1000
_END = -1  # what `offsets_for_times` answers where nothing is that young


def _consumer(config: KafkaLogConfig, **more: Any) -> Any:
    """A consumer that is given its partitions and commits nothing."""
    alone = {"enable.auto.commit": False, "allow.auto.create.topics": False, "fetch.wait.max.ms": 10, **more}
    return kafka.Consumer({**consumer_properties(config, "fetch"), **alone})


class Fetcher:
    """Reads single records again; blocking, one call at a time."""

    def __init__(self, config: KafkaLogConfig) -> None:
        self._topics = config.topics.by_signal()
        self._signals = {topic: signal for signal, topic in self._topics.items()}
        self._consumer = _consumer(config)

    def fetch(self, offsets: Sequence[int]) -> list[Record]:
        """These records, as far as Kafka still has them."""
        wanted: dict[Place, set[int]] = {}
        for offset in offsets:
            signal, partition, position = decode(offset)
            wanted.setdefault((self._topics[signal], partition), set()).add(position)
        found = [record(one, self._signals) for one in _read_at(self._consumer, wanted)]
        by_offset = {one.offset: one for one in found}
        return [by_offset[offset] for offset in offsets if offset in by_offset]

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()


class KafkaHistory:
    """What the topics hold. Raises `StartError` when the brokers do not answer."""

    def __init__(self, config: KafkaLogConfig) -> None:
        self._config = config
        self._signals = {topic: signal for signal, topic in config.topics.by_signal().items()}
        self._fetcher = Fetcher(config)
        self._consumer = _consumer(config, **{"enable.partition.eof": True})

    def records(self, part: Range) -> Iterator[list[Record]]:
        """The records of that part, some at a time; in order within each partition."""
        try:
            yield from self._records(part)
        except kafka.KafkaException as error:
            raise StartError(self._cannot(str(error))) from error

    def fetch(self, offsets: Sequence[int]) -> list[Record]:
        """These records, as far as Kafka still has them."""
        return self._fetcher.fetch(offsets)

    def close(self) -> None:
        """Close the connections."""
        self._fetcher.close()
        self._consumer.close()

    def _records(self, part: Range) -> Iterator[list[Record]]:
        left = self._bounds(part)
        self._consumer.assign([kafka.TopicPartition(*place, first) for place, (first, _) in left.items()])
        heard = time.monotonic()
        while left:
            found = []
            for message in self._consumer.consume(limits.KAFKA_FETCH_MESSAGES, _WAIT_SECONDS):
                heard = time.monotonic()
                place = (message.topic(), message.partition())
                if message.error() is not None:
                    if message.error().code() != kafka.KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                        raise kafka.KafkaException(message.error())
                    left.pop(place, None)  # what was the end is not there any more, or nobody may read it
                elif place in left:
                    _, end = left[place]
                    if message.offset() < end:
                        found.append(record(message, self._signals))
                    if message.offset() >= end - 1:
                        del left[place]
            if found:
                yield found
            elif time.monotonic() - heard > limits.KAFKA_SECONDS:
                raise StartError(self._cannot(f"nothing came for {limits.KAFKA_SECONDS:g} s"))

    def _bounds(self, part: Range) -> dict[Place, tuple[int, int]]:
        """From where and up to where each partition is read; those with nothing to read are left out."""
        bounds = {}
        for place in self._places():
            low, high = self._consumer.get_watermark_offsets(kafka.TopicPartition(*place), timeout=limits.KAFKA_SECONDS)
            first = part.first if part.since is None else self._at(place, part.since, high)
            end = part.end if part.until is None else self._at(place, part.until, high)
            bounds[place] = max(low, first), min(high, end)
        return {place: (first, end) for place, (first, end) in bounds.items() if first < end}

    def _places(self) -> list[Place]:
        """The partitions that there are; a topic that was never made holds nothing."""
        found = self._consumer.list_topics(timeout=limits.KAFKA_SECONDS).topics
        return [(topic, number) for topic in self._signals if topic in found for number in found[topic].partitions]

    def _at(self, place: Place, seconds: float, high: int) -> int:
        """The first offset of that time (seconds since the epoch) or later."""
        asked = [kafka.TopicPartition(*place, int(seconds * _MILLI))]
        [found] = self._consumer.offsets_for_times(asked, timeout=limits.KAFKA_SECONDS)
        return high if found.offset <= _END else int(found.offset)

    def _cannot(self, why: str) -> str:
        brokers = ", ".join(self._config.brokers)
        return f"log.brokers: {brokers} cannot be read: {why}; start them, or mend brokers and client"


def _read_at(consumer: Any, wanted: dict[Place, set[int]]) -> list[Any]:
    """The messages at these positions; those that Kafka has deleted are missing."""
    for place, positions in list(wanted.items()):
        low, high = consumer.get_watermark_offsets(kafka.TopicPartition(*place), timeout=limits.KAFKA_SECONDS)
        wanted[place] = {position for position in positions if low <= position < high}
    found = []
    left = {place: positions for place, positions in wanted.items() if positions}
    consumer.assign([kafka.TopicPartition(*place, min(positions)) for place, positions in left.items()])
    give_up = time.monotonic() + limits.KAFKA_SECONDS
    while left and time.monotonic() < give_up:
        for message in consumer.consume(limits.KAFKA_FETCH_MESSAGES, _WAIT_SECONDS):
            place = (message.topic(), message.partition())
            if message.error() is not None or place not in left:
                continue
            if message.offset() in left[place]:
                found.append(message)
            left[place] = {position for position in left[place] if position > message.offset()}
            if not left[place]:
                del left[place]
    consumer.unassign()
    return found
