"""Rules about single spans: which span meets which condition, and one alert with the latest trace."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import limits
from otel_llm_collector.alert.group import Found
from otel_llm_collector.alert.spans import SpanRule, SpanRules, read_condition
from otel_llm_collector.measure.promql.storage import MemoryStorage
from otel_llm_collector.span_conditions import NoticedSpan
from otel_llm_semconv import attributes as attr

NOW = 1_700_000_000.0


def noticed(number: int = 1, **said: Any) -> NoticedSpan:
    """One chat span of 45 s that cost 2 USD and failed."""
    return NoticedSpan(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        service="",
        operation="chat",
        provider="",
        model=said.get("model", "m"),
        error=True,
        seconds=45.0,
        cost=2.0,
        input_tokens=None,
        output_tokens=5000,
        time_to_first_token=None,
    )


def request(*spans: NoticedSpan, **said: str) -> bytes:
    """The request in which they came, each with these attributes."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for one in spans:
        span = scope.spans.add(trace_id=one.trace_id, span_id=one.span_id)
        for key, value in {attr.GEN_AI_OPERATION_NAME: one.operation, **said}.items():
            span.attributes.add(key=key).value.string_value = value
    return message.SerializeToString()


class Bench:
    """One rule and a clock."""

    def __init__(self, when: str, **more: Any) -> None:
        self.now = NOW
        self.rules = SpanRules([SpanRule.model_validate({"name": "R", "when": when, **more})], lambda: self.now)

    def observe(self, *spans: NoticedSpan) -> None:
        self.rules.observe(spans, request(*spans))

    def found(self) -> list[Found]:
        """What the rule finds now."""
        [rule] = self.rules.running(lambda rule: rule.name)
        return list(rule.find(MemoryStorage(), round(self.now * 1000)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("when", "value"),
    [
        ("cost > 1", 2.0),
        ("cost > 2", None),
        ("duration > 30s", 45.0),
        ("duration >= 1m", None),
        ("duration>44.5", 45.0),
        ("error", 1.0),
        ("output_tokens > 4000", 5000.0),
        ("input_tokens > 1", None),
    ],
)
def test_conditions(when: str, value: float | None) -> None:
    """What is not on the span meets no condition."""
    bench = Bench(when)
    bench.observe(noticed())
    assert [one.sample.value for one in bench.found()] == ([] if value is None else [value])


def test_where_asks_for_attributes_of_the_kept_span() -> None:
    """What a plug-in wrote on the span counts; a span without the attribute is not meant."""
    bench = Bench("error", where={"team": "search"})
    bench.rules.observe([noticed(1)], request(noticed(1), team="billing"))
    bench.rules.observe([noticed(2)], request(noticed(2)))
    assert bench.found() == []
    bench.rules.observe([noticed(3)], request(noticed(3), team="search"))
    assert [one.annotations["trace_id"] for one in bench.found()] == [f"{3:032x}"]


def test_one_alert_with_the_latest_trace_that_ends_after_a_while() -> None:
    """Two spans of one model are one alert; it carries the later trace id; a repeated delivery changes nothing."""
    bench = Bench("cost > 1", keep_seconds=60)
    bench.observe(noticed(1))
    bench.observe(noticed(2))
    bench.observe(noticed(1))
    [found] = bench.found()
    assert dict(found.sample.labels) == {"gen_ai_operation_name": "chat", "gen_ai_request_model": "m"}
    assert found.annotations["trace_id"] == f"{2:032x}"
    assert "2 so far" in found.annotations["description"]
    bench.now += 61
    assert bench.found() == []


def test_labels_that_explode_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further combinations are dropped and counted."""
    monkeypatch.setattr(limits, "MAX_SPAN_ALERTS", 3)
    bench = Bench("error")
    for number in range(1, 11):
        bench.observe(noticed(number, model=f"m{number}"))
    assert len(bench.found()) == 3
    assert bench.rules.dropped == 7


def test_the_clock_moves_what_was_seen() -> None:
    """After the clock was set by an hour the alert is as old as before."""
    bench = Bench("error", keep_seconds=60)
    bench.observe(noticed())
    bench.now += 3600
    bench.rules.shift(3600)
    assert len(bench.found()) == 1


@pytest.mark.parametrize("text", ["", "cost", "cost > lots", "price > 1", "cost > 1 and error", "duration > 5 minutes"])
def test_no_conditions(text: str) -> None:
    """Each is refused with a sentence."""
    with pytest.raises(ValueError, match="is no"):
        read_condition(text)
