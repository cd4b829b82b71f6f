"""Whole traces through a reader on a log: together, once, counted, and committed only when done."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.reader import Reader
from otel_llm_collector.deliver.retry import Timing
from otel_llm_collector.deliver.settings import DestinationSettings
from otel_llm_collector.errors import Permanent
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig
from otel_llm_semconv import attributes as attr
from prometheus_client import CollectorRegistry

QUICK = {"quiet_seconds": 5, "max_seconds": 30}


class World:
    """A reader on a log in memory, with a clock that the test moves."""

    def __init__(self, *, log_bytes: int = 1 << 20, durable: bool = False, **settings: Any) -> None:
        self.now = 0.0
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.registry = CollectorRegistry()
        self.settings = DestinationSettings.model_validate({"type": "x", "whole_traces": QUICK, **settings})
        self.books = Books({"d": frozenset(self.settings.signals)}, self.registry)
        self.log = MemoryLog(MemoryLogConfig(max_bytes=log_bytes), ["d"])
        self.log.durable = durable
        self.requests: list[list[str]] = []
        self.refused: set[str] = set()
        timing = Timing(lambda: self.now, self.sleep, lambda: 0.5)
        self.reader = Reader("d", self.log, self, self.settings, self.books, timing, shutdown_seconds=1)

    async def start(self) -> None: ...
    async def shutdown(self) -> None: ...

    async def send(self, parcel: Parcel) -> Receipt:
        request = ExportTraceServiceRequest.FromString(parcel.payload)
        names = [span.name for r in request.resource_spans for s in r.scope_spans for span in s.spans]
        assert len(names) == parcel.items
        if self.refused & set(names):
            msg = "no"
            raise Permanent(msg)
        self.requests.append(names)
        return Receipt()

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, future))
        await future

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Time passes in small steps."""
        await self.settle()
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.5)
            for at, future in self.sleepers:
                if at <= self.now and not future.done():
                    future.set_result(None)
            await self.settle()

    async def put(self, *names: str, error: bool = False) -> None:
        """One request with a span for each name; its first character is its trace."""
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key=attr.SERVICE_NAME).value.string_value = "shop"
        scope = resource.scope_spans.add()
        for name in names:
            span = scope.spans.add(name=name, trace_id=name[0].encode() * 16)
            span.attributes.add(key="kind").value.string_value = name[-1]
            if error:
                span.status.code = 2
        await self.log.append(Signal.TRACES, request.SerializeToString(), len(names))
        self.books.kept(Signal.TRACES, len(names))

    async def stop(self) -> None:
        self.log.seal()
        await self.reader.shutdown()

    def value(self, name: str, **labels: str) -> int:
        total = 0.0
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name == name and {"exporter": "d", **labels}.items() <= sample.labels.items():
                    total += sample.value
        return int(total)

    def assert_balance(self) -> None:
        accepted = self.value("otel_llm_exporter_accepted_spans_total")
        sent = self.value("otelcol_exporter_sent_spans_total")
        waiting = self.value("otel_llm_exporter_waiting_spans")
        dropped = self.value("otel_llm_exporter_dropped_spans_total")
        assert accepted == sent + waiting + dropped, (accepted, sent, waiting, dropped)

    @property
    def committed(self) -> int:
        return self.log.standing("d").committed


def test_a_trace_that_came_in_pieces_goes_in_one_request() -> None:
    """Spans of one trace from three requests arrive together, and only then are the requests committed."""

    async def run() -> None:
        world = World()
        await world.reader.start()
        await world.put("a1", "b1")
        await world.pass_time(3)
        await world.put("a2")
        await world.pass_time(3)
        assert world.requests == [["b1"]]  # quiet for 5 s; of a two more may come
        assert world.committed == 0
        await world.put("a3")
        world.assert_balance()
        await world.pass_time(6)
        assert world.requests == [["b1"], ["a1", "a2", "a3"]]
        assert world.committed == 3
        assert world.value("otel_llm_exporter_waiting_spans") == 0
        await world.stop()
        world.assert_balance()

    asyncio.run(run())


