"""Whole traces for a destination: spans wait in the log until their trace is whole, then it is judged and sent.

A record whose spans are waited for stays uncommitted: after a crash it is read again. It is done when each of its spans
was sent or dropped. Traces that go on are read from the log again, packed into requests without cutting a trace where
it fits, and pass the steps of `chain`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from otel_llm_collector import limits
from otel_llm_collector.contract import Parcel, Record, Signal
from otel_llm_collector.deliver.aside import aside
from otel_llm_collector.deliver.books import Books, Entry
from otel_llm_collector.deliver.filter import Filter
from otel_llm_collector.deliver.otlp import SHAPES, walk
from otel_llm_collector.deliver.retry import Timing
from otel_llm_collector.deliver.sampling import Sampler
from otel_llm_collector.deliver.split import Builder
from otel_llm_collector.deliver.summary import Summaries, TraceSummary, feedback_of, may_have_feedback
from otel_llm_collector.deliver.traces import HeldTrace, Traces, WholeTraceSettings

logger = logging.getLogger(__name__)

_SHAPE = SHAPES[Signal.TRACES]
_BATCH_TRACES = 256
_BATCH_BYTES = 16 * limits.MIB  # read from the log at one time

Parts = dict[int, int]  # spans by the offset of their record


@dataclass(slots=True)
class _Pinned:
    """A record of which spans are waited for or under way."""

    entry: Entry
    size: int
    held: int  # spans not released yet
    open: int  # spans not sent or dropped yet


@dataclass(slots=True)
class _Pack:
    """One request in the making."""

    payloads: list[bytes] = field(default_factory=list)
    parts: Tally[int] = field(default_factory=Tally)
    size: int = 0

    def add(self, payload: bytes, parts: Iterable[tuple[int, int]]) -> None:
        self.payloads.append(payload)
        self.size += len(payload)
        for offset, spans in parts:
            self.parts[offset] += spans

    def parcel(self) -> Parcel:
        """OTLP requests one after the other are one OTLP request."""
        return Parcel(Signal.TRACES, b"".join(self.payloads), self.parts.total())


class _Packing:
    """Puts the spans of several traces into requests of about `max_bytes`, each trace whole in one where it fits."""

    def __init__(self, parts: dict[bytes, int], max_bytes: int) -> None:
        self._waiting = parts  # how many more parts of each trace are to come
        self._max_bytes = max_bytes
        self._gathered = {trace_id: _Pack() for trace_id in parts}
        self.together = _Pack()  # whole traces, waiting for company

    def add(self, trace_id: bytes, payload: bytes | None, offset: int, spans: int) -> Iterator[_Pack]:
        """One more part of a trace, or None where it is missing; yields the requests that are full."""
        pack = self._gathered[trace_id]
        if payload is not None:
            pack.add(payload, [(offset, spans)])
        self._waiting[trace_id] -= 1
        if pack.size >= self._max_bytes:  # too large for one request anyway
            self._gathered[trace_id] = _Pack()
            yield pack
        elif not self._waiting[trace_id] and pack.parts:
            if self.together.parts and self.together.size + pack.size > self._max_bytes:
                yield self.together
                self.together = _Pack()
            self.together.add(b"".join(pack.payloads), pack.parts.items())
            del self._gathered[trace_id]


class Assembler:
    """Holds the traces of one destination.

    `room` waits until one more request may be sent, `launch` sends it, `finish` ends a record.
    """

    def __init__(
        self,
        name: str,
        settings: WholeTraceSettings,
        sampler: Sampler | None,
        chosen: Filter | None,
        summaries: Summaries,
        pack_bytes: int,
        books: Books,
        fetch: Callable[[Sequence[int]], Awaitable[list[Record]]],
        room: Callable[[], Awaitable[object]],
        launch: Callable[[Parcel, Entry, Callable[[], Awaitable[None]]], None],
        finish: Callable[[int], Awaitable[None]],
        timing: Timing,
    ) -> None:
        self._name = name
        self._settings = settings
        self._sampler = sampler
        self._chosen = chosen
        self._summaries = summaries
        self._pack_bytes = pack_bytes
        self._books = books
        self._fetch = fetch
        self._room = room
        self._launch = launch
        self._finish = finish
        self._timing = timing
        self._traces = Traces(settings)
        self._pinned: dict[int, _Pinned] = {}
        self._held_bytes = 0
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()  # held while `run` lets traces go
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Let traces go on when they are whole."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Let no more traces go on by themselves; those that are on their way are."""
        if self._running is not None:
            async with self._turn:
                self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    def cancel(self) -> asyncio.Task[None] | None:
        """Stop at once; what is held stays in `entries`."""
        if self._running is not None:
            self._running.cancel()
        return self._running

    async def take(self, record: Record, entry: Entry) -> None:
        """Hold the spans of a record; waits while there is more than may be held."""
        size = len(record.payload)
        self._pinned[record.offset] = _Pinned(entry, size, record.items, record.items)
        self._held_bytes += size
        parcel = Parcel(record.signal, record.payload, record.items)
        try:
            found = await aside(record.payload, lambda: self._survey(parcel))
        except Exception:
            logger.exception("exporters.%s: failed on a request of %d spans", self._name, record.items)
            await self._drop([(record.offset, record.items)], "failed", intentional=False)
            return
        now = self._timing.clock()
        for trace_id, summary in found.items():
            self._traces.add(trace_id, (record.offset, summary.spans), summary, now)
        self._arrived.set()
        left = sum(summary.spans for summary in found.values())
        await self._drop([(record.offset, record.items - left)], "filtered", intentional=True)
        while len(self._traces) > self._settings.max_traces or (
            self._held_bytes > self._settings.max_bytes and len(self._traces)
        ):
            await self._release(self._traces.take_oldest(_BATCH_TRACES))

    def hear(self, record: Record) -> None:
        """Feedback and evaluations that came as log records."""
        if self._sampler is None or record.signal is not Signal.LOGS or not may_have_feedback(record.payload):
            return
        shape = SHAPES[Signal.LOGS]
        now = self._timing.clock()
        for _, _, one in walk(shape.request.FromString(record.payload), shape):
            summary = feedback_of(one)
            if summary is not None and one.trace_id:
                self._traces.add(one.trace_id, None, summary, now)
                self._arrived.set()

    async def _run(self) -> None:
        while True:
            due = self._traces.next_due()
            if due is None:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._timing.sleep(max(0.05, due - self._timing.clock()))
            async with self._turn:
                await self._release(self._traces.take_due(self._timing.clock()))

    async def flush(self) -> None:
        """Let every trace go on, whole or not."""
        while len(self._traces):
            await self._release(self._traces.take_oldest(_BATCH_TRACES))

    def entries(self) -> list[Entry]:
        """The entries of the spans that are held."""
        return [pinned.entry for pinned in self._pinned.values() if pinned.entry.open]

    def details(self) -> dict[str, int]:
        """What is held, for /health/detailed."""
        return {"traces": len(self._traces), "bytes": self._held_bytes}

    def _survey(self, parcel: Parcel) -> dict[bytes, TraceSummary]:
        """What the wanted spans in `parcel` say of each trace."""
        left = self._chosen.apply(parcel) if self._chosen is not None else parcel
        found = self._summaries(left.payload)
        if self._sampler is not None:
            self._sampler.mark(left.payload, found)
        return found

    # letting go

    async def _release(self, traces: list[HeldTrace]) -> None:
        kept: list[HeldTrace] = []
        for trace in traces:
            if self._keep(trace):
                kept.append(trace)
            else:
                await self._drop(trace.parts, "sampled", intentional=True)
        for batch in self._batches(kept):
            await self._send(batch)

    def _keep(self, trace: HeldTrace) -> bool:
        """The verdict; spans that come late follow the one there was."""
        if self._sampler is None or not trace.parts:
            return True
        if trace.kept is None:
            policy = self._sampler.decide(trace.trace_id, trace.summary, self._timing.clock())
            trace.kept = policy is not None
            self._books.sampled(self._name, policy)
        self._traces.decided(trace.trace_id, kept=trace.kept)
        return trace.kept

    def _batches(self, traces: list[HeldTrace]) -> Iterable[list[HeldTrace]]:
        """Traces in batches whose records are not too large to be read together."""
        batch: list[HeldTrace] = []
        offsets: set[int] = set()
        size = 0
        for trace in traces:
            more = {offset for offset, _ in trace.parts} - offsets
            added = sum(self._pinned[offset].size for offset in more)
            if batch and size + added > _BATCH_BYTES:
                yield batch
                batch, offsets, size = [], set(), 0
                more = {offset for offset, _ in trace.parts}
                added = sum(self._pinned[offset].size for offset in more)
            batch.append(trace)
            offsets |= more
            size += added
        if batch:
            yield batch

    async def _send(self, traces: list[HeldTrace]) -> None:
        """Read the spans of `traces` again and ship them, several traces to a request."""
        wanted: dict[int, dict[bytes, int]] = {}
        for trace in traces:
            for offset, spans in trace.parts:
                wanted.setdefault(offset, {})[trace.trace_id] = spans
        packing = _Packing({trace.trace_id: len(trace.parts) for trace in traces}, self._pack_bytes)
        for offsets in self._chunks(sorted(wanted)):
            records = {record.offset: record for record in await self._fetch(offsets)}
            for offset in offsets:
                found, without = await self._found(records.get(offset), wanted[offset])
                for trace_id, spans in wanted[offset].items():
                    if trace_id not in found:
                        await self._drop([(offset, spans)], without, intentional=False)
                    for pack in packing.add(trace_id, found.get(trace_id), offset, spans):
                        await self._ship(pack)
        if packing.together.parts:
            await self._ship(packing.together)

    def _chunks(self, offsets: list[int]) -> Iterable[list[int]]:
        chunk: list[int] = []
        size = 0
        for offset in offsets:
            chunk.append(offset)
            size += self._pinned[offset].size
            if size >= _BATCH_BYTES:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    async def _found(self, record: Record | None, traces: dict[bytes, int]) -> tuple[dict[bytes, bytes], str]:
        """The spans of each of `traces` in `record` as requests, and the reason why those missing are."""
        if record is None:
            return {}, "log_overflow"
        try:
            return await aside(record.payload, lambda: _picked(record, traces, self._chosen)), "failed"
        except Exception:
            logger.exception("exporters.%s: failed on a request of %d spans", self._name, record.items)
            return {}, "failed"

    async def _ship(self, pack: _Pack) -> None:
        await self._room()
        parcel = pack.parcel()
        entry = self._books.bundle(self._name, parcel.signal, parcel.items)
        for offset, spans in pack.parts.items():
            self._unhold(offset, spans).entry.open -= spans

        async def done() -> None:
            for offset, spans in pack.parts.items():
                await self._settle(offset, spans)

        self._launch(parcel, entry, done)

    async def _drop(self, parts: Iterable[tuple[int, int]], reason: str, *, intentional: bool) -> None:
        for offset, spans in parts:
            if not spans:
                continue
            self._unhold(offset, spans).entry.dropped(spans, reason, intentional=intentional)
            await self._settle(offset, spans)

    def _unhold(self, offset: int, spans: int) -> _Pinned:
        pinned = self._pinned[offset]
        pinned.held -= spans
        if not pinned.held:
            self._held_bytes -= pinned.size
        return pinned

    async def _settle(self, offset: int, spans: int) -> None:
        pinned = self._pinned[offset]
        pinned.open -= spans
        if not pinned.open:
            del self._pinned[offset]
            await self._finish(offset)


def _picked(record: Record, traces: dict[bytes, int], chosen: Filter | None) -> dict[bytes, bytes]:
    """The spans of each of `traces` in `record`, a request each; its very bytes when nothing else is in it."""
    parcel = Parcel(record.signal, record.payload, record.items)
    if chosen is not None:
        parcel = chosen.apply(parcel)
    if len(traces) == 1:
        ((trace_id, spans),) = traces.items()
        if spans == parcel.items:
            return {trace_id: parcel.payload}
    builders: dict[bytes, Builder] = {}
    for resource, scope, span in walk(_SHAPE.request.FromString(parcel.payload), _SHAPE):
        if span.trace_id in traces:
            builders.setdefault(span.trace_id, Builder(_SHAPE)).add(resource, scope, span, 0, 1)
    return {trace_id: builder.parcel(parcel).payload for trace_id, builder in builders.items()}
