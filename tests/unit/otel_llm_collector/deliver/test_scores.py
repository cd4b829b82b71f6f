"""Feedback and evaluation results: which log records are some, and what is read of them."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.events import only_events
from otel_llm_collector.deliver.scores import EVENT, SCORES, scores
from otel_llm_semconv import attributes as attr

TRACE, SPAN = b"t" * 16, b"s" * 8


def parcel(*records: dict[str, Any]) -> Parcel:
    request = ExportLogsServiceRequest()
    out = request.resource_logs.add().scope_logs.add().log_records
    for record in records:
        fields = {key[1:]: value for key, value in record.items() if key.startswith("_")}
        one = out.add(**{"event_name": EVENT, "trace_id": TRACE, "span_id": SPAN, **fields})
        for key, value in record.items():
            if not key.startswith("_"):
                kind = "double_value" if isinstance(value, float) else "string_value"
                setattr(one.attributes.add(key=key).value, kind, value)
    return Parcel(Signal.LOGS, request.SerializeToString(), len(records))


GOOD = {attr.GEN_AI_EVALUATION_NAME: "helpful", attr.GEN_AI_EVALUATION_SCORE_VALUE: 0.5}


def test_only_evaluation_results_are_left() -> None:
    """Other records go; the older way to name an event, in an attribute, counts as well."""
    older = {"_event_name": "", "event.name": EVENT, **GOOD}
    left = only_events(parcel({"_event_name": "other"}, GOOD, older, {"_event_name": ""}), SCORES)
    assert left is not None
    assert left.items == 2
    assert only_events(parcel({"_event_name": "other"}), SCORES) is None


def test_a_score_has_what_the_event_says() -> None:
    """Name, value, label, explanation, judge and time are read; a thumb without an evaluator is a person's."""
    more = {
        attr.GEN_AI_EVALUATION_SCORE_LABEL: "pass",
        attr.GEN_AI_EVALUATION_EXPLANATION: "why",
        attr.OTEL_LLM_FEEDBACK_KIND: "thumbs",
        attr.USER_ID: "u1",
        "_time_unix_nano": 5,
    }
    (score,), unusable = scores(parcel({**GOOD, **more}))
    assert (score.name, score.value, score.label, score.explanation) == ("helpful", 0.5, "pass", "why")
    assert (score.trace_id, score.span_id, score.evaluator, score.judge) == (TRACE, SPAN, "HUMAN", "u1")
    assert (score.time_unix_nano, unusable) == (5, 0)


@pytest.mark.parametrize(
    "record",
    [
        {attr.GEN_AI_EVALUATION_SCORE_VALUE: 0.5},
        {attr.GEN_AI_EVALUATION_NAME: "x"},
        {**GOOD, "_trace_id": b""},
        {**GOOD, attr.GEN_AI_EVALUATION_SCORE_VALUE: float("nan")},
    ],
)
def test_a_score_without_name_value_or_target_is_not_usable(record: dict[str, Any]) -> None:
    """It is counted, and the others go on."""
    found, unusable = scores(parcel(record, GOOD))
    assert (len(found), unusable) == (1, 1)


@pytest.mark.parametrize(("label", "number"), [("PASS", 1.0), ("fail", 0.0), ("no", 0.0), ("blue", None)])
def test_a_label_that_says_yes_or_no_is_a_number(label: str, number: float | None) -> None:
    """Backends that want numbers get 1 and 0 for such labels, and no made-up number for others."""
    record = {attr.GEN_AI_EVALUATION_NAME: "x", attr.GEN_AI_EVALUATION_SCORE_LABEL: label}
    (score,), _ = scores(parcel(record))
    assert score.number == number


def test_the_same_judgement_has_the_same_identifier() -> None:
    """A judge's second word on the same thing replaces the first; another judge's stands beside it."""
    (first, again, other, by_id), _ = scores(
        parcel(
            {**GOOD, attr.USER_ID: "u1"},
            {**GOOD, attr.USER_ID: "u1", "_time_unix_nano": 9},
            {**GOOD, attr.USER_ID: "u2"},
            {**GOOD, attr.USER_ID: "u1", attr.OTEL_LLM_FEEDBACK_ID: "f"},
        )
    )
    assert first.identifier == again.identifier
    assert len({first.identifier, other.identifier, by_id.identifier}) == 3
