"""People are told once, together, again now and then, and that it is over; a target that fails is tried again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from otel_llm_collector.alert.apprise import AppriseSettings
from otel_llm_collector.alert.grouping import GroupingSettings, GroupTeller, Message
from otel_llm_collector.alert.state import Alert, State
from otel_llm_collector.alert.tell import NotificationCounts, Tellable
from otel_llm_collector.contract import Notification
from otel_llm_collector.errors import Retryable
from prometheus_client import CollectorRegistry
from pydantic import ValidationError


class Heard:
    """A messenger that remembers, and takes nothing while `taking` is false."""

    def __init__(self) -> None:
        self.taking = True
        self.tries = 0
        self.messages: list[Message] = []

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def send(self, message: Message) -> None:
        self.tries += 1
        if not self.taking:
            raise Retryable("https://secret-token@example")
        self.messages.append(message)


class Bench:
    """A teller and a clock."""

    def __init__(self, **settings: Any) -> None:
        self.heard = Heard()
        said = {"type": "x", "wait_seconds": 10, "interval_seconds": 60, "repeat_seconds": 3600, **settings}
        self.registry = CollectorRegistry()
        self.teller = GroupTeller(
            "people", self.heard, GroupingSettings.model_validate(said), NotificationCounts(self.registry)
        )
        self.now = 1000.0
        self.firing: dict[str, dict[str, str]] = {}

    def fire(self, *names: str, **labels: str) -> None:
        """These alerts fire from now on."""
        for name in names:
            self.firing[name] = {"alertname": name.partition("-")[0], "instance": name, "severity": "warning", **labels}

    def turn(self, seconds: float = 15) -> list[str]:
        """Let time pass; the titles of what was sent."""
        self.now += seconds
        before = len(self.heard.messages)
        alerts = [
            Tellable(
                name,
                Alert(State.FIRING, 0.0, 1.0, fired_at=0.0),
                Notification(labels, {"summary": f"about {name}", "trace_id": "abc"}, 0.0, self.now + 60),
            )
            for name, labels in self.firing.items()
        ]
        asyncio.run(self.teller.tell(alerts, self.now))
        return [message.title for message in self.heard.messages[before:]]


def test_a_life_of_a_group() -> None:
    """Waits for company, one message for two alerts, a change after the interval, a repetition, the end."""
    bench = Bench()
    bench.fire("Slow-1")
    assert bench.turn(1) == []
    bench.fire("Slow-2")
    assert bench.turn(10) == ["[FIRING:2] Slow"]
    bench.fire("Slow-3")
    assert bench.turn(30) == []
    assert bench.turn(30) == ["[FIRING:3] Slow"]
    assert bench.turn(600) == []
    assert bench.turn(3000) == ["[FIRING:3] Slow"]
    bench.firing.clear()
    assert bench.turn(30) == []
    assert bench.turn(30) == ["[RESOLVED] Slow"]
    assert bench.turn(7200) == []
    last = bench.heard.messages[-1]
    assert last.over
    assert "RESOLVED Slow" in last.text
    first = bench.heard.messages[0]
    assert "about Slow-1" in first.text
    assert "trace abc" in first.text


def test_what_ended_before_anybody_was_told_is_nothing() -> None:
    """No message at all."""
    bench = Bench()
    bench.fire("Slow-1")
    bench.turn(1)
    bench.firing.clear()
    assert bench.turn(20) == []
    assert bench.heard.tries == 0


def test_groups_are_told_apart() -> None:
    """Two names are two messages; without `group_by` all is one."""
    bench = Bench(wait_seconds=0)
    bench.fire("Slow-1", "Down-1", severity="critical")
    assert sorted(bench.turn()) == ["[FIRING:1] Down", "[FIRING:1] Slow"]
    whole = Bench(wait_seconds=0, group_by=[])
    whole.fire("Slow-1", "Down-1")
    assert whole.turn() == ["[FIRING:2] Down, Slow"]


def test_a_target_that_fails_for_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    """It is tried with pauses that grow, hears of it once it is back, and no address stands in the log."""
    bench = Bench(wait_seconds=0)
    bench.fire("Slow-1")
    bench.heard.taking = False
    for _ in range(240):
        bench.turn()
    assert 5 < bench.heard.tries < 20
    bench.heard.taking = True
    sent = [title for _ in range(60) for title in bench.turn()]
    assert sent == ["[FIRING:1] Slow"]
    assert "secret-token" not in caplog.text
    assert bench.registry.get_sample_value("otel_llm_notifications_sent_total", {"target": "people"}) == 1


def test_the_rate_is_limited_and_nothing_is_forgotten() -> None:
    """Three messages an hour; what waited comes in the next."""
    bench = Bench(wait_seconds=0, group_by=["instance"], max_messages_per_hour=3)
    bench.fire(*(f"A-{index}" for index in range(5)))
    assert len(bench.turn()) == 3
    assert bench.turn() == []
    assert len(bench.turn(3600)) == 3


def test_what_was_told_survives_a_restart() -> None:
    """Nothing is said twice; that it is over is said by the one who comes after."""
    bench = Bench(wait_seconds=0)
    bench.fire("Slow-1")
    bench.turn()
    after = Bench(wait_seconds=0)
    after.teller.load(bench.teller.dump())
    after.now, after.firing = bench.now, dict(bench.firing)
    assert after.turn(60) == []
    after.firing.clear()
    assert after.turn(60) == ["[RESOLVED] Slow"]


def test_a_text_of_ones_own_and_a_bad_one() -> None:
    """A template is checked when it is read; a long text is cut."""
    bench = Bench(wait_seconds=0, text='{{ range .Firing }}{{ .Labels.instance }};{{ end }}{{ printf "%900d" 1 }}' * 6)
    bench.fire("Slow-1")
    bench.turn()
    assert bench.heard.messages[0].text.startswith("Slow-1;")
    assert len(bench.heard.messages[0].text) <= 4000
    with pytest.raises(ValidationError, match="is no template"):
        GroupingSettings(type="x", text="{{ if }}")


def test_an_address_that_apprise_does_not_know() -> None:
    """It is refused and not shown."""
    pytest.importorskip("apprise")
    with pytest.raises(ValidationError, match="no address that apprise knows"):
        AppriseSettings.model_validate({"type": "apprise", "urls": ["nonsense:secret"]})
