"""One group of rules at one moment: queries, alerts, recorded series, and what is written of both.

A rule that fails is shown as failed, keeps its alerts as they were, and the others go on. What a rule recorded before
and records no more is ended with a stale marker, and so are `ALERTS` and `ALERTS_FOR_STATE` of alerts that are over.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from otel_llm_collector.alert.rule_files import Group, Rule
from otel_llm_collector.alert.state import Alert, State, shifted, step
from otel_llm_collector.alert.template import Template
from otel_llm_collector.alert.template_functions import TemplateError, functions_of
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.query import instant, parse
from otel_llm_collector.measure.promql.storage import METRIC_NAME, STALE, Labels, Storage, make_labels
from otel_llm_collector.measure.promql.syntax import Expr, Selector, Subquery, children
from otel_llm_collector.measure.promql.values import QueryError, Sample, Scalar, Vector

logger = logging.getLogger(__name__)

_LOOKBACK_MS = 300_000
_FAILED = "rule %s of group %s failed: %s"

ALERT_NAME = "alertname"
ALERT_STATE = "alertstate"
ALERTS = "ALERTS"
ALERTS_FOR_STATE = "ALERTS_FOR_STATE"


class Store(Storage, Protocol):
    """A store that rules read and write; `measure.past.Past` is one."""

    def has(self, labels: Labels) -> bool:
        """Whether there is such a series."""
        ...

    def append_one(
        self, labels: Labels, time_ms: int, value: float, now_ms: int, histogram: NativeHistogram | None = None
    ) -> bool:
        """Add one sample; whether there was room for its series."""
        ...


class RuleError(Exception):
    """A rule that could not be evaluated."""


@dataclass(frozen=True, slots=True)
class Found:
    """One series for which a rule's condition holds; `annotations` go beside those of the rule."""

    sample: Sample
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Active:
    """An alert with what is said of it."""

    alert: Alert
    labels: Labels
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What templates may speak of."""

    external_labels: Mapping[str, str]
    external_url: str


@dataclass(slots=True)
class RunningRule:
    """A rule with its alerts, the series it wrote last, and what its last evaluation was like."""

    key: str  # how it is known after a reload and a restart
    rule: Rule
    find: Callable[[Store, int], Sequence[Found]]
    active: dict[Labels, Active] = field(default_factory=dict)  # replaced as a whole, so that readers need no lock
    written: frozenset[Labels] = frozenset()
    error: str = ""
    evaluated_at: float = math.nan
    seconds: float = 0.0
    trusted_from: float = -math.inf  # a restored alert does not end before: the past it looks back on is not there yet


@dataclass(slots=True)
class RunningGroup:
    """A group with its rules, and when it is next to be evaluated."""

    group: Group
    rules: list[RunningRule]
    next_at: float = -math.inf
    evaluated_at: float = math.nan
    seconds: float = 0.0


def running(rule: Rule, key: str) -> RunningRule:
    """A rule that begins, with its own query."""

    def find(past: Store, at_ms: int) -> Sequence[Found]:
        result = instant(rule.query, past, at_ms)
        if isinstance(result, Scalar):
            return [Found(Sample((), result.value))]
        if isinstance(result, Vector):
            return [Found(sample) for sample in result.samples]
        msg = "rule result is not a vector or scalar"
        raise RuleError(msg)

    return RunningRule(key, rule, find)


def evaluate(
    running_group: RunningGroup, past: Store, now: float, around: Surroundings, clock: Callable[[], float]
) -> int:
    """Evaluate every rule of the group at `now`; how many of them failed."""
    group = running_group.group
    failed = 0
    began = clock()
    for one in running_group.rules:
        before = clock()
        try:
            _evaluate(one, group, past, now, around)
            one.error = ""
        except Exception as error:  # one rule must not stop the others
            failed += 1
            known = isinstance(error, (RuleError, QueryError))
            sentence = str(error) if known else f"{type(error).__name__}: {error}"
            if sentence != one.error:
                logger.log(logging.ERROR, _FAILED, one.rule.name, group.name, sentence, exc_info=not known)
            one.error = sentence
        one.evaluated_at = now
        one.seconds = max(0.0, clock() - before)
    running_group.evaluated_at = now
    running_group.seconds = max(0.0, clock() - began)
    return failed


def _evaluate(one: RunningRule, group: Group, past: Store, now: float, around: Surroundings) -> None:
    at_ms, now_ms = round((now - group.offset) * 1000), round(now * 1000)
    found = one.find(past, at_ms)
    if one.rule.records:
        if group.limit and len(found) > group.limit:
            msg = f"exceeded limit of {group.limit} with {len(found)} series"
            raise RuleError(msg)
        _write(one, past, at_ms, now_ms, _recorded(one.rule, found))
        return
    active = _alerts(one, found, past, now, around)
    firing = sum(1 for each in active.values() if each.alert.state is not State.RESOLVED)
    if group.limit and firing > group.limit:
        one.active = {labels: each for labels, each in one.active.items() if each.alert.state is State.RESOLVED}
        _write(one, past, at_ms, now_ms, {})
        msg = f"exceeded limit of {group.limit} with {firing} alerts"
        raise RuleError(msg)
    one.active = active
    _write(one, past, at_ms, now_ms, _synthetic(active.values()))


def _recorded(rule: Rule, found: Sequence[Found]) -> dict[Labels, Sample]:
    more = {name: value.source for name, value in rule.labels.items()}
    samples: dict[Labels, Sample] = {}
    for one in found:
        labels = make_labels({**dict(one.sample.labels), **more, METRIC_NAME: rule.name})
        if labels in samples:
            msg = "vector contains metrics with the same labelset after applying rule labels"
            raise RuleError(msg)
        samples[labels] = one.sample
    return samples


def _alerts(
    one: RunningRule, found: Sequence[Found], past: Store, now: float, around: Surroundings
) -> dict[Labels, Active]:
    rule = one.rule
    holding: dict[Labels, Found] = {}
    expander = _Expander(past, now, around)
    for each in found:
        labels = {label: value for label, value in each.sample.labels if label != METRIC_NAME}
        for name, label in rule.labels.items():
            labels[name] = expander.expand(label, each.sample)
        key = make_labels({**labels, ALERT_NAME: rule.name})
        if key in holding:
            msg = "vector contains metrics with the same labelset after applying alert labels"
            raise RuleError(msg)
        holding[key] = each
    active: dict[Labels, Active] = {}
    for key in {**holding, **one.active}:
        before, holds = one.active.get(key), holding.get(key)
        old = before.alert if before else None
        if holds is None and now < one.trusted_from:
            after = old  # nobody knows yet whether it is over
        else:
            after = step(old, holds.sample.value if holds else None, now, rule.hold, rule.keep)
        if after is None:
            continue
        if holds is not None:
            said = {name: expander.expand(text, holds.sample) for name, text in rule.annotations.items()}
            active[key] = Active(after, key, {**said, **holds.annotations})
        elif before is not None:
            active[key] = replace(before, alert=after)
    return active


class _Expander:
    """Expands templates at one moment."""

    def __init__(self, past: Store, now: float, around: Surroundings) -> None:
        self._past = past
        self._now = now
        self._around = around
        self._functions = functions_of(self._query, now, around.external_url)

    def expand(self, text: Template, sample: Sample) -> str:
        """The text; a template that fails says so in its place, as in Prometheus."""
        data = {
            "Labels": dict(sample.labels),
            "ExternalLabels": self._around.external_labels,
            "ExternalURL": self._around.external_url,
            "Value": sample.value,
        }
        try:
            return text.expand(data, self._functions)
        except TemplateError as error:
            return f"<error expanding template: {error}>"

    def _query(self, text: str) -> list[dict[str, Any]]:
        try:
            result = instant(parse(text), self._past, round(self._now * 1000))
        except QueryError as error:
            raise TemplateError(str(error)) from error
        if isinstance(result, Scalar):
            return [{"Labels": {}, "Value": result.value}]
        if not isinstance(result, Vector):
            msg = "query result is not a vector or scalar"
            raise TemplateError(msg)
        return [{"Labels": dict(sample.labels), "Value": sample.value} for sample in result.samples]


def _synthetic(active: Iterable[Active]) -> dict[Labels, Sample]:
    samples: dict[Labels, Sample] = {}
    for one in active:
        if one.alert.state is State.RESOLVED:
            continue
        labels = dict(one.labels)
        for name, more, value in (
            (ALERTS, {ALERT_STATE: one.alert.state.value}, 1.0),
            (ALERTS_FOR_STATE, {}, one.alert.active_at),
        ):
            key = make_labels({**labels, **more, METRIC_NAME: name})
            samples[key] = Sample(key, value)
    return samples


def _write(one: RunningRule, past: Store, at_ms: int, now_ms: int, samples: Mapping[Labels, Sample]) -> None:
    """Write what a rule says, and end what it says no more."""
    full = sum(
        not past.append_one(labels, at_ms, sample.value, now_ms, sample.histogram) for labels, sample in samples.items()
    )
    for labels in one.written - samples.keys():
        if past.has(labels):
            past.append_one(labels, at_ms, STALE, now_ms)
    one.written = frozenset(samples)
    if full and one.rule.records:
        msg = f"there is no room for {full} of its series; raise measure.max_series"
        raise RuleError(msg)


def looks_back(rule: Rule) -> float:
    """How many seconds before the moment a rule's query reads, at most."""
    return _reach(rule.query.expr) / 1000


def _reach(expr: Expr) -> int:
    own = (expr.range_ms or _LOOKBACK_MS) if isinstance(expr, Selector) else 0
    own += expr.range_ms if isinstance(expr, Subquery) else 0
    return own + max((_reach(child) for child in children(expr)), default=0)


def retired(one: RunningRule, now: float) -> RunningRule:
    """A rule that was removed: what it fired is resolved and told, what it wrote is ended."""

    def find(_: Store, __: int) -> Sequence[Found]:
        return []

    return replace(one, find=find, rule=replace(one.rule, keep=0.0), trusted_from=now)


def move(one: RunningRule, seconds: float) -> None:
    """The clock was set by so much: everything remembered moves along."""
    one.active = {
        labels: replace(active, alert=shifted(active.alert, seconds)) for labels, active in one.active.items()
    }
