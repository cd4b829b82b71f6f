"""Results of evaluations, feedback among them: events on log records and on spans, as numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.events import GEN_AI_EVALUATION_RESULT

from otel_llm_collector.engine.spans import text

_EVENT_NAME = "event.name"  # where senders before `LogRecord.event_name` put it


class Evaluation(NamedTuple):
    """What one result says; `score` is None where it has none."""

    evaluator: str
    name: str
    label: str
    score: float | None


def of_record(record: LogRecord) -> Evaluation | None:
    """The result that a log record is, or None."""
    values = None
    name = record.event_name
    if not name:
        values = {one.key: one.value for one in record.attributes}
        name = text(values.get(_EVENT_NAME))
    return of_event(name, values or {one.key: one.value for one in record.attributes})


def of_event(name: str, values: dict[str, AnyValue]) -> Evaluation | None:
    """The result that an event of this name with these attributes is, or None."""
    if name != GEN_AI_EVALUATION_RESULT:
        return None
    return Evaluation(
        evaluator=text(values.get(attr.OTEL_LLM_EVALUATION_EVALUATOR_TYPE)),
        name=text(values.get(attr.GEN_AI_EVALUATION_NAME)),
        label=text(values.get(attr.GEN_AI_EVALUATION_SCORE_LABEL)),
        score=_number(values.get(attr.GEN_AI_EVALUATION_SCORE_VALUE)),
    )


def _number(value: AnyValue | None) -> float | None:
    kind = value.WhichOneof("value") if value is not None else None
    if value is None or kind not in ("double_value", "int_value"):
        return None
    number = float(getattr(value, kind))
    return number if math.isfinite(number) else None
