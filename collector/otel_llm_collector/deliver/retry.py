"""Sending again: exponential back-off with jitter, or later where the backend asks for that."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from otel_llm_collector import limits
from otel_llm_collector.contract import Receipt
from otel_llm_collector.deliver.settings import RetrySettings
from otel_llm_collector.errors import Retryable


@dataclass(frozen=True, slots=True)
class Timing:
    """Time and chance, as arguments: seconds that only grow, a pause, a number in [0, 1)."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random


async def send_with_retry(
    send: Callable[[float | None], Awaitable[Receipt]],
    retry: RetrySettings,
    on_retry: Callable[[Retryable], None],
    timing: Timing,
    rest: Callable[[float], Awaitable[None]] | None = None,
) -> Receipt:
    """Call `send` until it succeeds, fails for good, or `retry.max_elapsed_seconds` are over.

    The pause doubles from `initial_seconds` to `max_seconds`, times a jitter of 0.5 to 1.5; a backend that asks for
    a longer one gets it, up to `limits.MAX_RETRY_AFTER_SECONDS`. Pauses that nobody asked for are taken by `rest`,
    which may end them early. `send` is told when the time will be over. Raises `Permanent`, or the last `Retryable`.
    """
    limit = retry.max_elapsed_seconds
    deadline = None if limit is None else timing.clock() + limit
    pause = retry.initial_seconds
    while True:
        try:
            return await send(deadline)
        except Retryable as error:
            asked = min(error.after or 0.0, limits.MAX_RETRY_AFTER_SECONDS)
            wait = max(asked, pause * (0.5 + timing.chance()))
            if deadline is not None and timing.clock() + wait > deadline:
                raise
            on_retry(error)
            await (timing.sleep if asked or rest is None else rest)(wait)
            pause = min(pause * 2, retry.max_seconds)
