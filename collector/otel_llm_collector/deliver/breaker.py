"""The breaker of a destination: after several failures in a row one request at a time tries, the others wait.

    CLOSED     everything is sent; `THRESHOLD` failures in a row -> OPEN
    OPEN       nothing is sent until a pause is over; then -> HALF_OPEN
    HALF_OPEN  one request is under way; it succeeds -> CLOSED, it fails -> OPEN, for twice as long

A dead backend so costs one request now and then instead of `max_in_flight` at a time, and when it is back everybody who
waits goes on at once. A final refusal is an answer: it closes the breaker.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

from otel_llm_collector import limits
from otel_llm_collector.deliver.retry import Timing
from otel_llm_collector.errors import Retryable


class State(StrEnum):
    """See the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """See the module. `max_pause` is the longest time that it stays open without asking again."""

    def __init__(self, first_pause: float, max_pause: float, timing: Timing) -> None:
        self._first_pause = first_pause
        self._max_pause = max_pause
        self._timing = timing
        self._failures = 0
        self._pause = first_pause
        self._until = 0.0
        self._last = ""
        self._changed = asyncio.Event()
        self.state = State.CLOSED

    async def turn(self, deadline: float | None) -> None:
        """Wait until a request may be sent. Raises `Retryable` when that would be after `deadline`."""
        while self.state is not State.CLOSED:
            now = self._timing.clock()
            if deadline is not None and now >= deadline:
                raise Retryable(self._last)
            if self.state is State.OPEN and now >= self._until:
                self.state = State.HALF_OPEN
                return
            until = self._until if self.state is State.OPEN else now + self._max_pause
            await self.rest((until if deadline is None else min(until, deadline)) - now)

    async def rest(self, seconds: float) -> None:
        """Pause, but no longer than until the backend is back or a request was given up."""
        pause = asyncio.ensure_future(self._timing.sleep(seconds))
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({pause, change}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            change.cancel()

    def succeeded(self) -> None:
        """The backend answered a request."""
        if self.state is not State.CLOSED:
            self._become(State.CLOSED)
        self._failures, self._pause = 0, self._first_pause

    def failed(self, error: Retryable) -> None:
        """A request failed in a way that may pass."""
        self._failures += 1
        self._last = str(error)
        if self.state is State.HALF_OPEN or self._failures >= limits.BREAKER_FAILURES:
            asked = min(error.after or 0.0, limits.MAX_RETRY_AFTER_SECONDS)
            self._until = max(self._until, self._timing.clock() + max(self._pause, asked))
            if self.state is not State.OPEN:
                self._pause = min(self._pause * 2, self._max_pause)
            self.state = State.OPEN

    def abandoned(self) -> None:
        """A request ended without an answer, because it was cancelled or failed in our own code."""
        if self.state is State.HALF_OPEN:
            self._until = self._timing.clock()
            self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._changed.set()  # wakes those who wait now
        self._changed = asyncio.Event()
