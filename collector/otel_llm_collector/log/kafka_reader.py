"""One reader of the Kafka log: a consumer group of its own, read ahead by a bound, committed after success.

The consumer lives in a thread. What it has read waits in a buffer for the reader; when the buffer is full the
partitions are paused, and the consumer keeps polling so that its group keeps it. When partitions go to another member,
what is done is committed, what only waits here is forgotten, and the other member reads it.

A record's offset says where it lies: Kafka's offset, the partition and the signal, in an even number; the number after
it stands for "everything up to this record".
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import confluent_kafka as kafka

from otel_llm_collector import limits
from otel_llm_collector.contract import Record, Signal, Standing
from otel_llm_collector.log.kafka_messages import count

logger = logging.getLogger(__name__)

SIGNALS = tuple(Signal)
ITEMS = "otel_llm.items"  # header: how many items the message holds
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 1.0
_ASK_SECONDS = 2.0
_BATCH = 64
_MILLI = 1000.0
_UNKNOWN = -1
_SIGNAL_BITS, _PARTITION_BITS = 2, 16

Place = tuple[str, int]  # topic and partition


def encode(signal: Signal, partition: int, offset: int) -> int:
    """The record's offset in our log."""
    lane = (partition << _SIGNAL_BITS) | SIGNALS.index(signal)
    return ((offset << (_PARTITION_BITS + _SIGNAL_BITS)) | lane) << 1


def decode(offset: int) -> tuple[Signal, int, int]:
    """Signal, partition and Kafka's offset."""
    lane = (offset >> 1) & ((1 << (_PARTITION_BITS + _SIGNAL_BITS)) - 1)
    signal = SIGNALS[lane & ((1 << _SIGNAL_BITS) - 1)]
    return signal, lane >> _SIGNAL_BITS, offset >> (_PARTITION_BITS + _SIGNAL_BITS + 1)


def record(message: Any, signals: Mapping[str, Signal]) -> Record:
    """A Kafka message as a record of our log."""
    signal = signals[message.topic()]
    said = dict(message.headers() or ()).get(ITEMS, b"")
    items = int(said) if said and said.isdigit() else count(signal, message.value() or b"")
    _, milliseconds = message.timestamp()
    offset = encode(signal, message.partition(), message.offset())
    return Record(offset, signal, message.value() or b"", items, max(0, milliseconds) / _MILLI)


