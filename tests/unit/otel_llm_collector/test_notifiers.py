"""Notifiers of other packages enter by entry point, and none may take another's name."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector import components, config
from otel_llm_collector.alert.grouping import GroupingSettings, Message, Messenger
from otel_llm_collector.components import NOTIFIER_ENTRY_POINTS, NotifierKind
from otel_llm_collector.errors import ConfigError, StartError


class PagerSettings(GroupingSettings):
    """Settings of a notifier that somebody else wrote."""

    room: str


class Pager:
    """Tells nobody."""

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def send(self, message: Message) -> None: ...


def _messengers(_: PagerSettings) -> list[Messenger]:
    return [Pager()]


PAGER = NotifierKind(PagerSettings, _messengers)


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if packages with such entry points were installed."""

    class Point(EntryPoint):
        def load(self) -> Any:
            return PAGER

    points = [Point(name, "somewhere:PAGER", NOTIFIER_ENTRY_POINTS) for name in names]
    monkeypatch.setattr(components, "entry_points", lambda group: points if group == NOTIFIER_ENTRY_POINTS else [])


def test_an_entry_point_is_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings are read like ours, its mistakes told like ours."""
    installed(monkeypatch, "pager")
    text = "alerts: {notify: {ops: {type: pager, room: one, group_by: [severity]}}}"
    read = config.parse(text, {}, source="test", folder=Path())
    assert isinstance(read.notify["ops"], PagerSettings)
    with pytest.raises(ConfigError) as caught:
        config.parse("alerts: {notify: {a: {type: pager}, b: {type: pigeon}}}", {}, source="test", folder=Path())
    assert {problem.path for problem in caught.value.problems} == {"alerts.notify.a.room", "alerts.notify.b.type"}


def test_two_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's settings may go to another's code."""
    installed(monkeypatch, "apprise")
    with pytest.raises(StartError, match="two notifiers are named apprise"):
        config.parse("alerts: {notify: {a: {type: apprise}}}", {}, source="test", folder=Path())


def test_addresses_are_never_shown() -> None:
    """A mistake in an address does not put its secret into a sentence."""
    pytest.importorskip("apprise")
    with pytest.raises(ConfigError) as caught:
        config.parse(
            "alerts: {notify: {a: {type: apprise, urls: ['nonsense:hunter2']}}}", {}, source="test", folder=Path()
        )
    assert "hunter2" not in str(caught.value)
