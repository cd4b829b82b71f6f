"""Sending again: how often, how long apart, and when it ends."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector import limits
from otel_llm_collector.contract import Receipt
from otel_llm_collector.deliver.retry import Timing, send_with_retry
from otel_llm_collector.deliver.settings import RetrySettings
from otel_llm_collector.errors import Permanent, Retryable


class World:
    """A clock that only sleeping moves, and a backend that fails as told."""

    def __init__(self, *failures: Exception, chance: float = 0.5) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.failures = list(failures)
        self.calls = 0
        self.timing = Timing(lambda: self.now, self.sleep, lambda: chance)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def send(self) -> Receipt:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return Receipt()

    def run(self, **retry: float) -> Receipt:
        settings = RetrySettings.model_validate(retry)
        return asyncio.run(send_with_retry(lambda _: self.send(), settings, lambda _: None, self.timing))


def test_pauses_double_up_to_the_longest() -> None:
    """With the jitter in its middle the pauses are 1, 2, 4, 8, 8 seconds."""
    world = World(*[Retryable("x")] * 5)
    world.run(initial_seconds=1, max_seconds=8)
    assert world.pauses == [1, 2, 4, 8, 8]


@given(st.floats(0, 1, exclude_max=True))
def test_jitter_keeps_a_pause_between_half_and_one_and_a_half(chance: float) -> None:
    """Whatever chance says, a pause is 0.5 to 1.5 times its nominal length."""
    world = World(Retryable("x"), chance=chance)
    world.run(initial_seconds=2)
    assert 1 <= world.pauses[0] <= 3


def test_the_backend_may_ask_for_longer_but_not_for_shorter() -> None:
    """The pause is the longer of our own and the backend's wish."""
    world = World(Retryable("x", after=20), Retryable("x", after=0.001))
    world.run(initial_seconds=1)
    assert world.pauses == [20, 2]


def test_an_absurd_wish_is_cut() -> None:
    """A backend that asks for a year is asked again after the limit."""
    world = World(Retryable("x", after=3e7))
    world.run(max_elapsed_seconds=1000)
    assert world.pauses == [limits.MAX_RETRY_AFTER_SECONDS]


def test_it_ends_before_the_budget_is_over() -> None:
    """The last failure is raised as soon as another pause would not fit the budget."""
    world = World(*[Retryable(f"failure {n}") for n in range(100)])
    with pytest.raises(Retryable, match="failure 3"):
        world.run(initial_seconds=1, max_seconds=100, max_elapsed_seconds=10)
    assert world.pauses == [1, 2, 4]


def test_what_is_final_is_not_repeated() -> None:
    """A permanent refusal is raised after one call."""
    world = World(Permanent("no"))
    with pytest.raises(Permanent):
        world.run()
    assert world.calls == 1