def test_small_traces_share_a_request_and_none_is_cut() -> None:
    """Traces that are whole at one time travel together, below the size of a request, each in one piece."""

    async def run() -> None:
        world = World(max_request_bytes=1024, max_in_flight=1)
        await world.reader.start()
        for trace in "abcdefghij":
            await world.put(*(f"{trace}{n}" for n in range(4)))
        await world.pass_time(6)
        await world.stop()
        assert 1 < len(world.requests) < 10
        traces = [{name[0] for name in names} for names in world.requests]
        assert Counter(trace for found in traces for trace in found) == Counter("abcdefghij")
        assert sum(map(len, world.requests)) == 40
        world.assert_balance()

    asyncio.run(run())


def test_sampling_drops_whole_traces_and_counts_them() -> None:
    """The trace with an error goes in full, the other is dropped on purpose; late spans follow their trace."""

    async def run() -> None:
        world = World(sampling={"policies": [{"name": "errors", "errors": True}]})
        await world.reader.start()
        await world.put("a1", "b1")
        await world.put("a2", error=True)
        await world.pass_time(6)
        assert world.requests == [["a1", "a2"]]
        await world.put("b2", error=True)
        await world.put("a3")
        await world.pass_time(6)
        assert world.requests == [["a1", "a2"], ["a3"]]
        assert world.value("otel_llm_exporter_dropped_spans_total", reason="sampled", intentional="true") == 2
        assert world.value("otel_llm_exporter_sampled_traces_total", decision="kept", policy="errors") == 1
        assert world.value("otel_llm_exporter_sampled_traces_total", decision="dropped") == 1
        assert world.committed == 4
        await world.stop()
        world.assert_balance()

    asyncio.run(run())


def test_feedback_in_a_log_record_keeps_its_trace() -> None:
    """A thumbs down that comes as a log record while the trace is held decides about it; the log passes by."""

    async def run() -> None:
        policies = [{"name": "unhappy", "feedback_below": 0.5}]
        world = World(sampling={"policies": policies}, signals=["traces"])
        await world.reader.start()
        await world.put("a1", "b1")
        logs = ExportLogsServiceRequest()
        record = (
            logs.resource_logs.add()
            .scope_logs.add()
            .log_records.add(event_name="gen_ai.evaluation.result", trace_id=b"b" * 16)
        )
        record.attributes.add(key=attr.OTEL_LLM_FEEDBACK_KIND).value.string_value = "thumbs"
        record.attributes.add(key=attr.GEN_AI_EVALUATION_SCORE_VALUE).value.double_value = 0.0
        await world.log.append(Signal.LOGS, logs.SerializeToString(), 1)
        await world.pass_time(6)
        assert world.requests == [["b1"]]
        assert world.committed == 2
        await world.stop()

    asyncio.run(run())


def test_traces_are_made_of_what_the_filter_leaves() -> None:
    """Spans that are not wanted are dropped as filtered, once; the trace is sent without them."""

    async def run() -> None:
        world = World(filter={"exclude": {"attributes": {"kind": "x"}}})
        await world.reader.start()
        await world.put("a1", "ax", "b1")
        await world.put("cx")
        await world.put("a2")
        await world.pass_time(6)
        assert sorted(name for names in world.requests for name in names) == ["a1", "a2", "b1"]
        assert world.value("otel_llm_exporter_dropped_spans_total", reason="filtered") == 2
        assert world.committed == 3
        await world.stop()
        world.assert_balance()

    asyncio.run(run())


