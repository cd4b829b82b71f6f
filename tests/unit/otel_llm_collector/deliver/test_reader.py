"""The reader: what is committed, when, and that the books balance whatever a destination does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.reader import Progress, Reader, Readers
from otel_llm_collector.deliver.retry import Timing
from otel_llm_collector.deliver.settings import DestinationSettings
from otel_llm_collector.errors import Permanent, StartError
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig
from prometheus_client import CollectorRegistry


@given(st.permutations(range(12)))
def test_a_commit_never_passes_a_record_under_way(order: list[int]) -> None:
    """In whatever order records end, everything below the returned offset has ended, and at the end all is done."""
    progress = Progress()
    for number in range(12):
        progress.begin(number * 3)
    ended = set()
    commit = 0
    for number in order:
        commit = progress.end(number * 3)
        ended.add(number * 3)
        assert all(offset in ended for offset in range(0, 36, 3) if offset < commit)
    assert commit == 34


class Scripted:
    """A destination that does with each parcel what `act` does."""

    def __init__(self, act: Callable[[Parcel], Awaitable[Receipt]]) -> None:
        self.act = act
        self.stopped = False

    async def start(self) -> None: ...

    async def shutdown(self) -> None:
        self.stopped = True

    async def send(self, parcel: Parcel) -> Receipt:
        return await self.act(parcel)


class Desk:
    """One reader on a memory log."""

    def __init__(self, act: Callable[[Parcel], Awaitable[Receipt]], **settings: object) -> None:
        self.registry = CollectorRegistry()
        self.settings = DestinationSettings.model_validate({"type": "scripted", "merge_bytes": 0, **settings})
        self.books = Books({"d": frozenset(self.settings.signals)}, self.registry)
        self.log = MemoryLog(MemoryLogConfig(max_bytes=1024), ["d"])
        timing = Timing(chance=lambda: 0.5, sleep=lambda _: asyncio.sleep(0))
        self.reader = Reader("d", self.log, Scripted(act), self.settings, self.books, timing, shutdown_seconds=0.05)

    async def put(self, items: int, signal: Signal = Signal.TRACES, size: int = 10) -> None:
        await self.log.append(signal, b"x" * size, items)
        self.books.kept(signal, items)

    async def run(self, *items: int) -> None:
        await self.reader.start()
        for one in items:
            await self.put(one)
        await self.log.shutdown()
        await self.reader.shutdown()

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, {"exporter": "d", **labels}) or 0.0

    def dropped(self, reason: str) -> float:
        return self.value("otel_llm_exporter_dropped_spans_total", reason=reason, intentional="false")

    @property
    def sent(self) -> float:
        return self.value("otelcol_exporter_sent_spans_total")


async def take(_: Parcel) -> Receipt:
    return Receipt()


def test_everything_sent_is_committed() -> None:
    """After a clean end nothing waits and the log holds nothing for the reader."""
    desk = Desk(take)
    asyncio.run(desk.run(1, 2, 3))
    assert desk.sent == 6
    assert desk.value("otel_llm_exporter_waiting_spans") == 0


def test_a_bug_in_a_destination_costs_its_record_only() -> None:
    """An exception that no destination should raise is counted as failed, and the reader goes on."""

    async def act(parcel: Parcel) -> Receipt:
        if parcel.items == 2:
            raise ZeroDivisionError
        return Receipt()

    desk = Desk(act)
    asyncio.run(desk.run(1, 2, 3))
    assert (desk.sent, desk.dropped("failed")) == (4, 2)
    assert "ZeroDivisionError" in str(desk.reader.details()["last_error"])


def test_a_backend_cannot_refuse_more_than_it_was_sent() -> None:
    """Absurd partial-success counts are cut to the size of the request, so that the books still balance."""

    async def act(parcel: Parcel) -> Receipt:
        return Receipt(refused=-5 if parcel.items == 1 else 1000)

    desk = Desk(act)
    asyncio.run(desk.run(1, 4))
    assert (desk.sent, desk.dropped("partial_success")) == (1, 4)


@pytest.mark.parametrize("max_in_flight", [1, 3])
def test_no_more_requests_at_once_than_asked_for(max_in_flight: int) -> None:
    """The number of concurrent sends reaches `max_in_flight` and never passes it."""
    running = most = 0

    async def act(_: Parcel) -> Receipt:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return Receipt()

    desk = Desk(act, max_in_flight=max_in_flight)
    asyncio.run(desk.run(*[1] * 20))
    assert most == max_in_flight
    assert desk.sent == 20


def test_a_reader_that_is_behind_sends_several_requests_as_one() -> None:
    """What came while a request was under way goes together, of one signal each, below the size; all is committed."""
    seen: list[Parcel] = []
    go_on = asyncio.Event()

    async def act(parcel: Parcel) -> Receipt:
        seen.append(parcel)
        await go_on.wait()
        return Receipt()

    async def run() -> None:
        desk = Desk(act, max_in_flight=1, merge_bytes=50)
        await desk.reader.start()
        await desk.put(1)
        for _ in range(10):
            await asyncio.sleep(0)
        for items in (2, 3):
            await desk.put(items)
        await desk.put(4, Signal.LOGS)
        for _ in range(12):
            await desk.put(1)
        go_on.set()
        await desk.log.shutdown()
        await desk.reader.shutdown()
        assert [(parcel.signal, parcel.items) for parcel in seen] == [
            (Signal.TRACES, 1), (Signal.TRACES, 5), (Signal.LOGS, 4), (Signal.TRACES, 5), (Signal.TRACES, 5),
            (Signal.TRACES, 2),
        ]  # fmt: skip
        assert all(len(parcel.payload) <= 50 for parcel in seen)
        assert desk.sent == 1 + 5 + 12
        assert desk.log.standing("d").committed == 16
        assert desk.value("otel_llm_exporter_waiting_spans") == 0

    asyncio.run(run())


def test_what_was_read_together_is_given_up_together() -> None:
    """At the end of the time to shut down nothing that was read ahead is forgotten in the books."""

    async def act(_: Parcel) -> Receipt:
        await asyncio.Event().wait()
        return Receipt()

    async def run() -> None:
        desk = Desk(act, max_in_flight=2, merge_bytes=35)
        await desk.reader.start()
        for number in range(15):
            await desk.put(1, Signal.LOGS if number % 4 == 3 else Signal.TRACES)
        await desk.log.shutdown()
        await desk.reader.shutdown()
        assert desk.dropped("shutdown") == 12
        assert desk.value("otel_llm_exporter_waiting_spans") == 0
        assert desk.value("otel_llm_exporter_waiting_log_records") == 0

    asyncio.run(run())


def test_what_hangs_at_the_end_is_given_up_and_counted() -> None:
    """Requests under way, one being taken up and those still in the log are all counted as dropped at shutdown."""

    async def act(_: Parcel) -> Receipt:
        await asyncio.Event().wait()
        return Receipt()

    desk = Desk(act, max_in_flight=2)
    asyncio.run(desk.run(1, 2, 3, 4, 5))
    assert desk.dropped("shutdown") == 15
    assert desk.value("otel_llm_exporter_waiting_spans") == 0


def test_a_record_just_taken_up_at_the_end_is_counted_too() -> None:
    """A request whose task never got to run before the end is not forgotten."""

    async def act(_: Parcel) -> Receipt:
        await asyncio.Event().wait()
        return Receipt()

    async def run() -> None:
        desk = Desk(act)
        await desk.reader.start()
        desk.reader._shutdown_seconds = 0
        await desk.put(3)
        await desk.log.shutdown()
        await asyncio.sleep(0)
        await desk.reader.shutdown()
        assert desk.dropped("shutdown") == 3

    asyncio.run(run())


def test_other_signals_pass_by() -> None:
    """A destination of traces never sees logs, does not count them, and does not keep them in the log."""
    seen: list[Parcel] = []

    async def act(parcel: Parcel) -> Receipt:
        seen.append(parcel)
        return Receipt()

    async def run() -> None:
        desk = Desk(act, signals=["traces"])
        await desk.reader.start()
        await desk.put(1, Signal.LOGS)
        await desk.put(2)
        await desk.put(3, Signal.LOGS)
        await desk.log.shutdown()
        await desk.reader.shutdown()
        assert [parcel.items for parcel in seen] == [2]
        assert desk.value("otel_llm_exporter_accepted_log_records_total") == 0
        assert desk.log._bytes == 0

    asyncio.run(run())


def test_a_scrape_sees_what_the_log_has_dropped_meanwhile() -> None:
    """While the only request under way hangs, records that leave the full log are counted by the next scrape."""

    async def act(_: Parcel) -> Receipt:
        await asyncio.Event().wait()
        return Receipt()

    async def run() -> None:
        desk = Desk(act, max_in_flight=1)
        await desk.reader.start()
        for _ in range(20):
            await desk.put(1, size=100)
            await asyncio.sleep(0)
        samples = {
            sample.name: sample.value
            for family in desk.registry.collect()
            for sample in family.samples
            if sample.name.endswith(("spans", "spans_total"))
        }
        assert samples["otel_llm_exporter_dropped_spans_total"] == 9
        assert samples["otel_llm_exporter_waiting_spans"] == 11
        assert samples["otel_llm_exporter_accepted_spans_total"] == 20
        await desk.log.shutdown()
        await desk.reader.shutdown()

    asyncio.run(run())


def test_a_refusal_is_named_on_the_health_page() -> None:
    """The last error of a destination is what its backend said."""

    async def act(_: Parcel) -> Receipt:
        msg = "answered 400: no such project"
        raise Permanent(msg)

    desk = Desk(act)
    asyncio.run(desk.run(1))
    assert desk.reader.details()["last_error"] == "answered 400: no such project"


def test_when_one_destination_cannot_start_the_others_are_stopped() -> None:
    """A missing certificate file is one sentence that names the exporter, and leaves nothing running."""

    class Broken(Scripted):
        async def start(self) -> None:
            msg = "no such file: ca.pem"
            raise FileNotFoundError(msg)

    async def run() -> None:
        desk = Desk(take)
        good, bad = Scripted(take), Broken(take)
        log = MemoryLog(MemoryLogConfig(), ["a", "b"])
        books = Books({"a": frozenset(Signal), "b": frozenset(Signal)}, CollectorRegistry())
        readers = Readers(
            {
                "a": Reader("a", log, good, desk.settings, books, shutdown_seconds=0.05),
                "b": Reader("b", log, bad, desk.settings, books),
            }
        )
        with pytest.raises(StartError, match=r"exporters\.b: .*ca\.pem"):
            await readers.start()
        assert good.stopped

    asyncio.run(run())
