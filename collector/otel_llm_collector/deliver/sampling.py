"""Late sampling: whether a destination gets a trace is decided when the trace is there, by what happened in it.

Policies ask about a trace's summary (`summary.py`), gathered as its spans pass; `Sampler` decides. Everything is
measured before this, whatever is decided here.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from otel_llm_collector import limits
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.summary import TraceSummary
from otel_llm_collector.selection import Matcher, Selections

_RANDOM_BYTES = 7  # of a trace id, as W3C's trace context has it


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


class Sampler:
    """The settings, compiled, with the rates they have used."""

    def __init__(self, settings: SamplingSettings) -> None:
        self._policies = settings.policies
        self._matchers = [
            (1 << number, Matcher(policy.match, Signal.TRACES))
            for number, policy in enumerate(settings.policies)
            if policy.match is not None
        ]
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # (left, at)

    def mark(self, payload: bytes, found: Mapping[bytes, TraceSummary]) -> None:
        """Mark in `found`, the summaries of `payload`, the traces of which policies' selections mean a span."""
        possible = [(bit, matcher) for bit, matcher in self._matchers if matcher.possible(payload)]
        if not possible:
            return
        keys = frozenset().union(*(matcher.keys for _, matcher in possible))
        for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans:
            resource = {one.key: one.value for one in resource_spans.resource.attributes}
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    summary = found[span.trace_id]
                    attributes = {one.key: one.value for one in span.attributes if one.key in keys}
                    for bit, matcher in possible:
                        if not summary.matched & bit and matcher.matches(resource, attributes):
                            summary.matched |= bit

    def decide(self, trace_id: bytes, summary: TraceSummary, now: float) -> str | None:
        """The name of the policy that keeps the trace, or None."""
        for number, policy in enumerate(self._policies):
            if _holds(policy, summary, 1 << number) and _chosen(trace_id, policy.percent):
                limit = policy.max_per_second
                if limit is None or self._takes(policy.name, summary.service, limit, now):
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


def _holds(policy: Policy, summary: TraceSummary, bit: int) -> bool:
    return (
        (not policy.errors or summary.error)
        and (policy.slower_than_seconds is None or (summary.end - summary.start) / 1e9 > policy.slower_than_seconds)
        and (policy.cost_over_usd is None or summary.cost > policy.cost_over_usd)
        and (
            policy.feedback_below is None or (summary.feedback is not None and summary.feedback < policy.feedback_below)
        )
        and (not policy.evaluation_failed or summary.evaluation_failed)
        and (policy.match is None or bool(summary.matched & bit))
    )


def _chosen(trace_id: bytes, percent: float) -> bool:
    """The same answer for the same trace everywhere."""
    return int.from_bytes(trace_id[-_RANDOM_BYTES:], "big") < percent / 100 * (1 << 8 * _RANDOM_BYTES)
