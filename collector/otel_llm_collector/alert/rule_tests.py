"""`otel-llm-collector test-rules`: promtool's format of unit tests, run by the evaluator that runs in production.

    rule_files: [rules.yaml]
    evaluation_interval: 1m
    tests:
      - interval: 1m
        input_series:
          - {series: 'up{job="a"}', values: '1 1 0x5'}
        alert_rule_test:
          - {eval_time: 5m, alertname: Down, exp_alerts: [{exp_labels: {job: a}}]}
        promql_expr_test:
          - {expr: sum(up), eval_time: 1m, exp_samples: [{labels: '{}', value: 1}]}

A test runs all groups at every evaluation interval, whatever interval a group has, as promtool does.
"""

from __future__ import annotations

import glob
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from otel_llm_collector.alert.durations import format_duration, parse_duration
from otel_llm_collector.alert.group import ALERT_NAME, RunningGroup, Surroundings, evaluate, running
from otel_llm_collector.alert.rule_files import Group, parse_rules
from otel_llm_collector.alert.rules import ThresholdFile, threshold_group
from otel_llm_collector.alert.state import State
from otel_llm_collector.errors import ConfigError, Problem
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.notation import parse_labels, parse_values
from otel_llm_collector.measure.promql.query import instant, parse
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, MemoryStorage, make_labels
from otel_llm_collector.measure.promql.values import QueryError, Sample, Scalar, Vector

_CLOSE = 1e-15  # relative difference that `fuzzy_compare` forgives
_MAX_TURNS = 1_000_000


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, (int, float)) else value


def _seconds(value: Any) -> float:
    return 0.0 if value in (None, "") else parse_duration(str(value))


