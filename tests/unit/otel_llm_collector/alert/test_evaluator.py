"""Rules over series: which value, which group, which notification, and a failing rule beside good ones."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector import config
from otel_llm_collector.alert.evaluator import Clock, Evaluator
from otel_llm_collector.alert.long import Long
from otel_llm_collector.alert.memory import Memory
from otel_llm_collector.alert.rule_files import Group, parse_rules
from otel_llm_collector.alert.rules import AlertsConfig, ThresholdRule, threshold_group
from otel_llm_collector.alert.spans import SpanRules
from otel_llm_collector.alert.tell import NotificationCounts, Teller
from otel_llm_collector.contract import HistogramDelta, Notification
from otel_llm_collector.errors import ConfigError, Problem, Retryable
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.storage import Matcher, is_stale, make_labels
from otel_llm_collector.measure.sampler import Sampler
from otel_llm_collector.measure.series import SeriesStore
from otel_llm_semconv import metrics
from prometheus_client import CollectorRegistry


class Notified:
    """A notifier that remembers, and takes nothing while `taking` is false."""

    def __init__(self) -> None:
        self.taking = True
        self.told: list[Notification] = []

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def notify(self, notifications: Sequence[Notification]) -> None:
        if not self.taking:
            raise Retryable("not now")
        self.told.extend(notifications)


def rule(**changes: Any) -> ThresholdRule:
    """A rule on errors per request."""
    said = {
        "name": "Errors", "metric": "otel_llm.errors", "statistic": "ratio", "per": "otel_llm.requests",
        "window_seconds": 60, "condition": ">", "threshold": 0.1, "duration_seconds": 20, "severity": "critical",
    }  # fmt: skip
    return ThresholdRule.model_validate({**said, **changes})


class Bench:
    """An evaluator with a store, a notifier and a clock that the test moves."""

    def __init__(self, *rules: ThresholdRule, groups: Sequence[Group] = (), state: Path | None = None) -> None:
        registry = CollectorRegistry()
        self.store = SeriesStore()
        registry.register(self.store)
        self.past = Past(3600, 10, 1000, 1000)
        self.notifier = Notified()
        self.now = 1_700_000_000.0
        self.steady = 0.0
        settings = AlertsConfig(evaluation_seconds=10, resend_seconds=60, external_labels={"cluster": "a"})
        self.teller = Teller("notified", self.notifier, 60, NotificationCounts(registry))
        self.evaluator = Evaluator(
            settings,
            [threshold_group(rules, "configuration", 10), *groups],
            Long(self.past, frozenset(), None),
            Sampler(registry, self.past),
            [self.teller],
            Memory(state),
            registry,
            Clock(lambda: self.now, lambda: self.steady),
            SpanRules([], lambda: self.now),
        )

    def requests(self, count: int, errors: int = 0, model: str = "m") -> None:
        """So many requests, of which so many failed."""
        labels = ("svc", "chat", "openai", model)
        counters = {(metrics.OTEL_LLM_REQUESTS.name, labels): float(count)}
        if errors:
            counters[metrics.OTEL_LLM_ERRORS.name, (*labels, "Timeout")] = float(errors)
        self.store.record(counters, {})

    def turn(self, seconds: float = 10) -> None:
        """Let time pass and evaluate."""
        self.now += seconds
        self.steady += seconds
        self.look()

    def look(self) -> None:
        """Evaluate now."""
        self.evaluator.evaluate(self.now)
        asyncio.run(self.teller.tell(self.evaluator.tellable(self.now), self.now))

    def shown(self) -> list[tuple[str, str]]:
        """State and model of each alert at /api/v1/alerts."""
        alerts = self.evaluator.alerts()["alerts"]
        return [(alert["state"], alert["labels"].get("gen_ai_request_model", "")) for alert in alerts]


def test_a_ratio_fires_after_its_hold_and_resolves() -> None:
    """Pending, firing, told once, resolved, told that too."""
    bench = Bench(rule())
    bench.turn()
    bench.requests(10, errors=5)
    bench.turn()
    assert bench.shown() == [("pending", "")]
    assert bench.notifier.told == []
    bench.requests(10, errors=5)
    bench.turn(20)
    assert bench.shown() == [("firing", "")]
    [told] = bench.notifier.told
    assert told.labels == {"alertname": "Errors", "severity": "critical", "cluster": "a"}
    assert told.starts_at == bench.now
    assert told.ends_at == bench.now + 240
    bench.turn()
    assert len(bench.notifier.told) == 1, "not told twice without need"
    for _ in range(10):
        bench.requests(100)
        bench.turn()
    assert bench.shown() == []
    assert bench.notifier.told[-1].ends_at < bench.now


def test_groups_are_alerts_of_their_own() -> None:
    """With `by`, each model has its alert; only the failing one fires."""
    bench = Bench(rule(by=["gen_ai_request_model"], duration_seconds=0))
    bench.turn()
    bench.requests(10, errors=5, model="bad")
    bench.requests(10, model="good")
    bench.turn()
    assert bench.shown() == [("firing", "bad")]


def test_where_leaves_other_series_out() -> None:
    """A label that does not match is not counted, on neither side of a ratio."""
    bench = Bench(rule(where={"gen_ai_request_model": "good"}, duration_seconds=0))
    bench.turn()
    bench.requests(10, errors=5, model="bad")
    bench.requests(10, model="good")
    bench.turn()
    assert bench.shown() == []


@pytest.mark.parametrize(
    ("statistic", "threshold", "fires"),
    [("increase", 9, True), ("increase", 11, False), ("rate", 0.1, True), ("rate", 0.2, False)],
)
def test_increase_and_rate(statistic: str, threshold: float, fires: bool) -> None:
    """Ten requests within the window of a minute."""
    bench = Bench(
        rule(metric="otel_llm_requests_total", statistic=statistic, per=None, threshold=threshold, duration_seconds=0)
    )
    bench.turn()
    bench.requests(10)
    bench.turn(10)
    assert bool(bench.shown()) is fires


def test_quantile_and_mean_of_a_histogram() -> None:
    """p95 and mean of durations."""
    duration = {"metric": "otel_llm_operation_duration_seconds", "per": None, "duration_seconds": 0}
    bench = Bench(
        rule(name="P95", statistic="p95", threshold=1.0, **duration),
        rule(name="Mean", statistic="mean", threshold=1.0, **duration),
    )
    bench.turn()
    counts = [0] * (len(metrics.OTEL_LLM_OPERATION_DURATION.boundaries) + 1)
    counts[3], counts[9] = 80, 20
    key = (metrics.OTEL_LLM_OPERATION_DURATION.name, ("svc", "chat", "openai", "m"))
    bench.store.record({}, {key: HistogramDelta(counts, 50.0)})
    bench.turn()
    assert [alert["labels"]["alertname"] for alert in bench.evaluator.alerts()["alerts"]] == ["P95"]


def test_what_was_not_taken_is_told_again() -> None:
    """A notifier that is down loses nothing: the alert stays due."""
    bench = Bench(rule(duration_seconds=0))
    bench.turn()
    bench.requests(10, errors=5)
    bench.notifier.taking = False
    bench.turn()
    bench.turn()
    assert bench.notifier.told == []
    bench.notifier.taking = True
    bench.turn()
    assert len(bench.notifier.told) == 1


def test_a_target_that_answers_500_for_an_hour_is_told_once_it_is_back() -> None:
    """Every try is counted, evaluation goes on, and afterwards it hears of what fires and of what is over once each."""
    bench = Bench(rule(duration_seconds=0), groups=groups(UP))
    for turn in range(240):
        bench.requests(10, errors=5)
        feed(bench, 0, job="a")
        bench.notifier.taking = turn == 5  # for a moment in between
        bench.turn(15)
    assert sorted({one.labels["alertname"] for one in bench.notifier.told}) == ["Down", "Errors"]
    assert len(bench.notifier.told) == 2
    bench.notifier.told.clear()
    bench.notifier.taking = True
    feed(bench, 1, job="a")
    bench.requests(10, errors=5)
    bench.turn(15)
    over = {one.labels["alertname"]: one.ends_at <= bench.now for one in bench.notifier.told}
    assert over == {"Errors": False, "Down": True}
    bench.turn(1)
    assert len(bench.notifier.told) == 2


def test_one_failing_rule_does_not_stop_the_others() -> None:
    """It is shown with its error and keeps its alerts; the good rule fires."""
    both = "groups: [{name: g, rules: [{alert: Broken, expr: 'vector(1) * on () group_left () up'}, %s]}]"
    problems: list[Problem] = []
    groups, _ = parse_rules(both % "{alert: Good, expr: vector(1)}", "f.yaml", 10, problems)
    bench = Bench(groups=groups)
    for labels in ({"a": "1"}, {"a": "2"}):
        series = make_labels({"__name__": "up", **labels})
        bench.past.append_one(series, int(bench.now * 1000), 1.0, int(bench.now * 1000))
    bench.turn()
    shown = bench.evaluator.rules()["groups"][1]["rules"]
    assert [(one["name"], one["health"]) for one in shown] == [("Broken", "err"), ("Good", "ok")]
    assert bench.shown() == [("firing", "")]


def groups(text: str) -> list[Group]:
    """The groups of a rule file."""
    problems: list[Problem] = []
    found, _ = parse_rules(text, "f.yaml", 10, problems)
    assert problems == []
    return found


UP = """
groups:
  - name: g
    rules:
      - alert: Down
        expr: up == 0
        for: 20s
        labels: {severity: page}
        annotations: {said: "{{ $labels.job }} {{ $value }}"}
      - {record: "job:up:sum", expr: sum by (job) (up), labels: {made: here}}
