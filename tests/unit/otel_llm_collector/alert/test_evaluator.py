"""Rules over series: which value, which group, which notification, and a failing rule beside good ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector import config
from otel_llm_collector.alert.evaluator import Evaluator
from otel_llm_collector.alert.rules import AlertsConfig, ThresholdRule
from otel_llm_collector.contract import HistogramDelta, Notification
from otel_llm_collector.errors import ConfigError
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

    async def notify(self, notifications: Sequence[Notification]) -> bool:
        if self.taking:
            self.told.extend(notifications)
        return self.taking


def rule(**changes: Any) -> ThresholdRule:
    """A rule on errors per request."""
    said = {
        "name": "Errors", "metric": "otel_llm.errors", "statistic": "ratio", "per": "otel_llm.requests",
        "window_seconds": 60, "condition": ">", "threshold": 0.1, "duration_seconds": 20, "severity": "critical",
    }  # fmt: skip
    return ThresholdRule.model_validate({**said, **changes})


class Bench:
    """An evaluator with a store, a notifier and a clock that the test moves."""

    def __init__(self, *rules: ThresholdRule) -> None:
        self.store = SeriesStore()
        self.notifier = Notified()
        self.now = 1000.0
        settings = AlertsConfig(evaluation_seconds=10, resend_seconds=60, external_labels={"cluster": "a"})
        self.evaluator = Evaluator(
            settings, rules, self.store, [self.notifier], CollectorRegistry(), clock=lambda: self.now
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
        self.evaluator.evaluate(self.now)
        asyncio.run(self.evaluator._tell(self.now))

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
    [("increase", 9, True), ("increase", 11, False), ("rate", 0.9, True), ("rate", 1.1, False)],
)
def test_increase_and_rate(statistic: str, threshold: float, fires: bool) -> None:
    """Ten requests in ten seconds."""
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


def test_one_failing_rule_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown with its error; the good rule fires."""
    bench = Bench(rule(name="Broken"), rule(name="Good", duration_seconds=0))
    whole = bench.evaluator._values

    def values(of: ThresholdRule) -> Any:
        if of.name == "Broken":
            msg = "boom"
            raise RuntimeError(msg)
        return whole(of)

    monkeypatch.setattr(bench.evaluator, "_values", values)
    bench.turn()
    bench.requests(10, errors=5)
    bench.turn()
    [group] = bench.evaluator.rules()["groups"]
    health = {shown["name"]: (shown["health"], shown.get("lastError")) for shown in group["rules"]}
    assert health == {"Broken": ("err", "RuntimeError: boom"), "Good": ("ok", None)}
    assert bench.shown() == [("firing", "")]


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
