"""The memory of calls: bounded, by event time, and open about what it forgot. Both implementations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from otel_llm_collector.engine.calls import Call, CallMemory, Memory, Verdict
from otel_llm_collector.engine.native import wire_memory


@pytest.fixture(params=["python", "rust"])
def memory(request: pytest.FixtureRequest) -> Callable[[int, int], Memory]:
    """Makes a memory of each kind."""
    if request.param == "python":
        return CallMemory
    pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")
    return wire_memory


def call(span: int, parent: int = 0, *, end: int = 100, response: str = "", usage: bool = True) -> Call:
    """A call of one trace."""
    trace = b"\1" * 16
    name = ("service", response) if response else None
    return Call(
        trace + span.to_bytes(8),
        trace + parent.to_bytes(8),
        "chat",
        name,
        usage,
        is_wrapper=False,
        start=end - 1,
        end=end,
    )


def test_asking_changes_nothing(memory: Callable[[int, int], Memory]) -> None:
    """A request that was refused and comes again counts as if it came for the first time."""
    calls = memory(10, 1000)
    for _ in range(2):
        assert calls.judge([call(1, response="r")]) == [Verdict.NEW]
    calls.remember([call(1, response="r")])
    assert calls.judge([call(1, response="r"), call(2, response="r")]) == [Verdict.REPEATED, Verdict.ANSWERED]


def test_layers_of_layers(memory: Callable[[int, int], Memory]) -> None:
    """Three layers in three requests, from the inside out: one counts."""
    calls = memory(10, 1000)
    verdicts = []
    for one in (call(3, 2), call(2, 1), call(1)):
        verdicts += calls.judge([one])
        calls.remember([one])
    assert verdicts == [Verdict.NEW, Verdict.LAYER, Verdict.LAYER]


def test_another_operation_is_no_layer(memory: Callable[[int, int], Memory]) -> None:
    """An embedding inside a chat is a call of its own."""
    calls = memory(10, 1000)
    calls.remember([replace(call(2, 1), operation="embeddings")])
    assert calls.judge([call(1)]) == [Verdict.NEW]


def test_a_full_memory_says_what_it_cannot_know(memory: Callable[[int, int], Memory]) -> None:
    """Beyond its capacity the oldest go; a call from their time counts and is named, a later one is not."""
    calls = memory(10, 10**9)
    for number in range(1, 101):
        calls.remember([call(number, 1000 + number, end=number)])
    assert calls.judge([call(1001, end=50)]) == [Verdict.FORGOTTEN]
    assert calls.judge([call(1100, end=100)]) == [Verdict.LAYER]
    assert calls.judge([call(5000, end=100)]) == [Verdict.NEW]


def test_event_time_forgets(memory: Callable[[int, int], Memory]) -> None:
    """After the window the calls before it are gone."""
    calls = memory(10, 1000)
    for number, end in ((1, 100), (2, 700), (3, 1300), (4, 1900)):
        calls.remember([call(number, 1000 + number, end=end)])
    assert calls.judge([call(1001, end=100)]) == [Verdict.FORGOTTEN]
    assert calls.judge([call(1004, end=1950)]) == [Verdict.LAYER]


def test_names_that_nobody_has_are_not_kept(memory: Callable[[int, int], Memory]) -> None:
    """A response id of a megabyte is handled and costs no memory for long."""
    calls = memory(10, 1000)
    calls.remember([replace(call(1), response=None)])
    assert calls.judge([replace(call(2), response=None)]) == [Verdict.NEW]
