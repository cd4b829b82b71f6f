"""Tells people: alerts that belong together are one message, sent when something changed, and again now and then.

A group waits `wait_seconds` for company before its first message; changes follow at most every `interval_seconds`; what
goes on is repeated every `repeat_seconds`; when the last alert is over, that is said too. A message that was not taken
is tried again, after pauses that double; more than `max_messages_per_hour` wait. What was told survives a restart.

Messages are made from labels and annotations of rules. Prompts, answers and documents never reach this place.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from otel_llm_collector.alert import template
from otel_llm_collector.alert.state import State
from otel_llm_collector.alert.tell import NotificationCounts, Tellable
from otel_llm_collector.alert.template_functions import SITUATED, TemplateError, functions_of

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 600.0
_HOUR = 3600.0
_MAX_TEXT_CHARS = 4000
_SEVERITIES = ("critical", "warning", "info")
_TEMPLATE = """{{ range .Firing }}FIRING {{ .Labels.alertname }}{{ with .Annotations.summary }}: {{ . }}{{ end }}
{{ with .Annotations.description }}{{ . }}
{{ end }}{{ with .Annotations.trace_id }}trace {{ . }}
{{ end }}{{ with .Annotations.runbook_url }}runbook {{ . }}
{{ end }}{{ .LabelText }}
{{ end }}{{ range .Resolved }}RESOLVED {{ .Labels.alertname }} {{ .LabelText }}
{{ end }}"""


def _template(source: str) -> str:
    try:
        template.parse(source, SITUATED)
    except TemplateError as error:
        msg = f"is no template: {error}; mend what stands between {{{{ and }}}}"
        raise ValueError(msg) from error
    return source


class GroupingSettings(BaseModel):
    """When people are told; the settings of every notifier under `alerts.notify`."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Which notifier it is.")
    group_by: list[str] = Field(
        default_factory=lambda: ["alertname"], description="Alerts that share these labels are one message."
    )
    wait_seconds: float = Field(10, ge=0, le=3600, description="How long a new group waits for company, in seconds.")
    interval_seconds: float = Field(60, ge=0, le=86400, description="Seconds between messages of a group that changes.")
    repeat_seconds: float = Field(14400, ge=60, le=604800, description="Seconds until what goes on is said again.")
    resolved: bool = Field(True, description="Say that alerts are over.")
    max_messages_per_hour: int = Field(60, ge=1, le=10_000, description="Further messages wait.")
    text: Annotated[str, AfterValidator(_template)] = Field(
        _TEMPLATE, max_length=10_000, description="Template of the text: .Firing and .Resolved, each with .Labels."
    )


@dataclass(frozen=True, slots=True)
class Message:
    """What a person is told."""

    title: str
    text: str
    severity: str  # critical, warning or info; the worst of what fires
    over: bool  # nothing of the group fires any more


class Messenger(Protocol):
    """Brings a message to people. `send` returns when it was taken, and raises any error otherwise."""

    async def start(self) -> None: ...
    async def shutdown(self) -> None: ...
    async def send(self, message: Message) -> None: ...


@dataclass(slots=True)
class _Group:
    """What is known of one group: since when it waits, what it was told to fire, and how sending went."""

    since: float
    told: dict[str, dict[str, str]] = field(default_factory=dict)  # labels of the alerts that were told to fire
    told_at: float = -math.inf
    pause: float = 0.0
    try_at: float = -math.inf