def test_too_many_traces_go_on_early() -> None:
    """Over `max_traces` the oldest are sent before they are whole; nothing is lost."""

    async def run() -> None:
        world = World(whole_traces={**QUICK, "max_traces": 3})
        await world.reader.start()
        for trace in "abcdefgh":
            await world.put(f"{trace}1")
        await world.settle()
        assert sum(map(len, world.requests)) >= 5
        await world.pass_time(6)
        assert sorted(name for names in world.requests for name in names) == [f"{trace}1" for trace in "abcdefgh"]
        await world.stop()
        world.assert_balance()

    asyncio.run(run())


def test_what_left_the_log_meanwhile_is_counted() -> None:
    """A log too small for the wait drops records under a held trace: its spans count as lost to the log."""

    async def run() -> None:
        world = World(log_bytes=1024)
        await world.reader.start()
        for number in range(40):
            await world.put(f"a{number:02}")
            await world.settle()
        await world.pass_time(6)
        lost = world.value("otel_llm_exporter_dropped_spans_total", reason="log_overflow")
        sent = sum(map(len, world.requests))
        assert lost > 0 and sent > 0 and lost + sent == 40
        await world.stop()
        world.assert_balance()

    asyncio.run(run())


def test_the_end_of_a_log_in_memory_sends_what_is_held() -> None:
    """Nothing comes any more: unfinished traces go on at once."""

    async def run() -> None:
        world = World()
        await world.reader.start()
        await world.put("a1")
        await world.settle()
        await world.stop()
        assert world.requests == [["a1"]]
        world.assert_balance()

    asyncio.run(run())


def test_the_end_of_a_durable_log_leaves_unfinished_traces_in_it() -> None:
    """They are not committed, so that after the next start they are whole; the books say that they wait."""

    async def run() -> None:
        world = World(durable=True)
        await world.reader.start()
        await world.put("a1")
        await world.pass_time(6)
        await world.put("b1", "b2")
        await world.settle()
        await world.stop()
        assert world.requests == [["a1"]]
        assert world.committed == 1
        assert world.value("otel_llm_exporter_waiting_spans") == 2
        world.assert_balance()

    asyncio.run(run())


@given(st.integers(0, 2**32), st.sampled_from([1, 4]), st.sampled_from([300, 100_000]), st.booleans(), st.booleans())
def test_every_span_ends_once(seed: int, in_flight: int, request_bytes: int, sample: bool, durable: bool) -> None:
    """Random traces in random requests, some refused, some sampled away, cut off anywhere: the books balance.

    No span is sent twice, and no record is committed before each of its spans was sent or dropped.
    """

    async def run() -> None:
        chance = random.Random(seed)
        sampling = {"sampling": {"policies": [{"name": "half", "percent": 50}]}} if sample else {}
        world = World(
            durable=durable,
            max_in_flight=in_flight,
            max_request_bytes=max(1024, request_bytes),
            whole_traces={**QUICK, "max_traces": chance.choice([3, 1000])},
            filter={"exclude": {"attributes": {"kind": "7"}}},
            **sampling,
        )
        world.refused = {f"{trace}{number}" for trace in "cg" for number in (2, 5)}
        await world.reader.start()
        put = []
        for offset in range(chance.randrange(1, 25)):
            names = [f"{chance.choice('abcdefghij')}{offset:02}{n}" for n in range(chance.randrange(1, 9))]
            put.append(names)
            await world.put(*names)
            if chance.random() < 0.3:
                await world.pass_time(chance.choice([0.5, 3, 6]))
            sent = [name for names in world.requests for name in names]
            assert len(set(sent)) == len(sent)
            world.assert_balance()
        await world.stop()
        world.assert_balance()
        sent = [name for names in world.requests for name in names]
        assert len(set(sent)) == len(sent)
        assert not [name for name in sent if name.endswith("7")]
        if not sample and durable:
            for names in put[: world.committed]:
                assert {name for name in names if not name.endswith("7")} <= set(sent)
        if not durable:
            assert world.value("otel_llm_exporter_waiting_spans") == 0

    asyncio.run(run())