class KafkaReader:
    """See the module. `signals` maps each topic to its signal."""

    def __init__(self, name: str, properties: Mapping[str, Any], signals: Mapping[str, Signal]) -> None:
        self._name = name
        self._signals = dict(signals)
        self._properties = dict(properties)
        self._consumer = kafka.Consumer(self._properties)
        self._lock = threading.Lock()  # of everything below; held for moments
        self._buffer: deque[Record] = deque()
        self._buffer_bytes = 0
        self._read: deque[int] = deque()  # handed out and not committed, in the order of reading
        self._next: dict[Place, int] = {}  # the offset that is expected next
        self._done: dict[Place, int] = {}  # everything below is done
        self._changed: set[Place] = set()  # done further than the consumer knows
        self._high: dict[Place, int] = {}  # where the partitions end, as last heard
        self._lost: dict[Signal, int] = {}
        self._paused = False
        self._end: dict[Place, int] | None = None  # once sealed: read up to here
        self._sealed = threading.Event()
        self._stopping = threading.Event()
        self._arrived = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=f"log-{name}", daemon=True)
        self._finished = False
        self._looked = 0.0

    def start(self) -> None:
        """Join the group and begin to read."""
        self._consumer.subscribe(
            list(self._signals), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )
        self._thread.start()

    def seal(self) -> None:
        """Read to where the log ends now, and no further."""
        self._sealed.set()

    async def stop(self) -> None:
        """Commit what is done and leave the group."""
        self._stopping.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    async def read(self) -> AsyncIterator[Record]:
        """Records as they come; ends once sealed and everything has been read."""
        while True:
            with self._lock:
                found = self._buffer.popleft() if self._buffer else None
                if found is not None:
                    self._buffer_bytes -= len(found.payload)
                    self._read.append(found.offset)
                elif self._finished:
                    return
                else:
                    self._arrived.clear()
            if found is None:
                await self._arrived.wait()
            else:
                yield found

    def commit(self, offset: int) -> None:
        """Everything read before the record at `offset` is done; an odd offset includes the record before it."""
        with self._lock:
            last = offset & ~1
            if last not in self._read:
                return
            while self._read:
                if self._read[0] == last and not offset & 1:
                    break
                done = self._read.popleft()
                signal, partition, position = decode(done)
                place = self._place(signal, partition)
                self._done[place] = max(self._done.get(place, 0), position + 1)
                self._changed.add(place)
                if done == last:
                    break

    def take_lost(self) -> dict[Signal, int]:
        """Messages that Kafka had deleted before they were read, since this was last asked."""
        with self._lock:
            lost, self._lost = self._lost, {}
        return lost

    def standing(self) -> Standing:
        """In messages over the partitions that are ours: done, and there."""
        with self._lock:
            places = dict(self._next)
            done = sum(self._done.get(place, max(position, 0)) for place, position in places.items())
            unread = self._buffer_bytes
            end = sum(max(self._high.get(place, 0), position, 0) for place, position in places.items())
        return Standing(done, end, unread)

    # in the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
            except kafka.KafkaException as error:
                logger.warning("log: reader %s: %s", self._name, error)
                time.sleep(_POLL_SECONDS)
            except Exception:
                logger.exception("log: reader %s failed on what Kafka gave it; going on", self._name)
                time.sleep(_POLL_SECONDS)
        self._store()
        self._consumer.close()

    def _step(self) -> None:
        """Read some; at the bound, pause and only poll. Only this thread talks to the consumer."""
        self._store()
        with self._lock:
            full = self._buffer_bytes > limits.KAFKA_READ_AHEAD_BYTES
        if full != self._paused:
            self._paused = full
            (self._consumer.pause if full else self._consumer.resume)(self._consumer.assignment())
        for message in self._consumer.consume(1 if full else _BATCH, _POLL_SECONDS):
            if message.error() is not None:
                logger.warning("log: reader %s: %s", self._name, message.error())
            else:
                self._take(message)
        if self._sealed.is_set() and not self._finished:
            self._look_for_end()

    def _take(self, message: Any) -> None:
        found = record(message, self._signals)
        place = (message.topic(), message.partition())
        with self._lock:
            expected = self._next.get(place)
            if expected is None or message.offset() < expected:
                return  # of a partition that has just gone, or twice
            if expected >= 0 and message.offset() > expected:
                gap = message.offset() - expected
                self._lost[found.signal] = self._lost.get(found.signal, 0) + gap
                logger.warning("log: reader %s: Kafka had deleted %d messages of %s", self._name, gap, place)
            self._next[place] = message.offset() + 1
            self._buffer.append(found)
            self._buffer_bytes += len(found.payload)
        self._loop.call_soon_threadsafe(self._arrived.set)

    def _look_for_end(self) -> None:
        """Whether everything has been read that was there when the log was sealed."""
        if not self._next:
            return  # the group has not given us anything yet
        if self._end is None:
            probe = kafka.Consumer(self._properties)  # with connections of its own, which no long poll holds up
            try:
                self._end = {
                    place: probe.get_watermark_offsets(kafka.TopicPartition(*place), timeout=limits.KAFKA_SECONDS)[1]
                    for place in list(self._next)
                }
            finally:
                probe.close()
        with self._lock:
            self._finished = all(max(self._next.get(place, end), 0) >= end for place, end in self._end.items())
        if self._finished:
            self._loop.call_soon_threadsafe(self._arrived.set)

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        """Partitions are ours: go on where the group has committed.

        Where that is, is asked only to notice what has been deleted meanwhile; not knowing it costs no more than that.
        """
        try:
            known = consumer.committed(partitions, timeout=limits.KAFKA_SECONDS)
        except kafka.KafkaException as error:
            logger.info("log: reader %s: its committed offsets are not known now: %s", self._name, error)
            known = []
        committed = {(one.topic, one.partition): one.offset for one in known}
        with self._lock:
            for one in partitions:
                place = (one.topic, one.partition)
                self._next[place] = max(committed.get(place, _UNKNOWN), _UNKNOWN)
            self._end = None
        self._paused = False

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        """Partitions go to another member: commit what is done, forget what only waits here."""
        stored = []
        with self._lock:
            gone = {(one.topic, one.partition) for one in partitions}
            for place in gone:
                self._next.pop(place, None)
                if place in self._done:
                    stored.append(kafka.TopicPartition(*place, self._done[place]))
            kept = [one for one in self._buffer if self._place(*decode(one.offset)[:2]) not in gone]
            self._buffer = deque(kept)
            self._buffer_bytes = sum(len(one.payload) for one in kept)
            self._end = None
        if stored:
            try:
                consumer.commit(offsets=stored, asynchronous=False)
            except kafka.KafkaException as error:
                logger.info("log: reader %s: not committed before a rebalance: %s", self._name, error)

    def _store(self) -> None:
        """Tell the consumer what is done; it commits about once a second, and when it closes."""
        with self._lock:
            done = [kafka.TopicPartition(*one, self._done[one]) for one in self._changed if one in self._next]
            self._changed.clear()
        if done:
            try:
                self._consumer.store_offsets(offsets=done)
            except kafka.KafkaException as error:  # of a partition that has just gone; its next member reads again
                logger.info("log: reader %s: not committed: %s", self._name, error)
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        for place in list(self._next):
            _, high = self._consumer.get_watermark_offsets(kafka.TopicPartition(*place), cached=True)
            with self._lock:
                self._high[place] = high

    def _place(self, signal: Signal, partition: int) -> Place:
        topic = next(topic for topic, one in self._signals.items() if one is signal)
        return topic, partition