class GroupTeller:
    """Keeps one messenger told; takes the place of a `Teller` for people."""

    def __init__(self, name: str, messenger: Messenger, settings: GroupingSettings, counts: NotificationCounts) -> None:
        self.name = name
        self._messenger = messenger
        self._settings = settings
        self._counts = counts
        self._text = template.parse(settings.text, SITUATED)
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._sent: deque[float] = deque()
        self._task: asyncio.Task[None] | None = None
        for counter in (counts.sent, counts.failed):
            counter.labels(name)

    async def start(self) -> None:
        """Open the messenger."""
        await self._messenger.start()

    async def shutdown(self) -> None:
        """Give up what is being sent; it is sent after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._messenger.shutdown()

    def offer(self, alerts: Sequence[Tellable], now: float) -> None:
        """Begin sending what is due, unless the last sending is still under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self.tell(alerts, now))

    async def tell(self, alerts: Sequence[Tellable], now: float) -> None:
        """Send what is due."""
        firing: dict[tuple[str, ...], dict[str, Tellable]] = {}
        for one in alerts:
            if one.alert.state is State.FIRING:
                firing.setdefault(self._key(one.notification.labels), {})[one.key] = one
        for key in firing:
            self._groups.setdefault(key, _Group(now))
        for key, group in list(self._groups.items()):
            here = firing.get(key, {})
            if not here and not group.told:
                del self._groups[key]  # it ended before anybody was told
            elif self._is_due(group, here, now):
                await self._send(key, group, here, now)

    def _key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(labels.get(name, "") for name in self._settings.group_by)

    def _is_due(self, group: _Group, firing: Mapping[str, Tellable], now: float) -> bool:
        if now < group.try_at:
            return False
        if not group.told:
            return now - group.since >= self._settings.wait_seconds
        if firing.keys() != group.told.keys():
            return now - group.told_at >= self._settings.interval_seconds
        return now - group.told_at >= self._settings.repeat_seconds

    async def _send(self, key: tuple[str, ...], group: _Group, firing: Mapping[str, Tellable], now: float) -> None:
        over = {name: labels for name, labels in group.told.items() if name not in firing}
        if firing or self._settings.resolved:
            while self._sent and self._sent[0] <= now - _HOUR:
                self._sent.popleft()
            if len(self._sent) >= self._settings.max_messages_per_hour:
                return  # it stays due
            if not await self._taken(self._message(firing, over, now), max(1, len(firing) + len(over))):
                group.pause = min(max(2 * group.pause, _FIRST_PAUSE), _LONGEST_PAUSE)
                group.try_at = now + group.pause
                return
            self._sent.append(now)
        group.told = {name: dict(one.notification.labels) for name, one in firing.items()}
        group.told_at, group.pause, group.try_at = now, 0.0, -math.inf
        if not firing:
            del self._groups[key]

    async def _taken(self, message: Message, count: int) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._messenger.send(message)
        except Exception as error:  # whatever a messenger does, alerting goes on
            self._counts.failed.labels(self.name).inc(count)
            # The error's own words may hold an address with a secret in it.
            logger.warning("%s: a message was not taken (%s); it is sent again", self.name, type(error).__name__)
            return False
        self._counts.sent.labels(self.name).inc(count)
        return True

    def _message(self, firing: Mapping[str, Tellable], over: Mapping[str, Mapping[str, str]], now: float) -> Message:
        severities = {one.notification.labels.get("severity", "") for one in firing.values()}
        severity = next((one for one in _SEVERITIES if one in severities), "info")
        names = sorted(
            {one.notification.labels.get("alertname", "") for one in firing.values()}
            | {labels.get("alertname", "") for labels in over.values()}
        )
        what = f"[FIRING:{len(firing)}]" if firing else "[RESOLVED]"
        data = {
            "Firing": [_shown(one.notification.labels, one.notification.annotations) for one in firing.values()],
            "Resolved": [_shown(labels, {}) for labels in over.values()],
        }
        try:
            text = self._text.expand(data, functions_of(lambda _: [], now, ""))
        except TemplateError as error:
            text = f"(the template of the text failed: {error})"
        return Message(f"{what} {', '.join(names)}"[:200], text.strip()[:_MAX_TEXT_CHARS], severity, not firing)

    def dump(self) -> dict[str, Any]:
        """What was told, for the next start."""
        return {
            "groups": [[list(key), one.since, one.told, one.told_at] for key, one in self._groups.items() if one.told],
            "sent": list(self._sent),
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """What `dump` gave before the start."""
        for key, since, told, told_at in saved.get("groups", ()):
            self._groups[tuple(key)] = _Group(since, told, told_at)
        self._sent = deque(saved.get("sent", ()))

    def shift(self, seconds: float) -> None:
        """The clock was set by so much."""
        for one in self._groups.values():
            one.since, one.told_at, one.try_at = one.since + seconds, one.told_at + seconds, one.try_at + seconds
        self._sent = deque(at + seconds for at in self._sent)


def _shown(labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, Any]:
    rest = {name: value for name, value in labels.items() if name != "alertname"}
    text = " ".join(f"{name}={value}" for name, value in sorted(rest.items()))
    return {"Labels": dict(labels), "Annotations": dict(annotations), "LabelText": text}
