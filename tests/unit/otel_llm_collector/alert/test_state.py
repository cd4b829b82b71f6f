"""The life of an alert: never fires before its hold, always resolves, is told no more often than needed."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.alert.state import RESOLVED_RETENTION, Alert, State, Told, is_due, shifted, step

HOLD = 10.0
RESEND = 60.0


def states(observations: list[tuple[float, float | None]], hold: float = HOLD) -> list[State | None]:
    """The states after each (time, value)."""
    alert, seen = None, []
    for now, value in observations:
        alert = step(alert, value, now, hold)
        seen.append(alert.state if alert else None)
    return seen


def test_pending_then_firing_then_resolved_then_forgotten() -> None:
    """The whole life on one line."""
    life = [(0, 1.0), (5, 1.0), (10, 1.0), (20, 1.0), (25, None), (30, None), (25 + RESOLVED_RETENTION, None)]
    assert states(life) == [
        State.PENDING, State.PENDING, State.FIRING, State.FIRING, State.RESOLVED, State.RESOLVED, None
    ]  # fmt: skip


def test_a_pending_alert_that_ends_was_nothing() -> None:
    """It was never told to anybody, so nobody hears that it is over; the hold starts anew."""
    assert states([(0, 1.0), (5, None), (6, 1.0), (15, 1.0), (16, 1.0)]) == [
        State.PENDING, None, State.PENDING, State.PENDING, State.FIRING
    ]  # fmt: skip


def test_no_hold_fires_at_once() -> None:
    """`duration_seconds: 0`."""
    assert states([(0, 1.0)], hold=0) == [State.FIRING]


def test_a_resolved_alert_that_comes_back_starts_anew() -> None:
    """Pending again with a new beginning, as in Prometheus."""
    assert states([(0, 1.0), (10, 1.0), (20, None), (25, 1.0), (35, 1.0)])[-2:] == [State.PENDING, State.FIRING]


def test_a_clock_that_goes_back_neither_fires_early_nor_forgets() -> None:
    """A pending alert holds anew; a firing one keeps firing."""
    assert states([(100, 1.0), (50, 1.0), (55, 1.0), (60, 1.0)]) == [
        State.PENDING, State.PENDING, State.PENDING, State.FIRING
    ]  # fmt: skip
    assert states([(100, 1.0), (110, 1.0), (50, 1.0)])[-1] is State.FIRING


def test_due_at_once_and_then_at_the_interval() -> None:
    """Firing and resolved are told at once and again every `RESEND` seconds; pending never."""
    assert not is_due(Alert(State.PENDING, 0, 1.0), None, 1000, RESEND)
    firing = Alert(State.FIRING, 0, 1.0, fired_at=0)
    assert is_due(firing, None, 0, RESEND)
    told = Told(State.FIRING, 0)
    assert not is_due(firing, told, RESEND - 1, RESEND)
    assert is_due(firing, told, RESEND, RESEND)
    assert is_due(firing, told, -5, RESEND), "after the clock went back it is told again"
    assert is_due(Alert(State.RESOLVED, 0, 1.0), told, 1, RESEND), "that it is over is told at once"


def test_keep_firing_for() -> None:
    """A condition that ends is kept for a while; one that returns meanwhile is the same alert."""
    alert = None
    seen = []
    for now, value in ((0, 1.0), (5, None), (9, None), (10, 1.0), (12, None), (21, None), (22, None)):
        alert = step(alert, value, now, 0, keep=10)
        seen.append(alert.state if alert else None)
    assert seen == [State.FIRING] * 6 + [State.RESOLVED]
    assert alert is not None
    assert alert.fired_at == 0


def test_moving_with_the_clock() -> None:
    """All times move, those that are not there stay so."""
    moved = shifted(Alert(State.FIRING, active_at=1, value=2.0, fired_at=3), 100)
    assert (moved.active_at, moved.fired_at, moved.value) == (101, 103, 2.0)
    assert math.isnan(moved.resolved_at)


@given(st.lists(st.tuples(st.floats(0.1, 30), st.booleans()), max_size=40))
def test_never_before_the_hold_and_never_forgotten(turns: list[tuple[float, bool]]) -> None:
    """Whatever happens in time: firing only after an unbroken hold, and everything that fired is resolved."""
    now, since, alert = 0.0, math.nan, None
    fired = resolved = 0
    for passed, holds in turns:
        now += passed
        before = alert.state if alert else None
        since = (now if math.isnan(since) else since) if holds else math.nan
        alert = step(alert, 1.0 if holds else None, now, HOLD)
        after = alert.state if alert else None
        if after is State.FIRING and before is not State.FIRING:
            assert now - since >= HOLD
            fired += 1
        if after is State.RESOLVED and before is not State.RESOLVED:
            assert before is State.FIRING
            resolved += 1
        if holds:
            assert after in (State.PENDING, State.FIRING)
    assert fired - resolved == (1 if alert and alert.state is State.FIRING else 0)
