"""Money is counted once per span, in the right period, for the right group, and over a restart."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import limits
from otel_llm_collector.alert.budgets import Budget, Budgets, budget_groups
from otel_llm_collector.alert.spend import Spend
from otel_llm_semconv import attributes as attr
from pydantic import ValidationError

NOON = datetime(2026, 3, 10, 12, tzinfo=ZoneInfo("UTC")).timestamp()


def request(*calls: tuple[int, float], at: float = NOON, **attributes: str) -> bytes:
    """Priced calls: (number of the span, US dollars)."""
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    resource_spans.resource.attributes.add(key="team").value.string_value = attributes.pop("team", "search")
    spans = resource_spans.scope_spans.add().spans
    for number, cost in calls:
        span = spans.add(trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))
        span.end_time_unix_nano = int(at * 1e9)
        span.attributes.add(key=attr.GEN_AI_OPERATION_NAME).value.string_value = "chat"
        span.attributes.add(key=attr.OTEL_LLM_COST_TOTAL).value.double_value = cost
        for key, value in attributes.items():
            span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


class Bench:
    """Budgets over a file, with a clock that the test moves."""

    def __init__(self, folder: Path | None = None, **budget: Any) -> None:
        self.now = NOON
        self.spend = Spend(folder)
        asyncio.run(self.spend.start())
        chosen = Budget.model_validate({"amount": 10, "period": "day", "by": ["team"], **budget})
        self.budgets = Budgets({"b": chosen}, self.spend, lambda: self.now)

    def shown(self) -> dict[str, dict[str, float]]:
        """Values by family and group."""
        return {
            family.name: {sample.labels["otel_llm_budget_group"]: sample.value for sample in family.samples}
            for family in self.budgets.collect()
        }

    def end(self) -> None:
        """Close the file."""
        asyncio.run(self.spend.shutdown())


def test_spending_by_team_with_forecast() -> None:
    """Limit, spent, used and forecast for each team; at noon the day will cost twice as much."""
    bench = Bench()
    bench.budgets.observe(request((1, 1.5), (2, 0.5)))
    bench.budgets.observe(request((3, 4.0), team="chat"))
    shown = bench.shown()
    assert shown["otel_llm_budget_limit"] == {"team=search": 10, "team=chat": 10}
    assert shown["otel_llm_budget_spent"] == {"team=search": 2, "team=chat": 4}
    assert shown["otel_llm_budget_used_ratio"] == {"team=search": 0.2, "team=chat": 0.4}
    assert shown["otel_llm_budget_forecast"] == {"team=search": 4, "team=chat": 8}
    bench.end()


def test_a_span_counts_once_over_replay_and_restart(tmp_path: Path) -> None:
    """The same request twice, then again after a restart: once; a new span beside it still counts."""
    for _ in range(2):
        bench = Bench(tmp_path)
        bench.budgets.observe(request((1, 1.0)))
        bench.budgets.observe(request((1, 1.0), (1, 1.0)))
        bench.end()
    bench = Bench(tmp_path)
    assert bench.shown()["otel_llm_budget_spent"] == {"team=search": 1.0}
    bench.budgets.observe(request((1, 1.0), (2, 0.25)))
    assert bench.shown()["otel_llm_budget_spent"] == {"team=search": 1.25}
    bench.end()


def test_nano_dollars_add_up_exactly() -> None:
    """Ten million calls of a ten-thousandth cent would drift as floats; these do not."""
    bench = Bench()
    bench.budgets.observe(request(*((number, 0.000001) for number in range(1, 1001))))
    assert bench.shown()["otel_llm_budget_spent"] == {"team=search": 0.001}
    bench.end()


def test_periods_begin_where_the_people_are() -> None:
    """Midnight of the zone, the first of the month, a day that the clock change makes shorter."""
    berlin = Budget(amount=1, period="day", time_zone="Europe/Berlin")
    start, end = berlin.bounds(datetime(2026, 3, 29, 12, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
    assert end - start == 23 * 3600
    month = Budget(amount=1, period="month", time_zone="Asia/Tokyo")
    start, _ = month.bounds(datetime(2026, 1, 31, 16, tzinfo=ZoneInfo("UTC")).timestamp())
    assert datetime.fromtimestamp(start, ZoneInfo("Asia/Tokyo")).isoformat() == "2026-02-01T00:00:00+09:00"


def test_a_new_period_begins_at_0_and_late_spans_go_to_theirs() -> None:
    """The next day is empty; a span of yesterday that comes today is yesterday's; one of next year is today's."""
    bench = Bench(by=[])
    bench.budgets.observe(request((1, 3.0)))
    bench.now += 86400
    assert bench.shown()["otel_llm_budget_spent"] == {"all": 0}
    bench.budgets.observe(request((2, 1.0)))
    bench.budgets.observe(request((3, 0.5), at=bench.now + 365 * 86400))
    assert bench.shown()["otel_llm_budget_spent"] == {"all": 0.5}
    bench.now -= 86400
    assert bench.shown()["otel_llm_budget_spent"] == {"all": 4}
    bench.end()


def test_groups_explode_into_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the bound further groups are one, and each such span is counted; the sum stays right."""
    monkeypatch.setattr(limits, "MAX_BUDGET_GROUPS", 5)
    bench = Bench(by=["user"])
    for number in range(1, 21):
        bench.budgets.observe(request((number, 1.0), **{attr.USER_ID: f"u{number}"}))
    spent = bench.shown()["otel_llm_budget_spent"]
    assert spent["(other)"] == 15
    assert sum(spent.values()) == 20
    assert bench.spend.dropped["group_limit"] == 15
    bench.end()


