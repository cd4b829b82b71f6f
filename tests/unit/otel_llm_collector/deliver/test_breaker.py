"""The breaker: when it opens, who may try, and that nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest
from otel_llm_collector import limits
from otel_llm_collector.deliver.breaker import Breaker, State
from otel_llm_collector.deliver.retry import Timing
from otel_llm_collector.errors import Retryable


class World:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.breaker = Breaker(1.0, 8.0, Timing(lambda: self.now, self.sleep, lambda: 0.5))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds

    def fail(self, times: int = limits.BREAKER_FAILURES, after: float | None = None) -> None:
        for _ in range(times):
            self.breaker.failed(Retryable("down", after))


def test_it_opens_after_failures_in_a_row() -> None:
    """One success between them and it stays closed."""
    world = World()
    world.fail(limits.BREAKER_FAILURES - 1)
    world.breaker.succeeded()
    world.fail(limits.BREAKER_FAILURES - 1)
    assert world.breaker.state is State.CLOSED
    world.fail(1)
    assert world.breaker.state is State.OPEN


def test_one_tries_while_the_others_wait_and_all_go_on_after_success() -> None:
    """When the pause is over exactly one gets through; its success lets every other one through at once."""

    async def run() -> None:
        world = World()
        world.fail()
        through: list[int] = []

        async def one(number: int) -> None:
            await world.breaker.turn(None)
            through.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(through) == 1
        assert world.breaker.state is State.HALF_OPEN
        world.breaker.succeeded()
        await asyncio.gather(*tasks)
        assert sorted(through) == [0, 1, 2, 3, 4]

    asyncio.run(run())


def test_pauses_double_up_to_the_longest_and_follow_the_backend() -> None:
    """A try that fails doubles the pause; what the backend asks for is waited for when it is longer."""

    async def run() -> None:
        world = World()
        world.fail()
        pauses = []
        for _ in range(5):
            before = world.now
            await world.breaker.turn(None)
            pauses.append(world.now - before)
            world.breaker.failed(Retryable("down"))
        assert pauses == [1, 2, 4, 8, 8]
        await world.breaker.turn(None)
        before = world.now
        world.breaker.failed(Retryable("down", after=60))
        await world.breaker.turn(None)
        assert world.now - before == 60

    asyncio.run(run())


def test_waiting_ends_at_the_deadline_with_what_the_backend_said() -> None:
    """A request whose time is over is not held by the breaker."""

    async def run() -> None:
        world = World()
        world.fail(after=100)
        with pytest.raises(Retryable, match="down"):
            await world.breaker.turn(10.0)
        assert world.now == 10

    asyncio.run(run())


def test_a_try_that_is_given_up_lets_the_next_one_try() -> None:
    """The one request under way is cancelled: the breaker does not wait for its answer."""

    async def run() -> None:
        world = World()
        world.fail()
        await world.breaker.turn(None)
        world.breaker.abandoned()
        await world.breaker.turn(None)
        assert world.breaker.state is State.HALF_OPEN

    asyncio.run(run())
