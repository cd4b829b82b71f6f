"""Evaluates the rules at an interval, keeps the alerts, tells the notifiers.

A rule that fails is shown as failed and the others go on. Notification runs beside evaluation: a target that hangs
delays neither.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from otel_llm_semconv.metrics import METRICS
from prometheus_client import CollectorRegistry, Counter

from otel_llm_collector.alert.rules import CONDITIONS, QUANTILES, AlertsConfig, Statistic, ThresholdRule
from otel_llm_collector.alert.state import Alert, State, is_due, step
from otel_llm_collector.contract import Notification, Notifier
from otel_llm_collector.measure.series import SeriesStore
from otel_llm_collector.measure.window import Change, Window, quantile

logger = logging.getLogger(__name__)

Group = tuple[str, ...]  # values of the labels in a rule's `by`


@dataclass(slots=True)
class _Running:
    """A rule with its alerts and what its last evaluation was like."""

    rule: ThresholdRule
    alerts: dict[Group, Alert] = field(default_factory=dict)
    error: str = ""
    evaluated_at: float = math.nan
    seconds: float = 0.0


class Evaluator:
    """Runs the threshold rules over a `SeriesStore`; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        config: AlertsConfig,
        rules: Sequence[ThresholdRule],
        store: SeriesStore,
        notifiers: Sequence[Notifier],
        registry: CollectorRegistry,
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._running = [_Running(rule) for rule in rules]
        self._notifiers = list(notifiers)
        self._clock = clock
        names: dict[float, set[str]] = defaultdict(set)
        for rule in rules:
            names[rule.window_seconds].update(filter(None, (rule.metric, rule.per)))
        self._windows = {seconds: Window(store, used, seconds) for seconds, used in names.items()}
        self._task: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._evaluations = Counter("otel_llm_alert_evaluations", "Rules evaluated.", registry=registry)
        self._failures = Counter("otel_llm_alert_evaluation_failures", "Rules that failed.", registry=registry)

    async def start(self) -> None:
        """Evaluate from now on."""
        for notifier in self._notifiers:
            await notifier.start()
        if self._running:
            self._task = asyncio.create_task(self._run())

    async def shutdown(self) -> None:
        """Stop evaluating; alerts that fire stay as the notifiers know them until their end time."""
        for task in (self._task, self._telling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._task = self._telling = None
        for notifier in self._notifiers:
            await notifier.shutdown()

    async def _run(self) -> None:
        while True:
            self.evaluate(self._clock())
            if self._telling is None or self._telling.done():
                self._telling = asyncio.create_task(self._tell(self._clock()))
            await asyncio.sleep(self._config.evaluation_seconds)

    def evaluate(self, now: float) -> None:
        """Evaluate every rule at `now`."""
        for window in self._windows.values():
            window.snapshot(now)
        for running in self._running:
            self._evaluations.inc()
            try:
                self._evaluate(running, now)
                running.error = ""
            except Exception as error:  # one rule must not stop the others
                self._failures.inc()
                running.error = f"{type(error).__name__}: {error}"
                logger.exception("rule %s failed", running.rule.name)
            running.evaluated_at = now
            running.seconds = max(0.0, self._clock() - now)

    def _evaluate(self, running: _Running, now: float) -> None:
        rule = running.rule
        holds = CONDITIONS[rule.condition]
        values = {
            group: value
            for group, value in self._values(rule).items()
            if not math.isnan(value) and holds(value, rule.threshold)
        }
        for group in {*values, *running.alerts}:
            after = step(running.alerts.get(group), values.get(group), now, rule.duration_seconds)
            if after is None:
                running.alerts.pop(group, None)
            else:
                running.alerts[group] = after

    def _values(self, rule: ThresholdRule) -> dict[Group, float]:
        """The statistic of each group."""
        groups = self._groups(rule.metric, rule)
        if rule.statistic is Statistic.RATIO:
            assert rule.per is not None  # noqa: S101 - the rule's own validator says so
            below = self._groups(rule.per, rule)
            return {group: _ratio(_sum(groups.get(group, [])), _sum(changes)) for group, changes in below.items()}
        return {group: _statistic(rule, changes) for group, changes in groups.items()}

    def _groups(self, name: str, rule: ThresholdRule) -> dict[Group, list[Change]]:
        groups: dict[Group, list[Change]] = defaultdict(list)
        known = {key.replace(".", "_") for key in METRICS[name].attributes}
        where = {label: value for label, value in rule.where.items() if label in known}
        for change in self._windows[rule.window_seconds].changes(name):
            if all(change.labels.get(label) == value for label, value in where.items()):
                groups[tuple(change.labels.get(label, "") for label in rule.by)].append(change)
        return groups

    async def _tell(self, now: float) -> None:
        """Send what is due. What was not taken stays due."""
        due = [
            (running, group, alert)
            for running in self._running
            for group, alert in running.alerts.items()
            if is_due(alert, now, self._config.resend_seconds)
        ]
        if not due or not self._notifiers:
            return
        notifications = [self._notification(running.rule, group, alert, now) for running, group, alert in due]
        taken = await asyncio.gather(*(notifier.notify(notifications) for notifier in self._notifiers))
        if not all(taken):
            return
        for running, group, alert in due:
            current = running.alerts.get(group)
            if current is not None and current.state is alert.state:
                running.alerts[group] = replace(current, sent_at=now)

    def _notification(self, rule: ThresholdRule, group: Group, alert: Alert, now: float) -> Notification:
        lasting = 4 * max(self._config.evaluation_seconds, self._config.resend_seconds)
        ends_at = alert.resolved_at if alert.state is State.RESOLVED else now + lasting
        labels = {**self._config.external_labels, **_labels(rule, group)}
        return Notification(labels, _annotations(rule, alert), alert.fired_at, ends_at)

    def alerts(self) -> dict[str, Any]:
        """The `data` of Prometheus' /api/v1/alerts."""
        return {
            "alerts": [
                _shown(running.rule, group, alert)
                for running in self._running
                for group, alert in sorted(running.alerts.items())
                if alert.state is not State.RESOLVED
            ]
        }

    def rules(self) -> dict[str, Any]:
        """The `data` of Prometheus' /api/v1/rules, all rules in one group."""
        if not self._running:
            return {"groups": []}
        last = max((running.evaluated_at for running in self._running), default=math.nan)
        group = {
            "name": "thresholds",
            "file": "configuration",
            "rules": [_shown_rule(running) for running in self._running],
            "interval": self._config.evaluation_seconds,
            "limit": 0,
            "evaluationTime": sum(running.seconds for running in self._running),
            "lastEvaluation": _time(last),
        }
        return {"groups": [group]}


def _statistic(rule: ThresholdRule, changes: list[Change]) -> float:
    if rule.statistic is Statistic.INCREASE:
        return _sum(changes)
    if rule.statistic is Statistic.RATE:
        return _ratio(_sum(changes), max(change.seconds for change in changes))
    counts = [sum(column) for column in zip(*(change.counts for change in changes), strict=True)]
    if rule.statistic is Statistic.MEAN:
        return _ratio(sum(change.value for change in changes), sum(counts))
    return quantile(QUANTILES[rule.statistic], METRICS[rule.metric].boundaries, counts)


def _sum(changes: list[Change]) -> float:
    """The increase: of a counter its value, of a histogram its number of observations."""
    return sum(sum(change.counts) if change.counts else change.value for change in changes)


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.nan


def _labels(rule: ThresholdRule, group: Group) -> dict[str, str]:
    grouped = {label: value for label, value in zip(rule.by, group, strict=True) if value}
    return {**grouped, "alertname": rule.name, "severity": rule.severity}


def _annotations(rule: ThresholdRule, alert: Alert) -> dict[str, str]:
    what = f"{rule.statistic} of {rule.metric}" + (f" per {rule.per}" if rule.per else "")
    annotations = {
        "summary": rule.summary or f"{what} is {rule.condition} {rule.threshold:g}",
        "description": f"{what} over {rule.window_seconds:g} s is {alert.value:.6g}",
    }
    return {**annotations, "runbook_url": rule.runbook_url} if rule.runbook_url else annotations


def _shown(rule: ThresholdRule, group: Group, alert: Alert) -> dict[str, Any]:
    return {
        "labels": _labels(rule, group),
        "annotations": _annotations(rule, alert),
        "state": alert.state.value,
        "activeAt": _time(alert.active_at),
        "value": f"{alert.value:e}",
    }


def _shown_rule(running: _Running) -> dict[str, Any]:
    rule = running.rule
    shown = [_shown(rule, group, alert) for group, alert in running.alerts.items() if alert.state is not State.RESOLVED]
    states = {alert["state"] for alert in shown}
    return {
        "state": "firing" if "firing" in states else "pending" if "pending" in states else "inactive",
        "name": rule.name,
        "query": f"{rule.statistic}({rule.metric}) {rule.condition} {rule.threshold:g}",
        "duration": rule.duration_seconds,
        "keepFiringFor": 0,
        "labels": {"severity": rule.severity},
        "annotations": {"summary": rule.summary},
        "alerts": shown,
        "health": "err" if running.error else "unknown" if math.isnan(running.evaluated_at) else "ok",
        **({"lastError": running.error} if running.error else {}),
        "evaluationTime": running.seconds,
        "lastEvaluation": _time(running.evaluated_at),
        "type": "alerting",
    }


def _time(seconds: float) -> str:
    if math.isnan(seconds):
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