def test_where_and_spans_without_a_price() -> None:
    """Only what matches and costs something."""
    bench = Bench(by=[], where={"model": "m"})
    bench.budgets.observe(request((1, 1.0), **{attr.GEN_AI_REQUEST_MODEL: "m"}))
    bench.budgets.observe(request((2, 1.0), **{attr.GEN_AI_REQUEST_MODEL: "n"}))
    bench.budgets.observe(request((3, 0.0), **{attr.GEN_AI_REQUEST_MODEL: "m"}))
    bench.budgets.observe(b"")
    assert bench.shown()["otel_llm_budget_spent"] == {"all": 1.0}
    bench.end()


def test_a_broken_file_is_set_aside(tmp_path: Path) -> None:
    """Counting begins anew; the file is kept."""
    (tmp_path / "spend.db").write_bytes(b"no database at all" * 100)
    bench = Bench(tmp_path)
    bench.budgets.observe(request((1, 1.0)))
    assert bench.shown()["otel_llm_budget_spent"] == {"team=search": 1}
    assert (tmp_path / "spend.unreadable").exists()
    bench.end()


def test_rules_of_a_budget() -> None:
    """A rule for each threshold, of a severity that rises, and one for the forecast."""
    [group] = budget_groups({"b": Budget(amount=5, period="month", by=["team"])}, 15)
    assert [(rule.name, rule.labels["severity"].source) for rule in group.rules] == [
        ("BudgetThreshold", "info"),
        ("BudgetThreshold", "warning"),
        ("BudgetThreshold", "critical"),
        ("BudgetForecast", "warning"),
    ]
    assert len({rule.identity for rule in group.rules}) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0},
        {"amount": float("inf")},
        {"period": "week"},
        {"time_zone": "Mars/Base"},
        {"thresholds": [0]},
        {"by": ["user", "gen_ai.input.messages"]},
    ],
    ids=str,
)
def test_mistakes(wrong: dict[str, Any]) -> None:
    """Each is refused."""
    with pytest.raises(ValidationError):
        Budget.model_validate({"amount": 1, "period": "day", **wrong})
