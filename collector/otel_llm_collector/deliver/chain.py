"""What happens to a record between the log and a backend: content -> split -> observe -> retry -> send.

`compose` is the one place that orders these steps. Each takes a parcel and the record's entry in the books, and sees to
it that every item is handed on, counted as sent, or counted as dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from otel_llm_collector import limits
from otel_llm_collector.contract import Destination, Parcel, Receipt
from otel_llm_collector.deliver.books import Books, Entry
from otel_llm_collector.deliver.content import without_content
from otel_llm_collector.deliver.retry import Timing, send_with_retry
from otel_llm_collector.deliver.settings import Content, DestinationSettings
from otel_llm_collector.deliver.split import split
from otel_llm_collector.errors import Permanent, Retryable

logger = logging.getLogger(__name__)

Step = Callable[[Parcel, Entry], Awaitable[None]]
Send = Callable[[Parcel], Awaitable[Receipt]]

_Result = TypeVar("_Result")


@dataclass(slots=True)
class Condition:
    """How a destination does."""

    last_error: str = ""
    retrying: int = 0  # requests that failed and wait to be sent again


def compose(
    name: str, destination: Destination, settings: DestinationSettings, books: Books, condition: Condition, time: Timing
) -> Step:
    """The steps of one destination, in the order in which a parcel passes them."""
    send = _retried(name, destination.send, settings, books, condition, time)
    step = _observed(name, send, condition)
    step = _split(step, settings.max_request_bytes)
    if settings.content is Content.DROP:
        step = _without_content(step)
    return step


def _without_content(following: Step) -> Step:
    async def step(parcel: Parcel, entry: Entry) -> None:
        payload = await aside(parcel.payload, lambda: without_content(parcel.signal, parcel.payload))
        await following(Parcel(parcel.signal, payload, parcel.items), entry)

    return step


def _split(following: Step, max_bytes: int) -> Step:
    async def step(parcel: Parcel, entry: Entry) -> None:
        pieces, too_large = await aside(parcel.payload, lambda: split(parcel, max_bytes))
        entry.dropped(too_large, "too_large")
        for piece in pieces:
            await following(piece, entry)

    return step


def _observed(name: str, send: Send, condition: Condition) -> Step:
    """Counts what became of each parcel; no failure of a backend goes further up."""

    async def step(parcel: Parcel, entry: Entry) -> None:
        try:
            receipt = await send(parcel)
        except (Permanent, Retryable) as error:
            reason = "refused" if isinstance(error, Permanent) else "retries_exhausted"
            condition.last_error = str(error)
            logger.warning(
                "exporters.%s: %d %s dropped (%s): %s", name, parcel.items, parcel.signal.items, reason, error
            )
            entry.dropped(parcel.items, reason)
            return
        refused = min(max(receipt.refused, 0), parcel.items)
        if refused or receipt.message:
            logger.warning(
                "exporters.%s: the backend refused %d of %d %s: %s",
                name, refused, parcel.items, parcel.signal.items, receipt.message,
            )  # fmt: skip
        entry.dropped(refused, "partial_success")
        entry.sent(parcel.items - refused)

    return step


def _retried(
    name: str, send: Send, settings: DestinationSettings, books: Books, condition: Condition, time: Timing
) -> Send:
    async def once(parcel: Parcel) -> Receipt:
        with books.sending(name):
            return await send(parcel)

    async def sent(parcel: Parcel) -> Receipt:
        failed = False

        def note(error: Retryable) -> None:
            nonlocal failed
            condition.retrying += not failed
            failed = True
            condition.last_error = str(error)
            books.retried(name)

        try:
            return await send_with_retry(lambda: once(parcel), settings.retry, note, time)
        finally:
            condition.retrying -= failed

    return sent


async def aside(payload: bytes, work: Callable[[], _Result]) -> _Result:
    """`work` on `payload`, in a thread when it is large, so that the other readers go on."""
    if len(payload) < limits.INLINE_REQUEST_BYTES:
        return work()
    return await asyncio.to_thread(work)
