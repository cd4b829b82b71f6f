"""Which traces are held and when they go on."""

from __future__ import annotations

from otel_llm_collector import limits
from otel_llm_collector.deliver.summary import TraceSummary
from otel_llm_collector.deliver.traces import HeldTrace, Traces, WholeTraceSettings


def traces() -> Traces:
    return Traces(WholeTraceSettings(quiet_seconds=5, max_seconds=20))


def ids(taken: list[HeldTrace]) -> list[bytes]:
    return [trace.trace_id for trace in taken]


def test_a_trace_goes_on_when_it_has_been_quiet() -> None:
    """Each span that comes starts the wait anew; then all parts are there, in order."""
    held = traces()
    held.add(b"a", (1, 2), None, 0)
    held.add(b"b", (1, 1), None, 0)
    held.add(b"a", (4, 3), None, 4)
    assert held.next_due() == 5
    assert ids(held.take_due(5)) == [b"b"]
    assert held.take_due(8.9) == []
    (trace,) = held.take_due(9)
    assert trace.parts == [(1, 2), (4, 3)]
    assert len(held) == 0 and held.next_due() is None


def test_a_trace_that_never_ends_goes_on_all_the_same() -> None:
    """`max_seconds` after its first span it is taken as it is."""
    held = traces()
    for second in range(0, 20, 4):
        held.add(b"a", (second, 1), None, second)
    assert held.next_due() == 20
    assert held.take_due(19.9) == []
    assert ids(held.take_due(20)) == [b"a"]


def test_the_oldest_go_first() -> None:
    """Under pressure those whose first span came first are taken, however lively they are."""
    held = traces()
    for number in range(5):
        held.add(bytes([number]), (number, 1), None, number)
    held.add(bytes([0]), (9, 1), None, 9)
    assert ids(held.take_oldest(2)) == [bytes([0]), bytes([1])]
    assert ids(held.take_oldest(100)) == [bytes([2]), bytes([3]), bytes([4])]


def test_late_spans_know_the_verdict() -> None:
    """A trace that was decided comes back with its verdict; only so many verdicts are remembered."""
    held = traces()
    held.decided(b"a", kept=False)
    held.add(b"a", (1, 1), TraceSummary(error=True), 0)
    (late,) = held.take_due(5)
    assert late.kept is False
    for number in range(limits.MAX_DECIDED_TRACES):
        held.decided(number.to_bytes(16, "big"), kept=True)
    held.add(b"a", (2, 1), None, 10)
    (later,) = held.take_due(15)
    assert later.kept is None
