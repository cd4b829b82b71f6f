"""Bisecting: one bad item costs itself, and the work is bounded."""

from __future__ import annotations

import asyncio
import math

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import limits
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.bisect import Bisector, Result
from otel_llm_collector.deliver.otlp import SHAPES, walk
from otel_llm_collector.errors import Permanent, Unacceptable


def parcel(count: int) -> Parcel:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(count):
        scope.spans.add(name=str(number))
    return Parcel(Signal.TRACES, request.SerializeToString(), count)


def numbers(part: Parcel) -> list[int]:
    shape = SHAPES[Signal.TRACES]
    return [int(span.name) for _, _, span in walk(shape.request.FromString(part.payload), shape)]


class Backend:
    """Refuses every request that holds a bad number."""

    def __init__(self, bad: set[int], error: type[Permanent] = Unacceptable) -> None:
        self.bad, self.error = bad, error
        self.requests = 0
        self.taken: list[int] = []
        self.dropped: list[int] = []
        self.now = 0.0
        self.bisector = Bisector(self.send, lambda: self.now)

    async def send(self, part: Parcel) -> Receipt:
        self.requests += 1
        if self.bad & set(numbers(part)):
            raise self.error("bad")
        return Receipt()

    async def ended(self, part: Parcel, result: Result) -> None:
        (self.taken if isinstance(result, Receipt) else self.dropped).extend(numbers(part))

    def run(self, count: int) -> None:
        asyncio.run(self.bisector.send(parcel(count), self.ended))


@given(st.integers(1, 500), st.data())
def test_one_bad_item_costs_itself(count: int, data: st.DataObject) -> None:
    """Everything else is taken in order, with at most 2 log2(n) + 1 requests."""
    bad = data.draw(st.integers(0, count - 1))
    backend = Backend({bad})
    backend.run(count)
    assert backend.dropped == [bad]
    assert backend.taken == [number for number in range(count) if number != bad]
    assert backend.requests <= 2 * math.ceil(math.log2(count)) + 1 if count > 1 else backend.requests == 1


@given(st.integers(1, 300), st.sets(st.integers(0, 299)))
def test_every_item_ends_once_and_the_work_is_bounded(count: int, bad: set[int]) -> None:
    """However many are bad: each item is taken or dropped once, no bad one is taken, requests stay bounded."""
    backend = Backend(bad)
    backend.run(count)
    assert sorted(backend.taken + backend.dropped) == list(range(count))
    assert not set(backend.taken) & bad
    assert backend.requests <= limits.MAX_BISECT_REQUESTS + math.ceil(math.log2(count)) + 1


def test_a_backend_that_takes_nothing_is_not_asked_so_again_for_a_while() -> None:
    """After the whole budget without one success, requests are dropped whole for a minute; then halved again."""
    backend = Backend(set(range(1000)))
    backend.run(1000)
    first, backend.requests = backend.requests, 0
    assert first >= limits.MAX_BISECT_REQUESTS
    backend.run(1000)
    assert backend.requests == 1
    backend.now += limits.BISECT_PAUSE_SECONDS
    backend.run(1000)
    assert backend.requests > 2


def test_what_is_refused_for_its_sender_is_not_cut() -> None:
    """A wrong password refuses every half alike: one request, and all of it dropped."""
    backend = Backend({3}, Permanent)
    backend.run(10)
    assert backend.requests == 1
    assert len(backend.dropped) == 10
