"""Threshold rules: a metric, a statistic over a window, a condition, a threshold, a duration, a severity.

Rules stand in the configuration under `alerts.thresholds`, or in rule files under the key `thresholds`. Each is
compiled to an ordinary alerting rule with a PromQL expression, so that one machine evaluates everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from otel_llm_semconv.metrics import METRICS, Metric
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from otel_llm_collector.alert.durations import format_duration
from otel_llm_collector.alert.rule_files import Group, Rule
from otel_llm_collector.alert.slo import Slo
from otel_llm_collector.alert.spans import SpanRule
from otel_llm_collector.alert.template import literal
from otel_llm_collector.alert.template import parse as parse_template
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.measure.names import metric_name
from otel_llm_collector.measure.promql.query import parse

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BY_PROMETHEUS_NAME = {metric_name(metric.name, metric.unit): metric for metric in METRICS.values()}

CONDITIONS = (">", ">=", "<", "<=", "==", "!=")


class Statistic(StrEnum):
    """What is computed from the metric over the window."""

    INCREASE = "increase"  # how much it grew
    RATE = "rate"  # the same per second
    RATIO = "ratio"  # its growth divided by the growth of the metric named by `per`
    MEAN = "mean"  # mean of a histogram's observations
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"


QUANTILES = {Statistic.P50: 0.5, Statistic.P90: 0.9, Statistic.P95: 0.95, Statistic.P99: 0.99}


def find_metric(name: str) -> Metric | None:
    """The metric of a registry name or of a Prometheus name, with or without `_total`."""
    return METRICS.get(name) or _BY_PROMETHEUS_NAME.get(name.removesuffix("_total"))


def _known_metric(name: str) -> str:
    metric = find_metric(name)
    if metric is None:
        msg = f"names no metric; write one of {', '.join(sorted(METRICS))}"
        raise ValueError(msg)
    return metric.name


def _condition(sign: str) -> str:
    if sign not in CONDITIONS:
        msg = f"is no condition; write one of {' '.join(CONDITIONS)}"
        raise ValueError(msg)
    return sign


def _label(name: str) -> str:
    if not _LABEL.fullmatch(name):
        msg = "is no label name; write letters, digits and underscores"
        raise ValueError(msg)
    return name


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        msg = "is not a URL; write for example http://127.0.0.1:9093"
        raise ValueError(msg)
    return value.rstrip("/")


def _optional_url(value: str) -> str:
    return _url(value) if value else ""


MetricName = Annotated[str, AfterValidator(_known_metric)]
LabelName = Annotated[str, AfterValidator(_label)]


class ThresholdRule(BaseModel):
    """One rule; each group of label values that meets the condition for `duration_seconds` is one alert."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200, description="Name of the alert.")
    metric: MetricName = Field(description="A metric of the registry, by its own or its Prometheus name.")
    statistic: Statistic = Field(description="increase, rate, ratio, mean, p50, p90, p95 or p99 over the window.")
    per: MetricName | None = Field(None, description="For ratio: the metric to divide by.")
    where: dict[LabelName, str] = Field(default_factory=dict, description="Only series with these label values.")
    by: list[LabelName] = Field(default_factory=list, description="One alert per combination of these labels.")
    window_seconds: float = Field(300, gt=0, le=86400, description="How far back to look, in seconds.")
    condition: Annotated[str, AfterValidator(_condition)] = Field(description="One of > >= < <= == !=.")
    threshold: float = Field(allow_inf_nan=False, description="What the value is compared with.")
    duration_seconds: float = Field(0, ge=0, le=86400, description="How long the condition must hold, in seconds.")
    severity: str = Field("warning", pattern="^(info|warning|critical)$", description="info, warning or critical.")
    summary: str = Field("", max_length=1000, description="One sentence for the person who is told.")
    runbook_url: str = Field("", max_length=1000, description="Where to read what to do.")

    def compiled(self) -> Rule:
        """The alerting rule that means the same."""
        what = f"{self.statistic} of {self.metric}" + (f" per {self.per}" if self.per else "")
        over = f"{what} over {self.window_seconds:g} s is "
        annotations = {
            "summary": literal(self.summary or f"{what} is {self.condition} {self.threshold:g}"),
            "description": parse_template(over + '{{ printf "%.6g" $value }}'),
        }
        if self.runbook_url:
            annotations["runbook_url"] = literal(self.runbook_url)
        labels = {"severity": literal(self.severity)}
        return Rule(self.name, False, parse(self.expression()), self.duration_seconds, 0.0, labels, annotations)

    def expression(self) -> str:
        """The condition as PromQL. Where there is nothing to divide by, or nothing was observed, nothing holds."""
        value = f"({self._value()} <= +Inf)" if self.condition == "!=" else self._value()  # without NaN
        return f"{value} {self.condition} {self.threshold!r}"

    def _value(self) -> str:
        by = f" by ({', '.join(self.by)})" if self.by else ""
        counted = _counted(self.metric)
        increase = f"sum{by} ({self._over(self.metric, counted, 'increase')})"
        if self.statistic is Statistic.INCREASE:
            return increase
        if self.statistic is Statistic.RATE:
            return f"sum{by} ({self._over(self.metric, counted, 'rate')})"
        if self.statistic is Statistic.MEAN:
            return f"sum{by} ({self._over(self.metric, '_sum', 'increase')}) / ({increase} > 0)"
        if self.per is not None:
            below = f"sum{by} ({self._over(self.per, _counted(self.per), 'increase')})"
            return f"({increase} or {below} * 0) / ({below} > 0)"
        buckets = f"sum by ({', '.join([*self.by, 'le'])}) ({self._over(self.metric, '_bucket', 'rate')})"
        return f"histogram_quantile({QUANTILES[self.statistic]}, {buckets})"

    def _over(self, name: str, ending: str, function: str) -> str:
        metric = METRICS[name]
        known = {key.replace(".", "_") for key in metric.attributes}
        where = ", ".join(f"{label}={_quoted(value)}" for label, value in self.where.items() if label in known)
        selector = f"{metric_name(metric.name, metric.unit)}{ending}{{{where}}}"
        return f"{function}({selector}[{format_duration(self.window_seconds)}])"

    @model_validator(mode="after")
    def _fits(self) -> ThresholdRule:
        metric = METRICS[self.metric]
        needs_histogram = self.statistic in QUANTILES or self.statistic is Statistic.MEAN
        if needs_histogram and metric.instrument != "histogram":
            msg = f"statistic {self.statistic} does not fit {self.metric}, a counter; use increase, rate or ratio"
            raise ValueError(msg)
        if (self.statistic is Statistic.RATIO) != (self.per is not None):
            msg = "per belongs to the statistic ratio, and ratio needs it; give both or neither"
            raise ValueError(msg)
        for other in filter(None, (self.metric, self.per)):
            known = [key.replace(".", "_") for key in METRICS[other].attributes]
            unknown = sorted({*self.where, *self.by} - set(known)) if other == self.metric else []
            if unknown:
                msg = f"{other} has no label {unknown[0]}; its labels are {', '.join(known)}"
                raise ValueError(msg)
        if self.per is not None and not set(self.by) <= {key.replace(".", "_") for key in METRICS[self.per].attributes}:
            msg = f"{self.per} lacks a label of `by`; group by labels that both metrics have"
            raise ValueError(msg)
        return self


