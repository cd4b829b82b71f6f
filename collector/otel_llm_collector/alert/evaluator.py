"""Evaluates the groups of rules, each at its interval; keeps the alerts; offers them to the tellers.

Evaluation runs in a thread beside the event loop, telling in tasks of its own: a slow rule delays no request, a target
that hangs delays no rule. A group whose turn has passed while another was evaluated is evaluated at once and its missed
turns are counted. When the wall clock is set, everything remembered is moved along, so that neither a hold nor a window
is cut short or drawn out by it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from otel_llm_collector.alert import group as groups
from otel_llm_collector.alert import view
from otel_llm_collector.alert.group import Active, RunningGroup, RunningRule, Surroundings
from otel_llm_collector.alert.grouping import GroupTeller
from otel_llm_collector.alert.long import Long
from otel_llm_collector.alert.memory import Memory
from otel_llm_collector.alert.rule_files import Group
from otel_llm_collector.alert.rules import AlertsConfig
from otel_llm_collector.alert.silences import Silences
from otel_llm_collector.alert.spans import SpanRules
from otel_llm_collector.alert.state import Alert, State
from otel_llm_collector.alert.tell import Tellable, Teller
from otel_llm_collector.contract import Notification
from otel_llm_collector.measure.promql.storage import make_labels
from otel_llm_collector.measure.sampler import Sampler

logger = logging.getLogger(__name__)

_CLOCK_SET_SECONDS = 30.0  # a difference from the steady clock larger than this means that the wall clock was set
_OUTAGE_TOLERANCE = 3600.0  # pending alerts of a collector that was away for longer begin anew, as in Prometheus
_SAVED_AT_STEP = 60.0  # the file is not written anew only because time passed
_SAVE_EVERY = 300.0  # seconds between two savings of what objectives look back on
_REMOVED = "(removed)"  # the group of rules that are no longer there but whose alerts have to be resolved
_IDLE_SECONDS = 1.0  # the longest sleep between two looks at what is due


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since the epoch, and seconds of a clock that is never set."""

    wall: Callable[[], float]
    steady: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody who is told, with the settings that made the teller; `before` knows what the target was told so far."""

    settings: object
    teller: Teller | GroupTeller
    before: Teller | GroupTeller | None = None


class Evaluator:
    """Runs groups of rules over `past`, which `sampler` fills with our own series before each turn."""

    def __init__(
        self,
        config: AlertsConfig,
        rule_groups: Sequence[Group],
        store: Long,
        sampler: Sampler,
        tellers: Sequence[Teller | GroupTeller],
        memory: Memory,
        registry: CollectorRegistry,
        clock: Clock,
        spans: SpanRules,
    ) -> None:
        self._config = config
        self._store = store
        self._spans = spans
        self._sampler = sampler
        self._tellers = list(tellers)
        self._memory = memory
        self._clock = clock
        self._around = Surroundings(config.external_labels, config.external_url)
        self._standing = _standing(spans, config.evaluation_seconds)
        self._groups = [*map(_running, rule_groups), *self._standing]
        self._incoming: tuple[list[Group], AlertsConfig] | None = None
        self._incoming_targets: list[Target] | None = None
        self.silences = Silences()
        self._task: asyncio.Task[None] | None = None
        self._offset = math.nan
        self._sample_at = -math.inf
        self._saved_at = -math.inf
        self._evaluations = Counter("otel_llm_alert_evaluations", "Rules evaluated.", registry=registry)
        self._failures = Counter("otel_llm_alert_evaluation_failures", "Rules that failed.", registry=registry)
        self._missed = Counter("otel_llm_alert_missed_turns", "Turns of groups that were skipped.", registry=registry)
        self._set = Counter("otel_llm_alert_clock_changes", "Times the wall clock was set.", registry=registry)
        firing = Gauge("otel_llm_alert_firing", "Alerts that fire now.", registry=registry)
        firing.set_function(lambda: sum(1 for *_, one in self._active() if one.alert.state is State.FIRING))

    async def start(self) -> None:
        """Remember what was before the start, and evaluate from now on."""
        self.restore(self._clock.wall())
        for teller in self._tellers:
            await teller.start()
        self._task = asyncio.create_task(self._run())

    async def shutdown(self) -> None:
        """Stop evaluating; alerts that fire stay as the notifiers know them until their end time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            self._memory.save(self.dump(self._clock.wall()))
            self._store.save(round(self._clock.wall() * 1000))
        for teller in self._tellers:
            await teller.shutdown()

    async def _run(self) -> None:
        while True:
            try:
                await self.change_targets()
                await asyncio.to_thread(self.evaluate, self._clock.wall())
                now = self._clock.wall()
                self.offer(now)
                await asyncio.to_thread(self._memory.save, self.dump(now))
                if not 0 <= now - self._saved_at < _SAVE_EVERY:
                    self._saved_at = now
                    await asyncio.to_thread(self._store.save, round(now * 1000))
            except Exception:  # whatever it was, alerting goes on
                logger.exception("a turn of alerting failed; the next one follows")
            await asyncio.sleep(self._pause(self._clock.wall()))

    def _pause(self, now: float) -> float:
        next_at = min([self._sample_at, *(one.next_at for one in self._groups)])
        return min(max(next_at - now, 0.01), _IDLE_SECONDS)

    def evaluate(self, now: float) -> None:
        """Sample, and evaluate every group that is due at `now`."""
        self._notice_clock(now)
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            self._take_over(*incoming, now)
        due = [one for one in self._groups if one.next_at <= now]
        if due or self._sample_at <= now:
            self._sampler.sample(round(now * 1000))
            self._sample_at = now + self._sampler.resolution_ms / 1000
        for one in due:
            interval = one.group.interval
            if math.isfinite(one.next_at):
                self._missed.inc(max(0, math.floor((now - one.next_at) / interval)))
            late = (now - one.next_at) % interval if math.isfinite(one.next_at) else 0.0
            one.next_at = now + interval - late
            failed = groups.evaluate(one, self._store, now, self._around, self._clock.steady)
            self._evaluations.inc(len(one.rules))
            self._failures.inc(failed)
            if one.group.name == _REMOVED and not any(rule.active for rule in one.rules):
                self._groups = [other for other in self._groups if other is not one]

    def _notice_clock(self, now: float) -> None:
        offset = now - self._clock.steady()
        by = offset - self._offset
        self._offset = offset
        if not abs(by) > _CLOCK_SET_SECONDS:
            return
        logger.warning("the clock was set by %+.0f s; alerts and their past are moved along", by)
        self._set.inc()
        self._store.shift(round(by * 1000))
        self._spans.shift(by)
        self._sampler.shift(round(by * 1000))
        self._sample_at += by
        for one in self._groups:
            one.next_at += by
            for rule in one.rules:
                groups.move(rule, by)
        for teller in self._tellers:
            teller.shift(by)

    def offer(self, now: float) -> None:
        """Offer every alert that is not silenced to every teller."""
        tellable = self.tellable(now)
        for teller in self._tellers:
            teller.offer(tellable, now)

    def tellable(self, now: float) -> list[Tellable]:
        """Every alert that somebody may have to be told of: firing or over, and not silenced."""
        lasting = 4 * max(self._config.evaluation_seconds, self._config.resend_seconds)
        tellable = []
        for in_group, rule, one in self._active():
            labels = {**self._config.external_labels, **dict(one.labels)}
            if one.alert.state is State.PENDING or self.silences.silenced(labels, now):
                continue
            over = one.alert.state is State.RESOLVED
            ends_at = one.alert.resolved_at if over else now + max(lasting, 4 * in_group.group.interval)
            link = view.link(self._config.external_url, rule.rule)
            notification = Notification(labels, dict(one.annotations), one.alert.fired_at, ends_at, link)
            tellable.append(Tellable(f"{rule.key} {json.dumps(one.labels)}", one.alert, notification))
        return tellable

    def _active(self) -> Iterator[tuple[RunningGroup, RunningRule, Active]]:
        for in_group in self._groups:
            for rule in in_group.rules:
                for one in rule.active.values():
                    yield in_group, rule, one

    def reload(
        self, rule_groups: Sequence[Group], config: AlertsConfig | None = None, targets: list[Target] | None = None
    ) -> None:
        """Take other groups, and other settings and targets where they are given, before the next turn.

        Rules that did not change keep their alerts; alerts of rules that went are resolved.
        """
        self._incoming = list(rule_groups), config or self._config
        self._incoming_targets = targets

    async def change_targets(self) -> None:
        """Tell those that a reload named, from now on; one that was there before goes on where it was."""
        incoming, self._incoming_targets = self._incoming_targets, None
        if incoming is None:
            return
        running, self._tellers = self._tellers, [one.teller for one in incoming]
        for teller in running:
            if teller not in self._tellers:
                await teller.shutdown()
        for one in incoming:
            if one.teller in running:
                continue
            if one.before is not None:
                one.teller.load(one.before.dump())
            try:
                await one.teller.start()
            except Exception:  # the others are told all the same, and this one's failures are counted
                logger.exception("%s cannot be told", one.teller.name)

    def _take_over(self, rule_groups: Sequence[Group], config: AlertsConfig, now: float) -> None:
        self._config = config
        self._around = Surroundings(config.external_labels, config.external_url)
        self._standing = _standing(self._spans, config.evaluation_seconds)
        old = {rule.key: rule for in_group in self._groups for rule in in_group.rules}
        turns = {(one.group.file, one.group.name): one for one in self._groups}
        fresh = [_running(one) for one in rule_groups]
        for in_group in (*fresh, *self._standing):
            before = turns.get((in_group.group.file, in_group.group.name))
            if before is not None and before.group.interval == in_group.group.interval:
                in_group.next_at = before.next_at
            for rule in in_group.rules:
                kept = old.pop(rule.key, None)
                if kept is not None:
                    rule.active, rule.written, rule.error = kept.active, kept.written, kept.error
                    rule.evaluated_at, rule.trusted_from = kept.evaluated_at, kept.trusted_from
        gone = [groups.retired(rule, now) for rule in old.values() if rule.active or rule.written]
        if gone:
            fresh.append(RunningGroup(Group(_REMOVED, "", self._config.evaluation_seconds, ()), gone))
        self._groups = [*fresh, *self._standing]

    def dump(self, now: float) -> dict[str, Any]:
        """What has to survive a restart."""
        return {
            "saved_at": math.floor(now / _SAVED_AT_STEP) * _SAVED_AT_STEP,
            "alerts": [
                {"rule": rule.key, "labels": dict(one.labels), "annotations": dict(one.annotations)}
                | {name: _plain(value) for name, value in asdict(one.alert).items() if name != "value"}
                for in_group, rule, one in self._active()
            ],
            "told": {teller.name: teller.dump() for teller in self._tellers},
            "silences": self.silences.dump(),
        }

    def restore(self, now: float) -> None:
        """Take up what `dump` saved before the restart.

        A restored alert that fires does not end before its rule can see as far back again as it looks.
        """
        self._store.load(round(now * 1000))
        saved = self._memory.load()
        if not saved:
            return
        away = now - float(saved["saved_at"])
        rules = {rule.key: rule for in_group in self._groups for rule in in_group.rules}
        for one in saved["alerts"]:
            rule = rules.get(one["rule"])
            state = State(one["state"])
            if rule is None or (state is State.PENDING and away > _OUTAGE_TOLERANCE):
                continue
            times = {name: float(one[name]) for name in ("active_at", "fired_at", "resolved_at", "kept_since")}
            labels = make_labels(one["labels"])
            rule.active[labels] = Active(Alert(state, value=math.nan, **times), labels, one["annotations"])
            rule.trusted_from = now + min(groups.looks_back(rule.rule), _OUTAGE_TOLERANCE)
        for teller in self._tellers:
            teller.load(saved["told"].get(teller.name, {}))
        self.silences.load(saved["silences"])

    def alerts(self) -> dict[str, Any]:
        """The `data` of Prometheus' /api/v1/alerts."""
        return {"alerts": [view.alert(one) for _, _, one in self._active() if one.alert.state is not State.RESOLVED]}

    def rules(self) -> dict[str, Any]:
        """The `data` of Prometheus' /api/v1/rules."""
        return {"groups": [view.group(one) for one in self._groups if one.group.name != _REMOVED]}


def _running(one: Group) -> RunningGroup:
    return RunningGroup(
        one, [groups.running(rule, json.dumps([one.file, one.name, *rule.identity])) for rule in one.rules]
    )


def _standing(spans: SpanRules, interval: float) -> list[RunningGroup]:
    """The group of the rules about single spans, which have no query."""
    rules = spans.running(lambda rule: json.dumps(["", "spans", *rule.identity]))
    return [RunningGroup(Group("spans", "configuration", interval, ()), rules)] if rules else []


def _plain(value: object) -> object:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
