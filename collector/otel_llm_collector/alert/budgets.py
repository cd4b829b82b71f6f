"""Budgets: what may be spent in a day or month, whole or for each team, user, model …; and what was spent.

    budgets:
      search-team:
        amount: 500                 # US dollars
        period: month               # day | month
        by: [team]                  # short names (service, model, provider, operation, user) or attributes
        where: {service: rag}
        thresholds: [0.5, 0.8, 1.0]
        time_zone: Europe/Berlin

Each priced span counts once, in the period in which it ended, however often it is delivered: spans that were counted
are remembered in the same file and the same transaction as the sums (`spend.py`). A budget becomes series (limit,
spent, used, forecast), and its thresholds ordinary alerting rules over them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from otel_llm_semconv import metrics
from otel_llm_semconv.content_keys import content_keys
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from otel_llm_collector import limits
from otel_llm_collector.alert.rule_files import Group, Rule
from otel_llm_collector.alert.spend import Spend, Spent
from otel_llm_collector.alert.template import literal
from otel_llm_collector.alert.template import parse as parse_template
from otel_llm_collector.measure.calls import calls
from otel_llm_collector.measure.names import label_name, series_name
from otel_llm_collector.measure.promql.query import parse

_NANO = 1e9
_WARNING_FROM, _CRITICAL_FROM = 0.75, 1.0
_FORECAST_AFTER = 0.04  # share of the period that must have passed: an hour of a day, a day of a month
_FORECAST_HOLD = 3600.0
_OTHER = "(other)"
_ALL = "all"

_LIMIT, _SPENT, _USED, _FORECAST = (
    series_name(metric.name, metric.unit, "gauge")
    for metric in (
        metrics.OTEL_LLM_BUDGET_LIMIT,
        metrics.OTEL_LLM_BUDGET_SPENT,
        metrics.OTEL_LLM_BUDGET_USED,
        metrics.OTEL_LLM_BUDGET_FORECAST,
    )
)
_LABELS = tuple(label_name(key) for key in metrics.OTEL_LLM_BUDGET_LIMIT.attributes)


class Period(StrEnum):
    """How long a budget lasts."""

    DAY = "day"
    MONTH = "month"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        msg = "names no time zone known on this machine; write for example Europe/Berlin, or install tzdata"
        raise ValueError(msg) from error
    return name


def _thresholds(values: list[float]) -> list[float]:
    if not all(0 < value <= limits.MAX_BUDGET_THRESHOLD for value in values):
        msg = f"has a share outside 0 to {limits.MAX_BUDGET_THRESHOLD}; 0.8 is four fifths of the amount"
        raise ValueError(msg)
    return sorted(set(values))


def _no_content(names: list[str]) -> list[str]:
    if content := next((name for name in names if name in content_keys()), None):
        msg = f"{content} holds what people or models wrote, which no alert may carry; group by who or what spends"
        raise ValueError(msg)
    return names


class Budget(BaseModel):
    """What may be spent in a period."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: float = Field(gt=0, allow_inf_nan=False, description="US dollars for each period and group.")
    period: Period = Field(description="day or month.")
    by: Annotated[list[str], AfterValidator(_no_content)] = Field(
        default_factory=list,
        max_length=5,
        description="Each combination has the amount: service, model, provider, operation, user, or attributes.",
    )
    where: dict[str, str] = Field(default_factory=dict, description="Only spans whose attributes have these values.")
    thresholds: Annotated[list[float], AfterValidator(_thresholds)] = Field(
        default_factory=lambda: [0.5, 0.8, 1.0], description="Shares of the amount at which an alert fires."
    )
    time_zone: Annotated[str, AfterValidator(_zone)] = Field("UTC", description="Where days and months begin.")
    forecast: bool = Field(True, description="Also an alert when the amount will not last at the present pace.")

    def bounds(self, moment: float) -> tuple[float, float]:
        """Start and end of the period around `moment`."""
        zone = ZoneInfo(self.time_zone)
        day = datetime.fromtimestamp(moment, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        if self.period is Period.DAY:
            return day.timestamp(), (day + timedelta(days=1)).timestamp()
        first = day.replace(day=1)
        return first.timestamp(), (first + timedelta(days=32)).replace(day=1).timestamp()


class Budgets(Collector):
    """Counts spending and shows it; `clock` gives seconds since the epoch."""

    def __init__(self, budgets: Mapping[str, Budget], spend: Spend, clock: Callable[[], float]) -> None:
        self._budgets = dict(budgets)
        self._spend = spend
        self._clock = clock

    def replace(self, budgets: Mapping[str, Budget]) -> None:
        """Other budgets from now on; what was spent of one goes on under its name."""
        self._budgets = dict(budgets)

    def observe(self, request: bytes) -> None:
        """Count the priced spans of one kept trace request."""
        if not self._budgets:
            return
        now = self._clock()
        found: list[tuple[bytes, list[Spent]]] = []
        for call in calls(request):
            if call.cost_nano:
                # A span that ends tomorrow has a wrong clock; it was paid for now.
                at = call.ended_at if call.ended_at <= now + limits.MAX_FUTURE_SECONDS else now
                spent = [
                    Spent(name, budget.bounds(at)[0], _group(call.get, budget), call.cost_nano)
                    for name, budget in self._budgets.items()
                    if all(call.get(key) == value for key, value in budget.where.items())
                ]
                found.append((call.identity, spent))
        if found:
            self._spend.add(found, now)

    def collect(self) -> Iterator[Family]:
        """The present period of every budget."""
        now = self._clock()
        families = {
            metric.name: GaugeMetricFamily(series_name(metric.name, metric.unit, "gauge"), metric.brief, labels=_LABELS)
            for metric in (
                metrics.OTEL_LLM_BUDGET_LIMIT,
                metrics.OTEL_LLM_BUDGET_SPENT,
                metrics.OTEL_LLM_BUDGET_USED,
                metrics.OTEL_LLM_BUDGET_FORECAST,
            )
        }
        for name, budget in self._budgets.items():
            start, end = budget.bounds(now)
            sums = self._spend.sums(name, start) or ({} if budget.by else {_ALL: 0})
            for group, nano in sums.items():
                spent = nano / _NANO
                passed = (now - start) / (end - start)
                labels = [name, budget.period.value, group]
                families[metrics.OTEL_LLM_BUDGET_LIMIT.name].add_metric(labels, budget.amount)
                families[metrics.OTEL_LLM_BUDGET_SPENT.name].add_metric(labels, spent)
                families[metrics.OTEL_LLM_BUDGET_USED.name].add_metric(labels, spent / budget.amount)
                if passed >= _FORECAST_AFTER:
                    families[metrics.OTEL_LLM_BUDGET_FORECAST.name].add_metric(labels, spent / passed)
        yield from families.values()

    def describe(self) -> Iterable[Family]:
        """Nothing: families are made at each scrape, so registration needs no look at them."""
        return ()


def _group(get: Callable[[str], str], budget: Budget) -> str:
    """Whose spending it is, as one text; bounded in length here and in number by `spend`."""
    said = ",".join(f"{key}={get(key)}" for key in budget.by)
    return said[: limits.MAX_LABEL_CHARS].replace("\x00", "�") or _ALL


def budget_groups(budgets: Mapping[str, Budget], interval: float) -> list[Group]:
    """The alerting rules of the budgets."""
    rules = [rule for name, budget in budgets.items() for rule in _rules(name, budget)]
    return [Group("budgets", "configuration", interval, tuple(rules))] if rules else []


def _rules(name: str, budget: Budget) -> Iterator[Rule]:
    selector = f"{{{_LABELS[0]}={json.dumps(name)}}}"
    money = "{{ $value | humanizePercentage }}"
    whose = f"{{{{ $labels.{_LABELS[2]} }}}}"
    for share in budget.thresholds:
        severity = "critical" if share >= _CRITICAL_FROM else "warning" if share >= _WARNING_FROM else "info"
        labels = {"severity": literal(severity), "threshold": literal(f"{share:g}")}
        summary = (
            f"Budget {_escaped(name)} ({whose}): {money} of {budget.amount:g} USD for this {budget.period} is spent."
        )
        query = parse(f"{_USED}{selector} >= {share!r}")
        yield Rule("BudgetThreshold", False, query, 0.0, 0.0, labels, {"summary": parse_template(summary)})
    if budget.forecast:
        summary = (
            f"Budget {_escaped(name)} ({whose}): at this pace the {budget.period} will cost "
            f'{{{{ printf "%.2f" $value }}}} USD; {budget.amount:g} USD are planned.'
        )
        query = parse(f"{_FORECAST}{selector} > {_LIMIT}{selector}")
        labels = {"severity": literal("warning")}
        yield Rule("BudgetForecast", False, query, _FORECAST_HOLD, 0.0, labels, {"summary": parse_template(summary)})


def _escaped(text: str) -> str:
    return text.replace("{{", "{ {")