"""


def feed(bench: Bench, value: float, **labels: str) -> None:
    """One sample of `up` now."""
    at = round(bench.now * 1000)
    bench.past.append_one(make_labels({"__name__": "up", **labels}), at, value, at)


def values(bench: Bench, name: str) -> list[list[float]]:
    """What was written under a name, series by series."""
    found = bench.past.select([Matcher("__name__", "=", name)], 0, round(bench.now * 1000))
    return [
        ["stale" if stale else value for value, stale in zip(one.values, is_stale(one.values), strict=True)]
        for one in found
    ]  # type: ignore[misc]


def test_alerts_and_recorded_series_are_written_and_ended() -> None:
    """ALERTS and ALERTS_FOR_STATE while it lasts, the recorded series beside them; stale when they are over."""
    bench = Bench(groups=groups(UP))
    for _ in range(4):
        feed(bench, 0, job="a")
        bench.turn()
    began = bench.now - 30
    assert values(bench, "ALERTS") == [[1, 1, "stale"], [1, 1]]
    assert values(bench, "ALERTS_FOR_STATE") == [[began] * 4]
    assert values(bench, "job:up:sum") == [[0, 0, 0, 0]]
    [told] = bench.notifier.told
    assert told.labels == {"alertname": "Down", "job": "a", "severity": "page", "cluster": "a"}
    assert told.annotations == {"said": "a 0"}
    bench.turn(400)  # `up` is gone by now
    assert values(bench, "ALERTS")[1][-1] == "stale"
    assert values(bench, "job:up:sum") == [[0, 0, 0, 0, "stale"]]
    assert bench.notifier.told[-1].ends_at == bench.now


def test_a_reload_keeps_unchanged_rules_and_resolves_those_that_went() -> None:
    """The hold goes on; a rule that is gone is told to be over."""
    both = UP + "      - {alert: Other, expr: vector(1)}\n"
    bench = Bench(groups=groups(both))
    feed(bench, 0, job="a")
    bench.turn()
    bench.evaluator.reload(groups(UP.replace("job:up:sum", "job:up:all")))
    feed(bench, 0, job="a")
    bench.turn(10)
    assert [one.ends_at <= bench.now for one in bench.notifier.told if one.labels["alertname"] == "Other"] == [
        False,
        True,
    ]
    feed(bench, 0, job="a")
    bench.turn(10)
    assert [alert["state"] for alert in bench.evaluator.alerts()["alerts"]] == ["firing"]
    assert [one["name"] for one in bench.evaluator.rules()["groups"]] == ["g"]


def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """A firing alert goes on though its samples are gone, is not told again, and ends when its rule knows better."""
    before = Bench(groups=groups(UP), state=tmp_path)
    for _ in range(4):
        feed(before, 0, job="a")
        before.turn()
    before.evaluator._memory.save(before.evaluator.dump(before.now))
    after = Bench(groups=groups(UP), state=tmp_path)
    after.now = before.now + 120
    after.evaluator.restore(after.now)
    for _ in range(4):
        after.turn(10)
    assert after.shown() == [("firing", "")]
    assert after.evaluator.alerts()["alerts"][0]["activeAt"] == before.evaluator.alerts()["alerts"][0]["activeAt"]
    assert len(after.notifier.told) == 1, "its time to be told again has come, once"
    feed(after, 1, job="a")
    after.turn(400)
    feed(after, 1, job="a")
    after.turn(10)
    assert after.shown() == []
    assert after.notifier.told[-1].ends_at <= after.now


@pytest.mark.parametrize("by", [7200.0, -7200.0, 365 * 86400.0])
def test_the_clock_is_set(by: float) -> None:
    """What fires goes on firing, what holds goes on holding as long as before, and the past is still there."""
    bench = Bench(rule(duration_seconds=0), groups=groups(UP))
    bench.requests(10)
    bench.turn()
    bench.requests(10, errors=5)
    feed(bench, 0, job="a")
    bench.turn()
    assert sorted(state for state, _ in bench.shown()) == ["firing", "pending"]
    bench.now += by
    bench.requests(10, errors=5)
    bench.turn()
    assert sorted(state for state, _ in bench.shown()) == ["firing", "pending"]
    feed(bench, 0, job="a")
    bench.turn()
    assert sorted(state for state, _ in bench.shown()) == ["firing", "firing"]
    firing = [one for one in bench.notifier.told if one.labels["alertname"] == "Errors"]
    assert len(firing) == 1, "nothing is told twice because of it"


def test_a_limit_of_a_group() -> None:
    """More alerts than allowed are an error of the rule, and none of them stays."""
    bench = Bench(groups=groups(UP.replace("name: g", "name: g\n    limit: 2").replace("for: 20s", "for: 0s")))
    for job in ("a", "b", "c"):
        feed(bench, 0, job=job)
    bench.turn()
    [shown, recording] = bench.evaluator.rules()["groups"][1]["rules"]
    assert shown["lastError"] == "exceeded limit of 2 with 3 alerts"
    assert recording["lastError"] == "exceeded limit of 2 with 3 series"
    assert bench.shown() == []


def test_labels_that_collide_are_an_error() -> None:
    """Two series that become one alert."""
    text = "groups: [{name: g, rules: [{alert: A, expr: up, labels: {job: same}}]}]"
    bench = Bench(groups=groups(text))
    feed(bench, 1, job="a")
    feed(bench, 1, job="b")
    bench.turn()
    assert "same labelset" in bench.evaluator.rules()["groups"][1]["rules"][0]["lastError"]


def test_nan_and_infinity_are_values() -> None:
    """A comparison with NaN does not hold; infinity is above everything."""
    bench = Bench(groups=groups("groups: [{name: g, rules: [{alert: A, expr: up > 1}]}]"))
    feed(bench, math.nan, job="nan")
    feed(bench, math.inf, job="inf")
    bench.turn()
    [alert] = bench.evaluator.alerts()["alerts"]
    assert (alert["labels"]["job"], alert["value"]) == ("inf", "+Inf")


def test_a_silence_keeps_an_alert_from_being_told_and_ends() -> None:
    """Shown, not told; told once the silence is over."""
    bench = Bench(groups=groups(UP.replace("for: 20s", "for: 0s")))
    body = {
        "matchers": [{"name": "alertname", "value": "Do.*", "isRegex": True}],
        "endsAt": "2023-11-14T22:14:00Z",
    }
    bench.evaluator.silences.add(body, "one", bench.now)
    feed(bench, 0, job="a")
    bench.turn()
    assert bench.shown() == [("firing", "")]
    assert bench.notifier.told == []
    feed(bench, 0, job="a")
    bench.turn(60)
    assert len(bench.notifier.told) == 1


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"matchers": []},
        {"matchers": [{"name": "a", "value": ".*", "isRegex": True}], "endsAt": "2100-01-01T00:00:00Z"},
        {"matchers": [{"name": "a", "value": "(", "isRegex": True}], "endsAt": "2100-01-01T00:00:00Z"},
        {"matchers": [{"name": "a", "value": "b"}], "endsAt": "yesterday"},
        {"matchers": [{"name": "a", "value": "b"}], "endsAt": "2000-01-01T00:00:00Z"},
        {"matchers": [{"name": "a"}], "endsAt": "2100-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_silences_that_are_none(body: Any) -> None:
    """Each is refused with a sentence; one that would silence everything among them."""
    bench = Bench()
    with pytest.raises(ValueError, match="; "):
        bench.evaluator.silences.add(body, "one", bench.now)


WRONG = {
    "unknown metric": ({"metric": "otel_llm.nothing"}, "names no metric"),
    "unknown condition": ({"condition": "=>"}, "is no condition"),
    "unknown statistic": ({"statistic": "p42"}, "increase"),
    "quantile of a counter": ({"statistic": "p95", "per": None}, "does not fit"),
    "ratio without per": ({"per": None}, "give both or neither"),
    "unknown label": ({"by": ["planet"]}, "has no label planet"),
    "negative window": ({"window_seconds": -1}, "greater than 0"),
    "NaN threshold": ({"threshold": float("nan")}, "finite"),
    "unknown severity": ({"severity": "panic"}, "pattern"),
    "unknown key": ({"treshold": 1}, "unknown key"),
}


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_each_mistake_in_a_rule_is_told(tmp_path: Path, case: str) -> None:
    """A rule file with that mistake is refused, with file, rule and remedy."""
    changes, words = WRONG[case]
    said = {**rule().model_dump(mode="json", exclude_defaults=True), **changes}
    said = {key: value for key, value in said.items() if value is not None}
    (tmp_path / "bad.yaml").write_text("thresholds:\n- " + repr(said).replace("nan", ".nan") + "\n")
    loaded = config.parse("alerts: {rules: [bad.yaml]}", {}, source="test", folder=tmp_path)
    with pytest.raises(ConfigError) as caught:
        config.load_rules(loaded)
    text = str(caught.value)
    assert "bad.yaml.thresholds.0" in text
    assert words in text


def test_all_mistakes_of_all_files_come_at_once(tmp_path: Path) -> None:
    """Two files with one mistake each, and a pattern without a file: three problems."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("thresholds: [{name: x}]\n".replace("x", name))
    loaded = config.parse("alerts: {rules: ['*.yaml', gone.yaml]}", {}, source="test", folder=tmp_path)
    with pytest.raises(ConfigError) as caught:
        config.load_rules(loaded)
    paths = {problem.path.partition(".yaml")[0] for problem in caught.value.problems}
    assert paths == {"one", "two", "alerts.rules[1]"}
