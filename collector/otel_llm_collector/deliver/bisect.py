"""Isolating what a backend refuses: a request that is refused whole is sent again in halves, and they in halves.

One item that a backend cannot take so costs itself and not the thousands that travel with it. The work is bounded: a
request of n items with one bad one costs about 2 log2(n) more requests; after `limits.MAX_BISECT_REQUESTS` what is left
is dropped whole, and a backend that has taken nothing by then is not asked so again for a minute.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from otel_llm_collector import limits
from otel_llm_collector.contract import Parcel, Receipt
from otel_llm_collector.deliver.split import halves
from otel_llm_collector.errors import CollectorError, Permanent, Retryable, Unacceptable

Send = Callable[[Parcel], Awaitable[Receipt]]
Result = Receipt | CollectorError


class Bisector:
    """Sends parcels of one destination; `clock` in seconds that only grow."""

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._again_at = 0.0

    async def send(self, parcel: Parcel, ended: Callable[[Parcel, Result], Awaitable[None]]) -> None:
        """Send `parcel`, in parts if need be; `ended` is told of each part what became of it."""
        waiting = [parcel]
        requests = 0
        taken = False
        while waiting:
            part = waiting.pop()
            requests += 1
            try:
                result: Result = await self._send(part)
                taken = True
            except Unacceptable as error:
                if part.items > 1 and requests < limits.MAX_BISECT_REQUESTS and self._clock() >= self._again_at:
                    parts = halves(part)
                    if len(parts) > 1:
                        waiting += reversed(parts)
                        continue
                result = error
            except (Permanent, Retryable) as error:
                result = error
            await ended(part, result)
            del result  # an error holds this frame: a ring with the request in it
        if requests >= limits.MAX_BISECT_REQUESTS and not taken:
            self._again_at = self._clock() + limits.BISECT_PAUSE_SECONDS
