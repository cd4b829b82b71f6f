"""Service level objectives as ordinary rules: error ratios over eight windows, and alerts on how fast the budget burns.

    alerts:
      slos:
        - name: chat-answers
          objective: 99.5                         # per cent of good events
          errors: otel_llm_errors_total{gen_ai_operation_name="chat"}
          total: otel_llm_requests_total{gen_ai_operation_name="chat"}
        - name: chat-fast
          objective: 95
          latency: otel_llm_operation_duration_seconds{gen_ai_operation_name="chat"}
          below_seconds: 5.12                     # a boundary of the histogram

The pages and tickets are those of Google's workbook: page when 2% of the budget of the window burns within an hour or
5% within six, ticket at 10% in a day or in three; each looks at a long window and at a short one, so that it ends soon
after the trouble does. Ratios are recorded as `slo:sli_error:ratio_rate5m` and so on. Windows of a day and more are
averaged from the recorded rates of five minutes, which are kept for days beside the ordinary past (`long.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from otel_llm_collector.alert.durations import format_duration
from otel_llm_collector.alert.rule_files import Group, parse_rules
from otel_llm_collector.errors import Problem
from otel_llm_collector.measure.promql.query import parse
from otel_llm_collector.measure.promql.syntax import Selector
from otel_llm_collector.measure.promql.values import QueryError

PREFIX = "slo:"  # of every recorded name
KEPT_LONG = frozenset({f"{PREFIX}errors:rate5m", f"{PREFIX}total:rate5m"})

_HOUR, _DAY = 3600, 86400
# severity, share of the budget, long window, short window, hold
_ALERTS = (
    ("critical", 0.02, _HOUR, 5 * 60, 2 * 60),
    ("critical", 0.05, 6 * _HOUR, 30 * 60, 15 * 60),
    ("warning", 0.10, _DAY, 2 * _HOUR, _HOUR),
    ("warning", 0.10, 3 * _DAY, 6 * _HOUR, 3 * _HOUR),
)
_WINDOWS = (5 * 60, 30 * 60, _HOUR, 2 * _HOUR, 6 * _HOUR, _DAY, 3 * _DAY)
_AVERAGED_FROM = _DAY  # windows from here on are averaged from recorded rates


class Slo(BaseModel):
    """One objective: a share of events that has to be good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-zA-Z0-9_.-]{1,100}$", description="Name of the objective: letters, digits, _ . -")
    objective: float = Field(gt=0, lt=100, description="Per cent of events that have to be good, for example 99.5.")
    window_days: int = Field(30, ge=7, le=90, description="Days that the objective is about.")
    errors: str = Field("", max_length=2000, description="Selector of a counter of bad events.")
    total: str = Field("", max_length=2000, description="Selector of a counter of all events.")
    latency: str = Field("", max_length=2000, description="Selector of a histogram, without _bucket, for a latency.")
    below_seconds: float | None = Field(None, gt=0, description="For a latency: the boundary good events stay below.")
    runbook_url: str = Field("", max_length=1000, description="Where to read what to do.")

    @model_validator(mode="after")
    def _fits(self) -> Slo:
        ratio, latency = bool(self.errors and self.total), bool(self.latency and self.below_seconds)
        if ratio == latency or bool(self.errors) != bool(self.total) or bool(self.latency) != bool(self.below_seconds):
            msg = "is neither errors with total nor latency with below_seconds; give one of the two pairs"
            raise ValueError(msg)
        for selector in filter(None, (self.errors, self.total, self.latency)):
            try:
                expr = parse(selector).expr
            except QueryError as error:
                msg = f'{selector} is no selector: {error}; write name{{label="value"}}'
                raise ValueError(msg) from error
            if not isinstance(expr, Selector) or expr.range_ms is not None:
                msg = f'{selector} is no plain selector; write name{{label="value"}} without functions and ranges'
                raise ValueError(msg)
        return self

    def rules(self) -> list[dict[str, Any]]:
        """Recording and alerting rules, as a rule file has them."""
        return [*self._rates(), *(self._ratio(window) for window in _WINDOWS), *(self._alert(one) for one in _ALERTS)]

    def _rates(self) -> list[dict[str, Any]]:
        errors, total = self._events("5m")
        return [
            {"record": f"{PREFIX}errors:rate5m", "expr": errors, "labels": {"slo": self.name}},
            {"record": f"{PREFIX}total:rate5m", "expr": total, "labels": {"slo": self.name}},
        ]

    def _events(self, window: str) -> tuple[str, str]:
        """Bad and all events per second."""
        if self.latency:
            total = f"sum(rate({_renamed(self.latency, '_count')}[{window}]))"
            bound = re.escape(f"{self.below_seconds:g}").replace("\\", "\\\\")
            le = f'le=~"{bound}([.]0)?"'
            return f"{total} - sum(rate({_renamed(self.latency, '_bucket', le)}[{window}]))", total
        total = f"sum(rate({self.total}[{window}]))"
        return f"sum(rate({self.errors}[{window}])) or 0 * {total}", total

    def _ratio(self, window: int) -> dict[str, Any]:
        name = format_duration(window)
        if window >= _AVERAGED_FROM:
            errors, total = (
                f'sum_over_time({PREFIX}{what}:rate5m{{slo="{self.name}"}}[{name}])' for what in ("errors", "total")
            )
            expression = f"{errors} / ({total} > 0)"
        else:
            errors, total = self._events(name)
            expression = f"({errors}) / ({total} > 0)"
        return {"record": f"{PREFIX}sli_error:ratio_rate{name}", "expr": expression, "labels": {"slo": self.name}}

    def _alert(self, one: tuple[str, float, int, int, int]) -> dict[str, Any]:
        severity, share, long, short, hold = one
        factor = round(share * self.window_days * _DAY / long, 6)
        budget = round(1 - self.objective / 100, 9)
        above = [
            f'{PREFIX}sli_error:ratio_rate{format_duration(window)}{{slo="{self.name}"}} > {factor:g} * {budget:g}'
            for window in (long, short)
        ]
        return {
            "alert": "SloBudgetBurns",
            "expr": " and ".join(above),
            "for": format_duration(hold),
            "labels": {"severity": severity, "slo": self.name, "window": format_duration(long)},
            "annotations": {
                "summary": (
                    f"{self.name}: {{{{ $value | humanizePercentage }}}} of events were bad "
                    f"over {format_duration(long)}: "
                    f"at this pace {share:.0%} of the error budget of {self.window_days} days goes in that time."
                ),
                **({"runbook_url": self.runbook_url} if self.runbook_url else {}),
            },
        }


def _renamed(selector: str, ending: str, more: str = "") -> str:
    """The selector with an ending on its name and one more matcher."""
    name, brace, rest = selector.partition("{")
    inside = ", ".join(filter(None, (rest.rstrip("} ").strip().rstrip(",") if brace else "", more)))
    return f"{name.strip()}{ending}{{{inside}}}"


def as_rule_file(slos: Sequence[Slo]) -> str:
    """The rules of the objectives as a file that Prometheus reads as well."""
    groups = [{"name": f"slo-{slo.name}", "rules": slo.rules()} for slo in slos]
    return yaml.safe_dump({"groups": groups}, sort_keys=False, width=120)


def slo_groups(slos: Sequence[Slo], interval: float, problems: list[Problem]) -> list[Group]:
    """The groups of the objectives."""
    return parse_rules(as_rule_file(slos), "alerts.slos", interval, problems)[0] if slos else []
