"""Results of evaluations become numbers, wherever they come."""

from __future__ import annotations

import math

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.engine import load_engine
from otel_llm_semconv import metrics
from otel_llm_semconv.events import GEN_AI_EVALUATION_RESULT

ENGINE = load_engine({"OTEL_LLM_ENGINE": "pure"})


def logs(*records: dict[str, object], by_attribute: bool = False) -> bytes:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "rag"
    scope = resource.scope_logs.add()
    for attributes in records:
        record = scope.log_records.add(event_name="" if by_attribute else GEN_AI_EVALUATION_RESULT)
        if by_attribute:
            record.attributes.add(key="event.name").value.string_value = GEN_AI_EVALUATION_RESULT
        for key, value in attributes.items():
            pair = record.attributes.add(key=key)
            if isinstance(value, float):
                pair.value.double_value = value
            elif isinstance(value, int):
                pair.value.int_value = value
            else:
                pair.value.string_value = str(value)
    return request.SerializeToString()


THUMB = {
    "gen_ai.evaluation.name": "user_feedback",
    "gen_ai.evaluation.score.label": "up",
    "gen_ai.evaluation.score.value": 1.0,
    "otel_llm.evaluation.evaluator.type": "human",
}
LABELS = ("rag", "human", "user_feedback")


def test_feedback_is_counted_by_label_and_its_score_observed() -> None:
    """Two thumbs are two evaluations and a sum of scores; the bytes pass untouched."""
    request = logs(THUMB, THUMB)
    outcome = ENGINE.process(Signal.LOGS, request)
    assert outcome.payload == request
    assert outcome.counters == {(metrics.OTEL_LLM_EVALUATIONS.name, (*LABELS, "up")): 2}
    assert outcome.histograms[metrics.OTEL_LLM_EVALUATION_SCORE.name, LABELS].sum == 2.0


def test_the_former_place_of_the_name_is_read() -> None:
    """Senders before `event_name` write it as an attribute."""
    outcome = ENGINE.process(Signal.LOGS, logs(THUMB, by_attribute=True))
    assert outcome.counters == {(metrics.OTEL_LLM_EVALUATIONS.name, (*LABELS, "up")): 1}


def test_a_result_on_a_span_counts_alike() -> None:
    """Some evaluators add the event to the span they judge."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "rag"
    span = resource.scope_spans.add().spans.add(name="s", trace_id=b"t" * 16, span_id=b"s" * 8)
    event = span.events.add(name=GEN_AI_EVALUATION_RESULT)
    for key, value in THUMB.items():
        pair = event.attributes.add(key=key)
        if isinstance(value, float):
            pair.value.double_value = value
        else:
            pair.value.string_value = value
    outcome = ENGINE.process(Signal.TRACES, request.SerializeToString())
    assert outcome.counters == {(metrics.OTEL_LLM_EVALUATIONS.name, (*LABELS, "up")): 1}


def test_a_score_that_is_no_number_is_none() -> None:
    """The result counts, the score does not; other events say nothing."""
    outcome = ENGINE.process(Signal.LOGS, logs(THUMB | {"gen_ai.evaluation.score.value": math.nan}))
    assert not outcome.histograms
    assert outcome.counters
    other = ExportLogsServiceRequest()
    other.resource_logs.add().scope_logs.add().log_records.add(event_name="app.started")
    assert not ENGINE.process(Signal.LOGS, other.SerializeToString()).counters
