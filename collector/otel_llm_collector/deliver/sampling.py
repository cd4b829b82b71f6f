"""Late sampling: whether a destination gets a trace is decided when the trace is there, by what happened in it.

`Facts` are what the policies ask about a trace, gathered as its spans pass; `Sampler` decides. Everything is measured
before this, whatever is decided here.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events
from pydantic import BaseModel, ConfigDict, Field, model_validator

from otel_llm_collector import limits
from otel_llm_collector.contract import Signal
from otel_llm_collector.selection import Matcher, Selections

_EVALUATION_BYTES = events.GEN_AI_EVALUATION_RESULT.encode()
_FAILED_LABELS = frozenset({"fail", "failed"})
_STATUS_ERROR = 2
_RANDOM_BYTES = 7  # of a trace id, as W3C's trace context has it
_SPAN_KEYS = frozenset({attr.OTEL_LLM_COST_TOTAL, attr.OTEL_LLM_QUALITY_FAILED_CHECKS})


class Policy(BaseModel):
    """Keeps traces in which everything that it names holds; with nothing named, all of them."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64, description="Its name in otel_llm_exporter_sampled_traces.")
    errors: bool = Field(False, description="true: a span of the trace failed.")
    slower_than_seconds: float | None = Field(None, ge=0, description="From its first start to its last end.")
    cost_over_usd: float | None = Field(None, ge=0, description="All its calls together cost more.")
    feedback_below: float | None = Field(None, description="Somebody gave it a score below this.")
    evaluation_failed: bool = Field(False, description="true: an evaluation or quality check of it failed.")
    match: Selections | None = Field(None, min_length=1, description="A span of it is meant by this selection.")
    percent: float = Field(100.0, ge=0, le=100, description="Of these traces this share, chosen by trace id.")
    max_per_second: float | None = Field(None, gt=0, description="Of these traces so many per service at most.")

    @model_validator(mode="after")
    def _sensible(self) -> Policy:
        if not math.isfinite(self.percent):
            msg = "percent is no number; write 0 to 100"
            raise ValueError(msg)
        return self


class SamplingSettings(BaseModel):
    """Which traces a destination gets: those that any one policy keeps."""

    model_config = ConfigDict(extra="forbid")

    policies: list[Policy] = Field(min_length=1, description="Asked in order; the first that keeps a trace names it.")

    @model_validator(mode="after")
    def _names(self) -> SamplingSettings:
        names = [policy.name for policy in self.policies]
        if len(set(names)) < len(names):
            msg = "has several policies of one name; give each a name of its own"
            raise ValueError(msg)
        return self


@dataclass(slots=True)
class Facts:
    """What is known of a trace so far."""

    service: str = ""
    error: bool = False
    start: int = 0  # nanoseconds since the epoch
    end: int = 0
    cost: float = 0.0
    feedback: float | None = None  # the lowest
    evaluation_failed: bool = False
    matched: int = 0  # a bit for each policy whose selection meant a span

    def add(self, other: Facts) -> None:
        """What more spans said."""
        self.service = self.service or other.service
        self.error |= other.error
        self.start = min(self.start, other.start) if self.start and other.start else self.start or other.start
        self.end = max(self.end, other.end)
        self.cost += other.cost
        if other.feedback is not None:
            self.feedback = other.feedback if self.feedback is None else min(self.feedback, other.feedback)
        self.evaluation_failed |= other.evaluation_failed
        self.matched |= other.matched


