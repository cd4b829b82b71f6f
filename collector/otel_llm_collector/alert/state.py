"""The life of one alert as a pure function: (state, does the condition hold, now) -> (state, what is due).

    inactive -> pending -> firing -> resolved -> forgotten

A pending alert whose condition ends was never told to anybody and is forgotten at once. A resolved one is kept and
told again for `RESOLVED_RETENTION` seconds, because the notification that it ended may be lost. If its condition holds
again in that time it starts anew. The life follows Prometheus (`rules/alerting.go`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

RESOLVED_RETENTION = 15 * 60.0


class State(StrEnum):
    """Where an alert is in its life; `resolved` is shown as inactive."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert; times in seconds since the epoch, `kept_since` when its condition ended though it goes on firing."""

    state: State
    active_at: float
    value: float
    fired_at: float = math.nan
    resolved_at: float = math.nan
    kept_since: float = math.nan


def step(alert: Alert | None, value: float | None, now: float, hold: float, keep: float = 0.0) -> Alert | None:
    """The alert after one evaluation; None is inactive.

    `value` is what was measured when the condition holds, None when it does not (or cannot be known); `hold` is for
    how many seconds it must hold before it fires, `keep` for how many it goes on firing afterwards.
    """
    if value is None:
        return _ended(alert, now, keep)
    if alert is None or alert.state is State.RESOLVED:
        alert = Alert(State.PENDING, active_at=now, value=value)
    elif now < alert.active_at:  # the clock went back: the hold starts again, a firing alert keeps firing
        alert = replace(alert, active_at=now)
    alert = replace(alert, value=value, kept_since=math.nan)
    if alert.state is State.PENDING and now - alert.active_at >= hold:
        return replace(alert, state=State.FIRING, fired_at=now)
    return alert


def _ended(alert: Alert | None, now: float, keep: float) -> Alert | None:
    if alert is None or alert.state is State.PENDING:
        return None
    if alert.state is State.FIRING:
        since = now if math.isnan(alert.kept_since) or now < alert.kept_since else alert.kept_since
        if now - since < keep:
            return replace(alert, kept_since=since)
        return replace(alert, state=State.RESOLVED, resolved_at=now)
    age = now - alert.resolved_at
    return alert if 0 <= age < RESOLVED_RETENTION else None


def shifted(alert: Alert, seconds: float) -> Alert:
    """The alert with all its times moved: the clock was set, and what was a minute ago is still a minute ago."""
    return replace(
        alert,
        active_at=alert.active_at + seconds,
        fired_at=alert.fired_at + seconds,
        resolved_at=alert.resolved_at + seconds,
        kept_since=alert.kept_since + seconds,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What one target was last told of an alert, and when."""

    state: State
    at: float


def is_due(alert: Alert, told: Told | None, now: float, resend: float) -> bool:
    """Whether a target that knows `told` should be told of `alert` now: at once, and again every `resend` seconds."""
    if alert.state is State.PENDING:
        return False
    if told is None or told.state is not alert.state:
        return True
    return now - told.at >= resend or now < told.at
