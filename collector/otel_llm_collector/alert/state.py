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
    """One alert; times in seconds since the epoch, `sent_at` when it was last told."""

    state: State
    active_at: float
    value: float
    fired_at: float = math.nan
    resolved_at: float = math.nan
    sent_at: float = -math.inf


def step(alert: Alert | None, value: float | None, now: float, hold: float) -> Alert | None:
    """The alert after one evaluation; None is inactive.

    `value` is what was measured when the condition holds, None when it does not (or cannot be known); `hold` is for
    how many seconds it must hold before it fires.
    """
    if value is None:
        return _ended(alert, now)
    if alert is None or alert.state is State.RESOLVED:
        alert = Alert(State.PENDING, active_at=now, value=value)
    elif now < alert.active_at:  # the clock went back: the hold starts again, a firing alert keeps firing
        alert = replace(alert, active_at=now)
    alert = replace(alert, value=value)
    if alert.state is State.PENDING and now - alert.active_at >= hold:
        return replace(alert, state=State.FIRING, fired_at=now)
    return alert


def _ended(alert: Alert | None, now: float) -> Alert | None:
    if alert is None or alert.state is State.PENDING:
        return None
    if alert.state is State.FIRING:
        return replace(alert, state=State.RESOLVED, resolved_at=now, sent_at=-math.inf)
    age = now - alert.resolved_at
    return alert if 0 <= age < RESOLVED_RETENTION else None


def is_due(alert: Alert, now: float, resend: float) -> bool:
    """Whether somebody should be told of `alert` now: at once, and again every `resend` seconds."""
    if alert.state is State.PENDING:
        return False
    return now - alert.sent_at >= resend or now < alert.sent_at
