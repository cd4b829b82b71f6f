"""What happens to a record between the log and a backend.

filter -> content -> events -> route -> profile -> split -> bisect -> retry -> send.

`compose` is the one place that orders these steps; `reader` puts the filter first, or `assemble`, which filters itself,
so that whole traces are made of what is wanted. Each takes a parcel and the record's entry in the books, and sees to
it that every item is handed on, counted as sent, or counted as dropped.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from otel_llm_collector import rust
from otel_llm_collector.contract import Destination, Parcel, Receipt, Signal
from otel_llm_collector.deliver.aside import aside
from otel_llm_collector.deliver.bisect import Bisector, Result, Send
from otel_llm_collector.deliver.books import Books, Entry
from otel_llm_collector.deliver.breaker import Breaker
from otel_llm_collector.deliver.content import ContentDropper, dropper
from otel_llm_collector.deliver.dead_letters import DeadLetters
from otel_llm_collector.deliver.events import only_events
from otel_llm_collector.deliver.filter import Filter
from otel_llm_collector.deliver.profile import Executed
from otel_llm_collector.deliver.retry import Timing, send_with_retry
from otel_llm_collector.deliver.route import routed
from otel_llm_collector.deliver.settings import Content, DestinationSettings, RetrySettings
from otel_llm_collector.deliver.split import split
from otel_llm_collector.errors import NotYet, Permanent, Retryable

logger = logging.getLogger(__name__)

Step = Callable[[Parcel, Entry], Awaitable[None]]
Drop = Callable[[Parcel, Entry, str, str], Awaitable[None]]


@dataclass(slots=True)
class Condition:
    """How a destination does."""

    last_error: str = ""
    retrying: int = 0  # requests that failed and wait to be sent again
    breaker: Breaker | None = None


def compose(
    name: str,
    destination: Destination,
    settings: DestinationSettings,
    retry: RetrySettings,
    books: Books,
    condition: Condition,
    time: Timing,
) -> Step:
    """The steps of one destination, in the order in which a parcel passes them."""
    wire = rust.module(os.environ)
    drop = _dropping(name, settings, books, condition)
    send = _retried(name, destination.send, retry, books, condition, time)
    step = _observed(name, Bisector(send, time.clock), drop)
    step = _split(step, settings.max_request_bytes, drop)
    if settings.profile is not None:
        step = _shaped(step, settings.profile.compiled(settings.resource_attributes(), wire))
    if settings.routes():
        step = _routed(step, settings.routes())
    if settings.log_events:
        step = _only_events(step, settings.log_events)
    if settings.content is Content.DROP:
        step = _without_content(step, dropper(wire))
    return step


def filtered(following: Step, chosen: Filter) -> Step:
    """The step that leaves out what the destination does not want, before `following`."""

    async def step(parcel: Parcel, entry: Entry) -> None:
        left = await aside(parcel.payload, lambda: chosen.apply(parcel))
        entry.dropped(parcel.items - left.items, "filtered", intentional=True)
        if left.items:
            await following(left, entry)

    return step


def _without_content(following: Step, drop: ContentDropper) -> Step:
    async def step(parcel: Parcel, entry: Entry) -> None:
        payload = await aside(parcel.payload, lambda: drop(parcel.signal, parcel.payload))
        await following(replace(parcel, payload=payload), entry)

    return step


def _shaped(following: Step, profile: Executed) -> Step:
    async def step(parcel: Parcel, entry: Entry) -> None:
        if parcel.signal is Signal.TRACES:
            payload = await aside(parcel.payload, lambda: profile.apply(parcel.payload))
            parcel = replace(parcel, payload=payload)
        await following(parcel, entry)

    return step


def _routed(following: Step, routes: Mapping[str, str]) -> Step:
    async def step(parcel: Parcel, entry: Entry) -> None:
        for part in await aside(parcel.payload, lambda: routed(parcel, routes)):
            await following(part, entry)

    return step


def _only_events(following: Step, names: frozenset[str]) -> Step:
    async def step(parcel: Parcel, entry: Entry) -> None:
        if parcel.signal is not Signal.LOGS:
            await following(parcel, entry)
            return
        events = only_events(parcel, names)
        entry.dropped(parcel.items - (events.items if events else 0), "other_logs", intentional=True)
        if events:
            await following(events, entry)

    return step


def _split(following: Step, max_bytes: int, drop: Drop) -> Step:
    async def step(parcel: Parcel, entry: Entry) -> None:
        pieces, too_large = await aside(parcel.payload, lambda: split(parcel, max_bytes))
        for item in too_large:
            await drop(item, entry, "too_large", f"{len(item.payload)} bytes of max_request_bytes: {max_bytes}")
        for piece in pieces:
            await following(piece, entry)

    return step


def _observed(name: str, bisector: Bisector, drop: Drop) -> Step:
    """Counts what became of each parcel; no failure of a backend goes further up."""

    async def step(parcel: Parcel, entry: Entry) -> None:
        async def ended(part: Parcel, result: Result) -> None:
            if not isinstance(result, Receipt):
                reason = "refused" if isinstance(result, Permanent) else "retries_exhausted"
                await drop(part, entry, reason, str(result))
                return
            refused = min(max(result.refused, 0), part.items)
            if refused or result.message:
                logger.warning(
                    "exporters.%s: the backend refused %d of %d %s: %s",
                    name, refused, part.items, part.signal.items, result.message,
                )  # fmt: skip
            entry.dropped(refused, "partial_success")
            entry.sent(part.items - refused)

        await bisector.send(parcel, ended)

    return step


def _dropping(name: str, settings: DestinationSettings, books: Books, condition: Condition) -> Drop:
    """What happens to items that the destination never gets: said, kept as a dead letter where asked, counted."""
    letters = DeadLetters(name, settings.dead_letters) if settings.dead_letters is not None else None

    async def drop(parcel: Parcel, entry: Entry, reason: str, error: str) -> None:
        condition.last_error = error
        logger.warning("exporters.%s: %d %s dropped (%s): %s", name, parcel.items, parcel.signal.items, reason, error)
        if letters is not None:
            books.letter(name, kept=await letters.write(parcel, reason, error))
        entry.dropped(parcel.items, reason)

    return drop


def _retried(name: str, send: Send, retry: RetrySettings, books: Books, condition: Condition, time: Timing) -> Send:
    breaker = condition.breaker = Breaker(retry.initial_seconds, retry.max_seconds, time)

    async def once(parcel: Parcel, deadline: float | None) -> Receipt:
        await breaker.turn(deadline)
        answered = False
        try:
            with books.sending(name):
                receipt = await send(parcel)
            answered = True
        except (Permanent, NotYet):
            answered = True
            raise
        except Retryable as error:
            breaker.failed(error)
            raise
        else:
            return receipt
        finally:
            if answered:
                breaker.succeeded()
            else:
                breaker.abandoned()

    async def sent(parcel: Parcel) -> Receipt:
        failed = False

        def note(error: Retryable) -> None:
            nonlocal failed
            condition.retrying += not failed
            failed = True
            condition.last_error = str(error)
            books.retried(name)

        try:
            return await send_with_retry(lambda deadline: once(parcel, deadline), retry, note, time, breaker.rest)
        finally:
            condition.retrying -= failed

    return sent