def _counted(name: str) -> str:
    return "_total" if METRICS[name].instrument == "counter" else "_count"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def threshold_group(rules: Sequence[ThresholdRule], file: str, interval: float) -> Group:
    """The group that threshold rules of one file form."""
    return Group("thresholds", file, interval, tuple(rule.compiled() for rule in rules))


class ThresholdFile(BaseModel):
    """A file of threshold rules."""

    model_config = ConfigDict(extra="forbid")

    thresholds: list[ThresholdRule] = Field(description="The rules.")


class AlertsConfig(BaseModel):
    """Which rules are evaluated, how often, and who is told."""

    model_config = ConfigDict(extra="forbid")

    rules: list[str] = Field(
        default_factory=list,
        description="Files of rules: patterns such as rules/*.yaml, or rules that come along, such as shipped:latency.",
    )
    thresholds: list[ThresholdRule] = Field(default_factory=list, description="Threshold rules.")
    alertmanagers: list[Annotated[str, AfterValidator(_url)]] = Field(
        default_factory=list, description="Base URLs of every Alertmanager; all of them are told."
    )
    evaluation_seconds: float = Field(15, ge=0.1, le=3600, description="Time between evaluations, in seconds.")
    resend_seconds: float = Field(60, ge=1, le=3600, description="Time after which a firing alert is sent again.")
    path: ConfigPath | None = Field(
        None, description="Folder in which alerts, silences and what was told survive a restart; none by default."
    )
    spans: list[SpanRule] = Field(default_factory=list, description="Rules about single spans.")
    slos: list[Slo] = Field(default_factory=list, description="Service level objectives.")
    deadman: bool = Field(False, description="An alert that always fires, so that its absence can be noticed.")
    notify: dict[str, Any] = Field(default_factory=dict, description="People to tell, one entry each, named by you.")
    external_url: Annotated[str, AfterValidator(_optional_url)] = Field(
        "", description="Where people reach a Prometheus page; links in alerts start with it."
    )
    runbooks_url: Annotated[str, AfterValidator(_optional_url)] = Field(
        "", description="What the links of shipped rules to their runbooks begin with."
    )
    external_labels: dict[LabelName, str] = Field(
        default_factory=dict, description="Labels added to every alert that is sent."
    )