Duration = Annotated[float, BeforeValidator(_seconds)]
Text = Annotated[str, BeforeValidator(_text)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ExpectedAlert(_Strict):
    """An alert that fires."""

    exp_labels: dict[str, Text] | None = None
    exp_annotations: dict[str, Text] | None = None


class AlertTest(_Strict):
    """Which alerts of a name fire at a moment."""

    eval_time: Duration = 0.0
    alertname: str
    exp_alerts: list[ExpectedAlert] | None = None


class ExpectedSample(_Strict):
    """A sample of an answer."""

    labels: str = ""
    value: float = 0.0
    histogram: str = ""


class ExpressionTest(_Strict):
    """What an expression comes to at a moment."""

    expr: str
    eval_time: Duration = 0.0
    exp_samples: list[ExpectedSample] | None = None


class InputSeries(_Strict):
    """A series that the rules see."""

    series: str
    values: Text


class TestGroup(_Strict):
    """One test with its own series."""

    __test__ = False  # pytest: not one of yours

    interval: Duration = 0.0
    name: str = ""
    start_timestamp: float = 0.0
    input_series: list[InputSeries] = Field(default_factory=list)
    alert_rule_test: list[AlertTest] = Field(default_factory=list)
    promql_expr_test: list[ExpressionTest] = Field(default_factory=list)
    external_labels: dict[str, Text] = Field(default_factory=dict)
    external_url: str = ""


class TestFile(_Strict):
    """A file of tests."""

    __test__ = False

    rule_files: list[str] = Field(default_factory=list)
    evaluation_interval: Duration = 60.0
    group_eval_order: list[str] = Field(default_factory=list)
    fuzzy_compare: bool = False
    tests: list[TestGroup] = Field(default_factory=list)


class _Store(MemoryStorage):
    """A store that rules can write to."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[Labels, int] = {}

    def has(self, labels: Labels) -> bool:
        return labels in self._last

    def append_one(
        self, labels: Labels, time_ms: int, value: float, now_ms: int, histogram: NativeHistogram | None = None
    ) -> bool:
        if time_ms > self._last.get(labels, -1):
            self.append(labels, time_ms, value, histogram)
            self._last[labels] = time_ms
        return True


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that is not as expected."""

    test: str
    message: str

    def __str__(self) -> str:
        return f"  {self.test}: {self.message}"


def run_file(path: Path) -> list[Failure]:
    """Run every test of a file. Raises `ConfigError` when it, or a rule file it names, cannot be used."""
    tests = _load(path)
    groups = _rules(path, tests)
    order = {name: place for place, name in enumerate(tests.group_eval_order)}
    groups.sort(key=lambda group: order.get(group.name, len(order)))
    failures = []
    for number, one in enumerate(tests.tests):
        name = one.name or f"test {number + 1}"
        failures += [Failure(name, message) for message in _run(one, groups, tests)]
    return failures


def _load(path: Path) -> TestFile:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return TestFile.model_validate(document)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = Problem("file", "cannot be read", " ".join(str(error).split())[:200], "name a YAML file of tests")
        raise ConfigError(str(path), [problem]) from error
    except ValidationError as error:
        problems = [
            Problem(".".join(map(str, one["loc"])), one["msg"], str(one["input"])[:80], "see promtool's format")
            for one in error.errors(include_url=False)
        ]
        raise ConfigError(str(path), problems) from error


def _rules(path: Path, tests: TestFile) -> list[Group]:
    problems: list[Problem] = []
    groups: list[Group] = []
    for pattern in tests.rule_files:
        found = sorted(glob.glob(str(path.parent / pattern)))  # noqa: PTH207 - patterns may be absolute
        if not found:
            problems.append(Problem("rule_files", "finds no file", pattern, "name a file that is there"))
        for name in found:
            text = Path(name).read_text(encoding="utf-8")
            own, thresholds = parse_rules(text, Path(name).name, tests.evaluation_interval, problems)
            groups += own
            if thresholds is not None:
                rules = ThresholdFile.model_validate({"thresholds": thresholds}).thresholds
                groups.append(threshold_group(rules, Path(name).name, tests.evaluation_interval))
    if problems:
        raise ConfigError(str(path), problems)
    return groups


def _run(test: TestGroup, groups: Sequence[Group], tests: TestFile) -> Iterator[str]:
    start = test.start_timestamp
    try:
        store = _loaded(test, start, test.interval or tests.evaluation_interval)
    except QueryError as error:
        yield f"input_series: {error}"
        return
    interval = tests.evaluation_interval
    moments = [*(one.eval_time for one in test.alert_rule_test), *(one.eval_time for one in test.promql_expr_test)]
    turns = int(max(moments, default=0.0) / interval) + 1
    if turns > _MAX_TURNS:
        yield f"eval_time is {turns} evaluations away; {_MAX_TURNS} are the most"
        return
    live = [RunningGroup(group, [running(rule, str(rule.identity)) for rule in group.rules]) for group in groups]
    around = Surroundings(test.external_labels, test.external_url)
    failed: dict[str, None] = {}
    for turn in range(turns):
        now = start + turn * interval
        for group in live:
            evaluate(group, store, now, around, time.monotonic)
            failed.update({f"rule {one.rule.name}: {one.error}": None for one in group.rules if one.error})
        for alert in test.alert_rule_test:
            if turn == int(alert.eval_time / interval):
                yield from _compare_alerts(alert, live)
    yield from failed
    for expression in test.promql_expr_test:
        yield from _compare_samples(expression, store, round((start + expression.eval_time) * 1000), tests)


def _loaded(test: TestGroup, start: float, interval: float) -> _Store:
    store = _Store()
    for series in test.input_series:
        labels = parse_labels(series.series)
        for index, value in enumerate(parse_values(series.values)):
            if not value.omitted:
                at_ms = round((start + index * interval) * 1000)
                store.append_one(labels, at_ms, value.value, at_ms, value.histogram)
    return store


def _compare_alerts(test: AlertTest, live: Sequence[RunningGroup]) -> Iterator[str]:
    rules = [one for group in live for one in group.rules if one.rule.name == test.alertname and not one.rule.records]
    if not rules and test.exp_alerts:
        yield f"alertname: {test.alertname}: there is no such alert"
        return
    got = sorted(
        (sorted(active.labels), sorted(active.annotations.items()))
        for one in rules
        for active in one.active.values()
        if active.alert.state is State.FIRING
    )
    wanted = sorted(
        (
            sorted(make_labels({**(one.exp_labels or {}), ALERT_NAME: test.alertname})),
            sorted((one.exp_annotations or {}).items()),
        )
        for one in test.exp_alerts or []
    )
    if got != wanted:
        when = format_duration(test.eval_time)
        yield f"alertname: {test.alertname}, time: {when},\n    exp: {_shown(wanted)}\n    got: {_shown(got)}"


def _shown(alerts: Sequence[tuple[Any, Any]]) -> str:
    return "[" + ", ".join(f"labels {dict(labels)} annotations {dict(said)}" for labels, said in alerts) + "]"


def _compare_samples(test: ExpressionTest, store: _Store, at_ms: int, tests: TestFile) -> Iterator[str]:
    where = f"expr: {test.expr!r}, time: {format_duration(test.eval_time)}"
    try:
        result = instant(parse(test.expr), store, at_ms)
        wanted = [
            Sample(parse_labels(one.labels), one.value, _histogram(one.histogram)) for one in test.exp_samples or []
        ]
    except QueryError as error:
        yield f"{where}: {error}"
        return
    if isinstance(result, Scalar):
        got = [Sample((), result.value)]
    elif isinstance(result, Vector):
        got = list(result.samples)
    else:
        yield f"{where}: is neither a vector nor a scalar"
        return
    got.sort(key=lambda sample: sample.labels)
    wanted.sort(key=lambda sample: sample.labels)
    same = len(got) == len(wanted) and all(
        _same(one, other, fuzzy=tests.fuzzy_compare) for one, other in zip(got, wanted, strict=True)
    )
    if not same:
        yield f"{where}\n    exp: {_samples(wanted)}\n    got: {_samples(got)}"


def _histogram(text: str) -> NativeHistogram | None:
    return parse_values(text)[0].histogram if text else None


def _same(got: Sample, wanted: Sample, *, fuzzy: bool) -> bool:
    if got.labels != wanted.labels or (got.histogram is None) != (wanted.histogram is None):
        return False
    if got.histogram is not None and wanted.histogram is not None:
        return _plain(got.histogram) == _plain(wanted.histogram)
    if math.isnan(got.value) or math.isnan(wanted.value):
        return math.isnan(got.value) and math.isnan(wanted.value)
    return got.value == wanted.value or (fuzzy and math.isclose(got.value, wanted.value, rel_tol=_CLOSE))


def _plain(one: NativeHistogram) -> tuple[Any, ...]:
    return (one.schema, one.count, one.sum, one.zero_count, dict(one.positive), dict(one.negative), one.custom_values)


def _samples(samples: Sequence[Sample]) -> str:
    return ", ".join(f"{_series(one.labels)} {one.histogram or one.value!r}" for one in samples) or "nil"


def _series(labels: Labels) -> str:
    inside = ", ".join(f'{name}="{value}"' for name, value in labels if name != METRIC_NAME)
    return f"{dict(labels).get(METRIC_NAME, '')}{{{inside}}}"
