"""The order of the stages, in one place: receive -> engine -> log -> deliver, with measure and alert beside it.

`Pipeline` is built from the sinks backwards, starts sinks first and stops sources first: a receiver accepts nothing
before what stands behind it is ready, and nothing is acknowledged after its place has gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from otel_llm_collector import limits
from otel_llm_collector.contract import Engine, Log, Measurements, Outcome, Reject, Signal
from otel_llm_collector.errors import CollectorError, Retryable
from otel_llm_collector.span_conditions import NoticedSpan
from otel_llm_collector.telemetry import Telemetry

logger = logging.getLogger(__name__)

# The stage folders, in the order in which a span passes them.
STAGES = ("receive", "engine", "log", "deliver", "measure", "alert", "serve")


class Lifecycle(Protocol):
    """What every component can do; see `contract`."""

    async def start(self) -> None: ...
    async def shutdown(self) -> None: ...


class Plugins(Protocol):
    """What may still be done to a processed request; never raises."""

    async def apply(self, signal: Signal, payload: bytes, items: int) -> bytes: ...


class Admission:
    """The `Intake`: takes one request from a receiver through engine and log.

    Memory is bounded by admission: the bytes of all requests under way stay below `max_in_flight_bytes`, and a
    request over that is answered with a retry hint before it is read. `on_kept` is told of every kept request,
    `observers` are shown it, `on_noticed` the spans in it that the engine noticed.
    """

    def __init__(
        self,
        engine: Engine,
        log: Log,
        series: Measurements,
        telemetry: Telemetry,
        on_kept: Callable[[Signal, int], None],
        plugins: Plugins | None = None,
        max_in_flight_bytes: int = limits.MAX_IN_FLIGHT_BYTES,
        *,
        observers: Mapping[Signal, Sequence[Callable[[bytes], None]]] | None = None,
        on_noticed: Callable[[Sequence[NoticedSpan], bytes], None] | None = None,
    ) -> None:
        self._engine = engine
        self._log = log
        self._series = series
        self._telemetry = telemetry
        self._on_kept = on_kept
        self._plugins = plugins
        self._observers = observers or {}
        self._on_noticed = on_noticed
        self._max_in_flight = max_in_flight_bytes
        self._in_flight = 0
        self._keeping: set[asyncio.Task[None]] = set()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Hold `size` bytes of the budget; `Retryable` when the collector has no room for them now."""
        if self._in_flight + size > self._max_in_flight:
            msg = (
                f"collector: no room for {size} more bytes now ({self._in_flight} of {self._max_in_flight} in use); "
                "send again later"
            )
            raise Retryable(msg, after=1.0)
        self._in_flight += size
        try:
            yield
        finally:
            self._in_flight -= size

    async def accept(
        self, signal: Signal, request: bytes, *, transport: str, already_rejected: Sequence[Reject] = ()
    ) -> list[Reject]:
        """Process and keep one request; returns what was refused of it.

        `already_rejected` are items a receiver could not even turn into protobuf. Raises `MalformedRequest`, or
        `Retryable` when the log has no room.
        """
        outcome = await self._run_engine(signal, request)
        rejects = [*already_rejected, *outcome.rejects]
        if self._plugins is not None and outcome.accepted:
            outcome.payload = await self._plugins.apply(signal, outcome.payload, outcome.accepted)
        # A sender that goes away meanwhile must not tear keeping from counting: the rest runs to its end.
        keeping = asyncio.create_task(self._keep(signal, outcome, rejects, transport))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)
        await asyncio.shield(keeping)
        return rejects

    async def _keep(self, signal: Signal, outcome: Outcome, rejects: Sequence[Reject], transport: str) -> None:
        """Append to the log, then count: what is not kept is not measured, so that a second try counts once."""
        if outcome.accepted:
            try:
                await self._log.append(signal, outcome.payload, outcome.accepted)
            except CollectorError:
                self._telemetry.lost(signal, transport, outcome.accepted, "log_refused", rejects)
                raise
            self._on_kept(signal, outcome.accepted)
        outcome.kept()
        self._series.record(outcome.counters, outcome.histograms)
        if outcome.accepted:
            await self._observe(signal, outcome)
        self._telemetry.kept(signal, transport, outcome, rejects)

    async def _observe(self, signal: Signal, outcome: Outcome) -> None:
        """Show the kept request to who wants to see it; a mistake there costs the sender nothing."""
        payload = outcome.payload
        looks = [partial(observe, payload) for observe in self._observers.get(signal, ())]
        if self._on_noticed is not None and outcome.noticed:
            looks.append(partial(self._on_noticed, outcome.noticed, payload))
        for look in looks:
            try:
                if len(payload) < limits.INLINE_REQUEST_BYTES:
                    look()
                else:
                    await asyncio.to_thread(look)
            except Exception:
                logger.exception("a kept %s request could not be observed", signal)

    async def _run_engine(self, signal: Signal, request: bytes) -> Outcome:
        if len(request) < limits.INLINE_REQUEST_BYTES:
            return self._engine.process(signal, request)
        return await asyncio.to_thread(self._engine.process, signal, request)

    def answered(self, signal: Signal, transport: str, error: Exception | None) -> None:
        """Count how one request ended; receivers call it once for each."""
        if error is None:
            outcome = "success"
        elif isinstance(error, CollectorError) and not isinstance(error, Retryable):
            outcome = "refused"
        else:
            outcome = "failure"
            if not isinstance(error, Retryable):
                logger.error("a %s request over %s failed in the collector", signal, transport, exc_info=error)
        self._telemetry.request(signal, transport, outcome)


class Seal:
    """Seals the log when its turn to stop comes: after the receivers, before the readers."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def start(self) -> None:
        """Nothing to start."""

    async def shutdown(self) -> None:
        """Let the readers finish."""
        self._log.seal()


class Pipeline:
    """Starts and stops the components in the one right order."""

    def __init__(self, sinks_first: Sequence[Lifecycle]) -> None:
        self._components = list(sinks_first)
        self._started: list[Lifecycle] = []

    async def start(self) -> None:
        """Start sinks first; when one cannot start, those already started are stopped and its error is raised."""
        for component in self._components:
            try:
                await component.start()
            except BaseException:
                await self.shutdown()
                raise
            self._started.append(component)

    async def shutdown(self) -> None:
        """Stop sources first. A component that fails to stop is reported and does not keep the others running."""
        while self._started:
            component = self._started.pop()
            try:
                await component.shutdown()
            except Exception:
                logger.exception("%s did not stop cleanly", type(component).__name__)