class Sampler:
    """The settings, compiled, with the rates they have used."""

    def __init__(self, settings: SamplingSettings) -> None:
        self._policies = settings.policies
        self._matchers = [
            (1 << number, Matcher(policy.match, Signal.TRACES))
            for number, policy in enumerate(settings.policies)
            if policy.match is not None
        ]
        self._keys = _SPAN_KEYS.union(*(matcher.keys for _, matcher in self._matchers))
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # (left, at)

    def observe(self, facts: Facts, resource: Mapping[str, Any], span: Any) -> None:
        """Add what `span` says; `resource` are the attributes of its resource by name."""
        facts.error |= span.status.code == _STATUS_ERROR
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        facts.start = min(facts.start, start) if facts.start else start
        facts.end = max(facts.end, end)
        if not facts.service or not span.parent_span_id:
            named = resource.get(attr.SERVICE_NAME)
            facts.service = named.string_value if named is not None else ""
        attributes = {one.key: one.value for one in span.attributes if one.key in self._keys}
        if attributes:
            cost = attributes.get(attr.OTEL_LLM_COST_TOTAL)
            if cost is not None:
                facts.cost += cost.double_value
            checks = attributes.get(attr.OTEL_LLM_QUALITY_FAILED_CHECKS)
            facts.evaluation_failed |= checks is not None and bool(checks.array_value.values)
        for bit, matcher in self._matchers:
            if not facts.matched & bit and matcher.matches(resource, attributes):
                facts.matched |= bit
        for event in span.events:
            if event.name == events.GEN_AI_EVALUATION_RESULT:
                _evaluated(facts, event.attributes)

    def decide(self, trace_id: bytes, facts: Facts, now: float) -> str | None:
        """The name of the policy that keeps the trace, or None."""
        for number, policy in enumerate(self._policies):
            if _holds(policy, facts, 1 << number) and _chosen(trace_id, policy.percent):
                limit = policy.max_per_second
                if limit is None or self._takes(policy.name, facts.service, limit, now):
                    return policy.name
        return None

    def _takes(self, policy: str, service: str, per_second: float, now: float) -> bool:
        """Whether the policy has room for one more trace of the service; a second's worth may come at once."""
        most = max(1.0, per_second)
        left, at = self._buckets.pop((policy, service), (most, now))
        left = min(most, left + (now - at) * per_second)
        self._buckets[policy, service] = (left - 1.0 if left >= 1.0 else left, now)
        if len(self._buckets) > limits.MAX_SAMPLED_SERVICES:
            self._buckets.popitem(last=False)
        return left >= 1.0


def feedback_of(record: Any) -> Facts | None:
    """What a log record says of its trace: feedback and evaluations come as events. None: it says nothing."""
    if record.event_name != events.GEN_AI_EVALUATION_RESULT:
        return None
    facts = Facts()
    _evaluated(facts, record.attributes)
    return facts


def may_have_feedback(payload: bytes) -> bool:
    """False when no log record in `payload` is such an event."""
    return _EVALUATION_BYTES in payload


def _evaluated(facts: Facts, attributes: Any) -> None:
    values = {one.key: one.value for one in attributes}
    label = values.get(attr.GEN_AI_EVALUATION_SCORE_LABEL)
    facts.evaluation_failed |= label is not None and label.string_value.lower() in _FAILED_LABELS
    if attr.OTEL_LLM_FEEDBACK_KIND not in values:
        return
    score = values.get(attr.GEN_AI_EVALUATION_SCORE_VALUE)
    if score is not None:
        value = score.double_value if score.HasField("double_value") else float(score.int_value)
        if math.isfinite(value):
            facts.feedback = value if facts.feedback is None else min(facts.feedback, value)


def _holds(policy: Policy, facts: Facts, bit: int) -> bool:
    return (
        (not policy.errors or facts.error)
        and (policy.slower_than_seconds is None or (facts.end - facts.start) / 1e9 > policy.slower_than_seconds)
        and (policy.cost_over_usd is None or facts.cost > policy.cost_over_usd)
        and (policy.feedback_below is None or (facts.feedback is not None and facts.feedback < policy.feedback_below))
        and (not policy.evaluation_failed or facts.evaluation_failed)
        and (policy.match is None or bool(facts.matched & bit))
    )


def _chosen(trace_id: bytes, percent: float) -> bool:
    """The same answer for the same trace everywhere."""
    return int.from_bytes(trace_id[-_RANDOM_BYTES:], "big") < percent / 100 * (1 << 8 * _RANDOM_BYTES)
