"""Rules about single spans that the engine notices: `cost > 1`, `duration > 30s`, `error`, `output_tokens > 4000`.

    alerts:
      spans:
        - {name: ExpensiveCall, when: cost > 1, severity: warning}

An alert fires as soon as such a span was kept and goes on for `keep_seconds` after the last one. There is one alert for
each service, operation and model; its annotations carry the trace id of the latest span. A span that is delivered again
is not looked at again.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from otel_llm_collector import limits
from otel_llm_collector.alert.durations import parse_duration
from otel_llm_collector.alert.group import Found, RunningRule, Store
from otel_llm_collector.alert.rule_files import Rule
from otel_llm_collector.alert.template import literal
from otel_llm_collector.measure.calls import SHORT_NAMES, Call, calls
from otel_llm_collector.measure.names import label_name
from otel_llm_collector.measure.promql.query import parse
from otel_llm_collector.measure.promql.storage import Labels, make_labels
from otel_llm_collector.measure.promql.values import Sample
from otel_llm_collector.span_conditions import ERROR, MEASURES, NoticedSpan, SpanCondition

_COMPARED = tuple(name for name in MEASURES if name != ERROR.what)
_CONDITION = re.compile(r"\s*(?P<what>\w+)\s*(?P<sign>>=|<=|==|!=|>|<)\s*(?P<bound>[0-9.]+[a-z]*)\s*")
_NO_QUERY = parse("vector(0) > 1")  # what the API shows of a rule that has none: never anything
_LABELS = tuple(label_name(SHORT_NAMES[name]) for name in ("service", "operation", "provider", "model"))


def read_condition(text: str) -> SpanCondition:
    """The condition that `text` is; raises `ValueError`."""
    if text.strip() == ERROR.what:
        return ERROR
    match = _CONDITION.fullmatch(text)
    if match is None or match["what"] not in _COMPARED:
        msg = f"is no condition on a span; write error, or one of {', '.join(_COMPARED)} with > and a number"
        raise ValueError(msg)
    return SpanCondition(match["what"], match["sign"], _bound(match["bound"]))


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return parse_duration(text)


def _condition(text: str) -> str:
    read_condition(text)
    return text


class SpanRule(BaseModel):
    """One rule about single spans."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200, description="Name of the alert.")
    when: Annotated[str, AfterValidator(_condition)] = Field(
        description="error, or cost, duration, input_tokens, output_tokens or time_to_first_token with > and a number."
    )
    where: dict[str, str] = Field(default_factory=dict, description="Only spans whose attributes have these values.")
    keep_seconds: float = Field(300, gt=0, le=86400, description="How long the alert goes on after the last such span.")
    severity: str = Field("warning", pattern="^(info|warning|critical)$", description="info, warning or critical.")
    summary: str = Field("", max_length=1000, description="One sentence for the person who is told.")
    runbook_url: str = Field("", max_length=1000, description="Where to read what to do.")


@dataclass(slots=True)
class _Hit:
    at: float
    value: float
    trace_id: str
    count: int


class SpanRules:
    """Looks at spans and remembers the hits; `clock` gives seconds since the epoch. Safe for threads."""

    def __init__(self, rules: Sequence[SpanRule], clock: Callable[[], float]) -> None:
        self._rules = [(rule, read_condition(rule.when)) for rule in rules]
        self._clock = clock
        self._hits: dict[str, dict[Labels, _Hit]] = {rule.name: {} for rule in rules}
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()
        self.dropped = 0  # hits for whose labels there was no room

    def replace(self, rules: Sequence[SpanRule]) -> None:
        """Other rules from now on; one that did not change keeps its hits."""
        same = {rule.name for rule, _ in self._rules if rule in rules}
        with self._lock:
            self._hits = {rule.name: self._hits[rule.name] if rule.name in same else {} for rule in rules}
            self._rules = [(rule, read_condition(rule.when)) for rule in rules]

    @property
    def conditions(self) -> tuple[SpanCondition, ...]:
        """Which spans `observe` is to be shown."""
        return tuple({condition: None for _, condition in self._rules})

    def observe(self, noticed: Sequence[NoticedSpan], request: bytes) -> None:
        """Look at spans that were noticed in a kept trace request, which is read again only for rules with `where`."""
        now = self._clock()
        said: dict[bytes, Call] | None = None
        for rule, condition in self._rules:
            for span in noticed:
                value = condition.measure(span)
                if value is None:
                    continue
                if rule.where:
                    said = {call.identity: call for call in calls(request)} if said is None else said
                    call = said.get(span.trace_id + span.span_id)
                    if call is None or any(call.get(key) != wanted for key, wanted in rule.where.items()):
                        continue
                self._hit(rule.name, span, value, now)

    def _hit(self, name: str, span: NoticedSpan, value: float, now: float) -> None:
        identity = span.trace_id + span.span_id + name.encode()
        with self._lock:
            if identity in self._seen:
                return
            self._seen[identity] = None
            if len(self._seen) > limits.MAX_REMEMBERED_SPANS:
                self._seen.popitem(last=False)
            said = (span.service, span.operation, span.provider, span.model)
            labels = make_labels(
                {label: one[: limits.MAX_LABEL_CHARS] for label, one in zip(_LABELS, said, strict=True)}
            )
            hits = self._hits.get(name)
            if hits is None:
                return  # its rule has gone
            if labels not in hits and len(hits) >= limits.MAX_SPAN_ALERTS:
                self.dropped += 1
                return
            before = hits.get(labels)
            hits[labels] = _Hit(now, value, span.trace_id.hex(), before.count + 1 if before else 1)

    def running(self, key: Callable[[Rule], str]) -> list[RunningRule]:
        """The rules for the evaluator; `key` says how one is known after a restart."""
        return [self._running(rule, key) for rule, _ in self._rules]

    def _running(self, rule: SpanRule, key: Callable[[Rule], str]) -> RunningRule:
        annotations = {"summary": literal(rule.summary or f"A span with {rule.when}.")}
        if rule.runbook_url:
            annotations["runbook_url"] = literal(rule.runbook_url)
        made = Rule(rule.name, False, _NO_QUERY, 0.0, 0.0, {"severity": literal(rule.severity)}, annotations)

        def find(_: Store, at_ms: int) -> Sequence[Found]:
            since = at_ms / 1000 - rule.keep_seconds
            with self._lock:
                hits = self._hits[rule.name] = {
                    labels: hit for labels, hit in self._hits.get(rule.name, {}).items() if hit.at > since
                }
                return [
                    Found(
                        Sample(labels, hit.value),
                        {
                            "trace_id": hit.trace_id,
                            "description": f"{rule.when}: {hit.value:.6g} in trace {hit.trace_id}, {hit.count} so far",
                        },
                    )
                    for labels, hit in hits.items()
                ]

        return RunningRule(key(made), made, find)

    def shift(self, seconds: float) -> None:
        """The clock was set by so much."""
        with self._lock:
            for hits in self._hits.values():
                for hit in hits.values():
                    hit.at += seconds
