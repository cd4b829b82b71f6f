"""Feedback and evaluation results: `gen_ai.evaluation.result` log events, as one small model that each backend reads.

Backends that take scores take them over an API of their own, by trace, span or conversation; other logs are not theirs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import OtelLlmEvaluationEvaluatorType as Evaluator

from otel_llm_collector.any_value import plain
from otel_llm_collector.contract import Parcel
from otel_llm_collector.deliver.events import event_name
from otel_llm_collector.deliver.otlp import SHAPES, walk

EVENT = attr.GEN_AI_EVALUATION_NAME.removesuffix("name") + "result"
SCORES = frozenset({EVENT})
_YES = frozenset({"pass", "passed", "true", "yes", "good", "up", "thumbs_up", "positive"})
_NO = frozenset({"fail", "failed", "false", "no", "bad", "down", "thumbs_down", "negative"})

_EVALUATORS = {Evaluator.HUMAN.value: "HUMAN", Evaluator.LLM_JUDGE.value: "LLM"}


@dataclass(frozen=True, slots=True)
class Score:
    """One judgement on a span, a trace or a conversation."""

    trace_id: bytes
    span_id: bytes
    conversation_id: str
    name: str
    value: float | None
    label: str
    explanation: str
    evaluator: str  # HUMAN, LLM or CODE
    judge: str  # the evaluator's name, or the person's id
    feedback_id: str
    time_unix_nano: int

    @property
    def number(self) -> float | None:
        """The value, or 1 and 0 for labels that say yes or no; None when the score is no number."""
        if self.value is not None:
            return self.value
        word = self.label.lower()
        return 1.0 if word in _YES else 0.0 if word in _NO else None

    def is_fresh(self, seconds: float, now: float) -> bool:
        """Whether the trace may still be on its way: the score was made less than `seconds` before `now`."""
        return now - self.time_unix_nano / 1e9 < seconds

    @property
    def identifier(self) -> str:
        """The same for each sending of the same judgement by the same judge."""
        target = (self.trace_id.hex(), self.span_id.hex(), self.conversation_id, self.name)
        parts = (*target, self.feedback_id or f"{self.evaluator} {self.judge}")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def scores(parcel: Parcel) -> tuple[list[Score], int]:
    """The scores of a parcel of logs that can be sent, and how many cannot: no name, nothing to point at, no value."""
    shape = SHAPES[parcel.signal]
    records = (record for _, _, record in walk(shape.request.FromString(parcel.payload), shape))
    found = [_score(record) for record in records if event_name(record) == EVENT]
    usable = [score for score in found if score is not None]
    return usable, len(found) - len(usable)


def _score(record: Any) -> Score | None:
    values = {one.key: plain(one.value, bytes.hex) for one in record.attributes}
    value = values.get(attr.GEN_AI_EVALUATION_SCORE_VALUE)
    number = float(value) if isinstance(value, (int, float)) else None
    score = Score(
        trace_id=record.trace_id,
        span_id=record.span_id,
        conversation_id=_text(values, attr.GEN_AI_CONVERSATION_ID) or _text(values, attr.SESSION_ID),
        name=_text(values, attr.GEN_AI_EVALUATION_NAME),
        value=number if number is None or math.isfinite(number) else None,
        label=_text(values, attr.GEN_AI_EVALUATION_SCORE_LABEL),
        explanation=_text(values, attr.GEN_AI_EVALUATION_EXPLANATION),
        evaluator=_evaluator(values),
        judge=_text(values, attr.OTEL_LLM_EVALUATION_EVALUATOR_NAME) or _text(values, attr.USER_ID),
        feedback_id=_text(values, attr.OTEL_LLM_FEEDBACK_ID),
        time_unix_nano=record.time_unix_nano or record.observed_time_unix_nano,
    )
    points_somewhere = score.trace_id or score.conversation_id
    says_something = score.value is not None or score.label
    return score if score.name and points_somewhere and says_something else None


def _evaluator(values: Mapping[str, Any]) -> str:
    """Who judged: what the event says, else a person where it has a form of feedback, else a program."""
    said = values.get(attr.OTEL_LLM_EVALUATION_EVALUATOR_TYPE)
    if said is None and attr.OTEL_LLM_FEEDBACK_KIND in values:
        return "HUMAN"
    return _EVALUATORS.get(str(said), "CODE")


def _text(values: Mapping[str, Any], key: str) -> str:
    return str(values.get(key, ""))
