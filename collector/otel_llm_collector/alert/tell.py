"""Keeps one notifier told: what it was told last of each alert, what is due to it, one telling at a time.

Each target has its own teller, so that one that hangs or fails is tried again without the others being told twice. What
a target did not take stays due; a resolved alert is told for `RESOLVED_RETENTION` seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter

from otel_llm_collector.alert.state import Alert, State, Told, is_due
from otel_llm_collector.contract import Notification, Notifier

logger = logging.getLogger(__name__)


_PATIENCE_SECONDS = 60.0  # a telling that takes longer is given up and tried again
_MAX_ERROR_CHARS = 200


class NotificationCounts:
    """What all tellers count, by target."""

    def __init__(self, registry: CollectorRegistry) -> None:
        sent = "Alerts that a target took."
        failed = "Alerts that a target did not take; they are sent again."
        self.sent = Counter("otel_llm_notifications_sent", sent, ["target"], registry=registry)
        self.failed = Counter("otel_llm_notifications_failed", failed, ["target"], registry=registry)


@dataclass(frozen=True, slots=True)
class Tellable:
    """An alert with what is said of it."""

    key: str
    alert: Alert
    notification: Notification


class Teller:
    """Tells one notifier."""

    def __init__(self, name: str, notifier: Notifier, resend: float, counts: NotificationCounts) -> None:
        self.name = name
        self._notifier = notifier
        self._resend = resend
        self._counts = counts
        self._problem = ""
        for counter in (counts.sent, counts.failed):
            counter.labels(name)
        self._told: dict[str, Told] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the target."""
        await self._notifier.start()

    async def shutdown(self) -> None:
        """Give up what is being told; it is told after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._notifier.shutdown()

    def offer(self, alerts: Sequence[Tellable], now: float) -> None:
        """Begin telling what is due, unless the last telling is still under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self.tell(alerts, now))

    async def tell(self, alerts: Sequence[Tellable], now: float) -> None:
        """Tell what is due and remember what was taken."""
        here = {one.key for one in alerts}
        self._told = {key: told for key, told in self._told.items() if key in here}
        due = [one for one in alerts if is_due(one.alert, self._told.get(one.key), now, self._resend)]
        # Who was never told that an alert fires need not hear that it is over.
        due = [one for one in due if one.alert.state is not State.RESOLVED or one.key in self._told]
        if not due:
            return
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._notifier.notify([one.notification for one in due])
        except Exception as error:  # whatever a notifier does, alerting goes on
            self._counts.failed.labels(self.name).inc(len(due))
            problem = f"{type(error).__name__}: {str(error)[:_MAX_ERROR_CHARS]}"
            level = logging.DEBUG if problem == self._problem else logging.WARNING  # said once, not at every turn
            logger.log(level, "%s: %d alerts not taken (%s); they are sent again", self.name, len(due), problem)
            self._problem = problem
            return
        if self._problem:
            logger.info("%s: alerts are taken again", self.name)
            self._problem = ""
        self._counts.sent.labels(self.name).inc(len(due))
        self._told.update({one.key: Told(one.alert.state, now) for one in due})

    def dump(self) -> dict[str, list[object]]:
        """What the target was told, for the next start."""
        return {key: [told.state.value, told.at] for key, told in self._told.items()}

    def load(self, saved: Mapping[str, Sequence[object]]) -> None:
        """What it was told before the start."""
        self._told = {key: Told(State(str(state)), float(str(at))) for key, (state, at) in saved.items()}

    def shift(self, seconds: float) -> None:
        """The clock was set by so much."""
        self._told = {key: Told(told.state, told.at + seconds) for key, told in self._told.items()}
