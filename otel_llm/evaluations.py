"""Feedback: what somebody thinks of an answer, as the event `gen_ai.evaluation.result` over OTLP logs.

    otel_llm.feedback(stars=4, comment="found it")                       # inside the answer's span
    otel_llm.feedback(thumbs="up", traceparent=sent_with_the_answer)     # later, from another process

The event belongs to the span that is judged. Another process names that span by what `otel_llm.traceparent()` gave the
caller with the answer, or by ids. Sending never blocks: the event waits in the log processor's queue.
"""

from __future__ import annotations

import math
import re
import time
from typing import Any, Literal

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import OtelLlmEvaluationEvaluatorType as Evaluator
from otel_llm_semconv.enums import OtelLlmFeedbackKind as Kind
from otel_llm_semconv.events import GEN_AI_EVALUATION_RESULT

from otel_llm.content import cut
from otel_llm.guard import warn_once
from otel_llm.providers import event_logger
from otel_llm.sessions import attributes_of

MOST_STARS = 5
MAX_COMMENT_BYTES = 16 * 1024  # truncate
MAX_LABEL_CHARACTERS = 256  # truncate

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_TRACE_DIGITS, _SPAN_DIGITS = 32, 16


def feedback(
    name: str = "user_feedback",
    *,
    thumbs: Literal["up", "down"] | bool | None = None,
    stars: int | None = None,
    score: float | None = None,
    label: str | None = None,
    comment: str | None = None,
    traceparent: str | None = None,
    trace_id: str | None = None,
    span_id: str | None = None,
    response_id: str | None = None,
    feedback_id: str | None = None,
    by: Literal["human", "llm_judge", "deterministic"] = "human",
) -> bool:
    """Say what somebody thinks of an answer; True when it was handed over, False (with a warning) when it is unusable.

    Args:
        name: What is judged; few different values, for example `helpful` or `user_feedback`.
        thumbs: `up` or `down`; as a score 1 or 0.
        stars: 1 to 5; as a score 0 to 1 in quarters.
        score: Any number, larger is better.
        label: The judgement as a word, for example `correct`.
        comment: Free text. It is content: collectors may be told to drop it.
        traceparent: The judged span, as `otel_llm.traceparent()` wrote it; else `trace_id`, else the current span.
        trace_id: The judged trace, 32 hexadecimal digits.
        span_id: The judged span, 16 hexadecimal digits; without it the feedback is on the whole trace.
        response_id: The provider's id of the answer; alone it is enough where no trace is known.
        feedback_id: Your id of this feedback; the same id again replaces it.
        by: Who judged.
    """
    try:
        attributes = _judgement(thumbs, stars, score, label, comment)
        where = _where(traceparent, trace_id, span_id, needed=not response_id)
        attributes |= {
            attr.GEN_AI_EVALUATION_NAME: str(name),
            attr.OTEL_LLM_EVALUATION_EVALUATOR_TYPE: Evaluator(by).value,
        }
        if response_id:
            attributes[attr.GEN_AI_RESPONSE_ID] = str(response_id)
        if feedback_id:
            attributes[attr.OTEL_LLM_FEEDBACK_ID] = str(feedback_id)
        record = LogRecord(
            timestamp=time.time_ns(),
            context=where if where is not None else Context(),
            severity_number=SeverityNumber.INFO,
            event_name=GEN_AI_EVALUATION_RESULT,
            attributes={**attributes_of(), **attributes},
        )
        event_logger().emit(record)
    except Exception as error:  # the program's own work must go on
        warn_once(f"feedback: {error}")
        return False
    return True


def traceparent() -> str | None:
    """The current span as a W3C `traceparent`, to be given to whoever may send feedback; None outside of spans."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 0xFF:02x}"


def _judgement(thumbs: Any, stars: Any, score: Any, label: Any, comment: Any) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if thumbs is not None:
        if thumbs not in ("up", "down", True, False):
            raise ValueError(f"thumbs is {thumbs!r}; use 'up' or 'down'")
        up = thumbs in ("up", True)
        said = {
            attr.OTEL_LLM_FEEDBACK_KIND: Kind.THUMBS.value,
            attr.GEN_AI_EVALUATION_SCORE_VALUE: 1.0 if up else 0.0,
            attr.GEN_AI_EVALUATION_SCORE_LABEL: "up" if up else "down",
        }
    elif stars is not None:
        if not isinstance(stars, int) or isinstance(stars, bool) or not 1 <= stars <= MOST_STARS:
            raise ValueError(f"stars is {stars!r}; use 1 to {MOST_STARS}")
        said = {
            attr.OTEL_LLM_FEEDBACK_KIND: Kind.STARS.value,
            attr.OTEL_LLM_FEEDBACK_STARS: stars,
            attr.GEN_AI_EVALUATION_SCORE_VALUE: (stars - 1) / (MOST_STARS - 1),
        }
    elif score is not None:
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
            raise ValueError(f"score is {score!r}; use a number")
        said = {attr.OTEL_LLM_FEEDBACK_KIND: Kind.SCORE.value, attr.GEN_AI_EVALUATION_SCORE_VALUE: float(score)}
    if label is not None:
        said.setdefault(attr.OTEL_LLM_FEEDBACK_KIND, Kind.LABEL.value)
        said[attr.GEN_AI_EVALUATION_SCORE_LABEL] = str(label)[:MAX_LABEL_CHARACTERS]
    if comment:
        said.setdefault(attr.OTEL_LLM_FEEDBACK_KIND, Kind.COMMENT.value)
        said[attr.GEN_AI_EVALUATION_EXPLANATION] = cut(str(comment), MAX_COMMENT_BYTES)
    if not said:
        raise ValueError("it says nothing; give thumbs=, stars=, score=, label= or comment=")
    return said


def _where(traceparent: Any, trace_id: Any, span_id: Any, *, needed: bool) -> Context | None:
    """A context whose span is the judged one; None where there is no trace and none is needed."""
    if traceparent is not None:
        found = _TRACEPARENT.fullmatch(str(traceparent).strip().lower())
        if found is None:
            raise ValueError(f"traceparent is {traceparent!r}; use what otel_llm.traceparent() returned")
        trace_id, span_id = found[1], found[2]
    if trace_id is None:
        if span_id is not None:
            raise ValueError("span_id needs the trace_id it belongs to")
        current = trace.get_current_span()
        if current.get_span_context().is_valid:
            return trace.set_span_in_context(current, Context())
        if needed:
            raise ValueError("nothing says which answer it is about; give traceparent=, trace_id= or response_id=")
        return None
    judged = SpanContext(
        trace_id=_id("trace_id", trace_id, _TRACE_DIGITS),
        span_id=_id("span_id", span_id, _SPAN_DIGITS) if span_id is not None else 0,
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(NonRecordingSpan(judged), Context())


def _id(name: str, value: Any, digits: int) -> int:
    text = f"{value:0{digits}x}" if isinstance(value, int) and not isinstance(value, bool) else str(value).strip()
    if not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", text) or not int(text, 16):
        raise ValueError(f"{name} is {value!r}; use {digits} hexadecimal digits")
    return int(text, 16)
