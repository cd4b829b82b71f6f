"""What the stages agree on: one page, no behaviour.

A request of OTLP bytes travels `receive -> engine -> log -> deliver`; the numbers the engine took from it go to
`measure`, and from there to `alert`. Stages know each other only through the types below.

Life of a component: it is constructed (no I/O), `start`ed once, used, and `shutdown` once. `start` either returns
with the component ready or raises; `shutdown` is safe when `start` never ran and when it is called twice. Nothing is
ever re-armed: a restart is a new object. Long work runs in tasks that the component itself cancels.

Ownership: payloads are immutable `bytes`; whoever holds one may keep it, nobody edits it in place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from otel_llm_collector.span_conditions import NoticedSpan, SpanCondition


class Signal(StrEnum):
    """The three OTLP signals, spelled as in the OTLP/HTTP path."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"

    @property
    def items(self) -> str:
        """The word otelcol's own metrics use for one item of this signal."""
        return {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}[self.value]


# A series the engine measured: (metric name in the registry, label values in the order of the metric's attributes).
SeriesKey = tuple[str, tuple[str, ...]]


@dataclass(slots=True)
class HistogramDelta:
    """Observations of one request for one series; `counts` has one more entry than the metric has boundaries."""

    counts: list[int]
    sum: float = 0.0


@dataclass(frozen=True, slots=True)
class Reject:
    """Items of a request that were refused while the rest was kept."""

    reason: str  # an id for counters and tests, e.g. "invalid_trace_id"
    count: int
    message: str  # one sentence for the sender: what is wrong, the value seen, what would be right


def nothing_to_keep() -> None:
    """For outcomes that nothing is to be remembered of."""


@dataclass(slots=True)
class Outcome:
    """What one pass of the engine over one request produced."""

    payload: bytes  # the processed Export*ServiceRequest; b"" when nothing was accepted
    accepted: int  # spans, metric points or log records in `payload`
    rejects: list[Reject] = field(default_factory=list)
    counters: dict[SeriesKey, float] = field(default_factory=dict)
    histograms: dict[SeriesKey, HistogramDelta] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)  # oddities that were kept, counted by reason
    noticed: list[NoticedSpan] = field(default_factory=list)  # spans that meet a condition of `Engine.watch`
    kept: Callable[[], None] = field(
        default=nothing_to_keep, compare=False
    )  # to be called once the payload is in the log

    @property
    def refused(self) -> int:
        """Items that were refused."""
        return sum(reject.count for reject in self.rejects)


class Engine(Protocol):
    """One pass over the bytes of one request. Thread-safe; keeps no reference to the request.

    Raises `errors.MalformedRequest` when the bytes are not such a request at all; nothing of it is kept then. `watch`
    says which spans it notices; it may be set at any time.
    """

    watch: tuple[SpanCondition, ...]

    def process(self, signal: Signal, request: bytes) -> Outcome: ...


class Intake(Protocol):
    """The receivers' only way in: admission, engine, log.

    `reserve` holds memory for a request and raises `errors.Retryable` when there is no room; `accept` processes and
    keeps one request and returns what was refused of it; `answered` counts how a request ended, once for each.
    """

    def reserve(self, size: int) -> AbstractContextManager[None]: ...

    async def accept(
        self, signal: Signal, request: bytes, *, transport: str, already_rejected: Sequence[Reject] = ()
    ) -> list[Reject]: ...

    def answered(self, signal: Signal, transport: str, error: Exception | None) -> None: ...


class Measurements(Protocol):
    """Where the engine's numbers go once their request is kept."""

    def record(self, counters: Mapping[SeriesKey, float], histograms: Mapping[SeriesKey, HistogramDelta]) -> None: ...


@dataclass(frozen=True, slots=True)
class Record:
    """One processed request in the log."""

    offset: int
    signal: Signal
    payload: bytes
    items: int
    appended_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a reader stands in the log."""

    committed: int  # everything below is done
    end: int  # the offset that the next record gets
    unread_bytes: int  # of the records that it has not read yet


class Log(Protocol):
    """An append-only log of processed requests with one committed offset per reader.

    `append` returns when the request is kept, which is when its sender is acknowledged; it raises `errors.Retryable`
    when there is no room. `read` yields records from the reader's position on and waits at the end. `seal` ends that:
    nothing more is appended, and `read` ends once everything has been read; `shutdown` seals, and closes what is open.
    `commit(reader, offset)` says that everything below `offset` is done; what every reader has committed may go. With
    a `durable` log, what a reader has not committed is read again after the next start. `fetch` gives records again
    that a reader has read and not committed; what has left the log meanwhile is missing in its answer.
    """

    @property
    def durable(self) -> bool: ...

    @property
    def shared(self) -> bool:
        """Several collectors append to it and share each reader's records.

        Offsets then only tell records apart, records come in order within a part of the log only, what was appended
        here may be read elsewhere, and what waits is not known as items.
        """
        ...

    async def start(self) -> None: ...
    async def shutdown(self) -> None: ...
    def seal(self) -> None: ...
    async def append(self, signal: Signal, payload: bytes, items: int) -> int: ...
    def read(self, reader: str) -> AsyncIterator[Record]: ...
    async def commit(self, reader: str, offset: int) -> None: ...
    async def fetch(self, offsets: Sequence[int]) -> list[Record]: ...

    def take_lost(self, reader: str) -> dict[Signal, int]:
        """Items that went before `reader` had read them, since this was last asked."""
        ...

    def backlog(self, reader: str) -> dict[Signal, int]:
        """Items that wait for `reader` to read them."""
        ...

    def standing(self, reader: str) -> Standing: ...


@dataclass(frozen=True, slots=True)
class Range:
    """Which part of a log: from an offset or a time (seconds since the epoch), up to another; ends excluded."""

    first: int = 0
    since: float | None = None
    end: int = 1 << 62
    until: float | None = None


class History(Protocol):
    """What a log holds, for reading beside whoever writes it; blocking.

    `records` gives those of a part of it, some at a time, up to where the log ends when it is called.
    """

    def records(self, part: Range) -> Iterator[list[Record]]: ...
    def fetch(self, offsets: Sequence[int]) -> list[Record]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a destination is asked to send: one request of one signal, already filtered, shaped and split."""

    signal: Signal
    payload: bytes
    items: int
    headers: Mapping[str, str] = field(default_factory=dict)  # of this request, besides those of its destination


@dataclass(frozen=True, slots=True)
class Receipt:
    """A destination's answer to a parcel it took, partial success included."""

    refused: int = 0  # items the backend said it refused; never retried
    message: str = ""


class Destination(Protocol):
    """Sends to one backend, and knows nothing else: no queue, no retry, no counters.

    It may be asked for several sends at once.

    `send` returns a `Receipt`, or raises `errors.Permanent` (the same parcel will always fail) or
    `errors.Retryable(after=seconds or None)`.
    """

    async def start(self) -> None: ...
    async def shutdown(self) -> None: ...
    async def send(self, parcel: Parcel) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class Notification:
    """One alert as Alertmanager's v2 API takes it; times in seconds since the epoch."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: float
    ends_at: float
    generator_url: str = ""


class Notifier(Protocol):
    """Tells somebody about alerts, and knows nothing else: no retry, no counters.

    `notify` is given what is due: alerts that fire, and alerts that are over (`ends_at` has passed). It returns when
    all of it was taken, and raises any error otherwise; it is then asked again with everything.
    """

    async def start(self) -> None: ...
    async def shutdown(self) -> None: ...
    async def notify(self, notifications: Sequence[Notification]) -> None: ...
