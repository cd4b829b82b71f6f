"""Feedback becomes one event of the conventions, on the span that it judges, from the same process or another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.span_check import check_event

import otel_llm
from otel_llm import providers

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, spans: Any) -> Iterator[InMemoryLogRecordExporter]:
    """`events.get_finished_logs()`: what was emitted in this test."""
    exporter, provider = InMemoryLogRecordExporter(), LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(providers, "get_logger_provider", lambda: provider)
    monkeypatch.setattr(_logs, "get_logger_provider", lambda: provider)
    return exporter  # type: ignore[return-value]


def only(events: Any) -> Any:
    [one] = events.get_finished_logs()
    return one.log_record


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"thumbs": "up"}, {"kind": "thumbs", "value": 1.0, "label": "up"}),
        ({"thumbs": False}, {"kind": "thumbs", "value": 0.0, "label": "down"}),
        ({"stars": 4}, {"kind": "stars", "value": 0.75, "stars": 4}),
        ({"stars": 1, "comment": "no"}, {"kind": "stars", "value": 0.0, "stars": 1, "comment": "no"}),
        ({"score": 0.3, "label": "poor"}, {"kind": "score", "value": 0.3, "label": "poor"}),
        ({"label": "correct"}, {"kind": "label", "label": "correct"}),
        ({"comment": "thanks"}, {"kind": "comment", "comment": "thanks"}),
    ],
)
def test_each_form(events: Any, said: dict[str, Any], expected: dict[str, Any]) -> None:
    """Thumbs, stars, score, label and comment, in the event's own attributes."""
    with otel_llm.workflow("answer"):
        assert otel_llm.feedback(**said)
    names = {
        "kind": attr.OTEL_LLM_FEEDBACK_KIND,
        "value": attr.GEN_AI_EVALUATION_SCORE_VALUE,
        "label": attr.GEN_AI_EVALUATION_SCORE_LABEL,
        "stars": attr.OTEL_LLM_FEEDBACK_STARS,
        "comment": attr.GEN_AI_EVALUATION_EXPLANATION,
    }
    record = only(events)
    assert record.event_name == "gen_ai.evaluation.result"
    assert dict(record.attributes) == {
        attr.GEN_AI_EVALUATION_NAME: "user_feedback",
        attr.OTEL_LLM_EVALUATION_EVALUATOR_TYPE: "human",
        **{names[key]: value for key, value in expected.items()},
    }


def test_inside_a_span_it_is_of_that_span(events: Any, spans: Any) -> None:
    """Without ids it judges the current span."""
    with otel_llm.session(user_id="u"), otel_llm.workflow("answer"):
        otel_llm.feedback(thumbs="up")
    [span] = spans.get_finished_spans()
    record = only(events)
    assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)
    assert record.attributes[attr.USER_ID] == "u"


def test_later_by_what_was_sent_with_the_answer(events: Any, spans: Any) -> None:
    """`traceparent()` inside the answer, given back afterwards, where there is no span any more."""
    with otel_llm.workflow("answer"):
        reference = otel_llm.traceparent()
    assert otel_llm.traceparent() is None
    assert otel_llm.feedback(stars=5, traceparent=reference, feedback_id="fb-1")
    [span] = spans.get_finished_spans()
    record = only(events)
    assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)
    assert record.attributes[attr.OTEL_LLM_FEEDBACK_ID] == "fb-1"


def test_by_ids_even_inside_another_span(events: Any) -> None:
    """The judged trace, not the request that brings the judgement; a whole trace without a span id."""
    with otel_llm.span("POST /feedback"):
        assert otel_llm.feedback(thumbs="down", trace_id=TRACE, span_id=SPAN)
        assert otel_llm.feedback(thumbs="down", trace_id=TRACE.upper())
    first, second = (one.log_record for one in events.get_finished_logs())
    assert (f"{first.trace_id:032x}", f"{first.span_id:016x}") == (TRACE, SPAN)
    assert (f"{second.trace_id:032x}", second.span_id) == (TRACE, 0)


def test_by_the_providers_id_alone(events: Any) -> None:
    """Where no trace is known the response's id joins them."""
    assert otel_llm.feedback(thumbs="up", response_id="chatcmpl-1")
    record = only(events)
    assert record.attributes[attr.GEN_AI_RESPONSE_ID] == "chatcmpl-1"
    assert not record.trace_id


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"stars": 6},
        {"stars": "4"},
        {"score": float("nan")},
        {"thumbs": "sideways"},
        {"thumbs": "up", "trace_id": "7"},
        {"thumbs": "up", "trace_id": "0" * 32},
        {"thumbs": "up", "span_id": SPAN},
        {"thumbs": "up", "traceparent": "rubbish"},
        {"thumbs": "up", "by": "nobody"},
        {"thumbs": "up"},
        {"name": object(), "thumbs": []},
    ],
)
def test_what_cannot_be_used_is_told_and_nothing_is_raised(
    events: Any, caplog: pytest.LogCaptureFixture, wrong: dict[str, Any]
) -> None:
    """False, one warning that says what would be right, no event."""
    assert otel_llm.feedback(**wrong) is False
    assert otel_llm.feedback(**wrong) is False
    assert not events.get_finished_logs()
    assert len([one for one in caplog.records if one.getMessage().startswith("otel_llm: feedback")]) == 1


def test_the_event_fits_the_registry(events: Any) -> None:
    """The registry's own check finds nothing in it."""
    with otel_llm.workflow("answer"):
        otel_llm.feedback(stars=4, comment="c", label="l", response_id="r", feedback_id="f")
    record = only(events)
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    listed = [{"key": key, "value": {kinds[type(value)]: value}} for key, value in record.attributes.items()]
    event = {"eventName": record.event_name, "attributes": listed, "traceId": TRACE, "spanId": SPAN}
    assert [one for one in check_event(event) if one.level == "violation"] == []
    assert trace.get_current_span().get_span_context().is_valid is False
