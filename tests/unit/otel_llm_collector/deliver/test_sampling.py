"""Sampling policies: what they see in a trace and what they decide."""

from __future__ import annotations

import random
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_llm_collector.deliver.sampling import Sampler, SamplingSettings
from otel_llm_collector.deliver.summary import TraceSummary, feedback_of, summaries
from otel_llm_semconv import attributes as attr
from pydantic import ValidationError

EVENT = "gen_ai.evaluation.result"
SECOND = 10**9


def sampler(*policies: dict[str, Any]) -> Sampler:
    named = [{"name": f"p{number}", **policy} for number, policy in enumerate(policies)]
    return Sampler(SamplingSettings.model_validate({"policies": named}))


def span(start: float = 0, end: float = 1, *, error: bool = False, parent: bytes = b"p" * 8, **attributes: Any) -> Span:
    one = Span(start_time_unix_nano=int(start * SECOND) + 1, end_time_unix_nano=int(end * SECOND) + 1)
    one.parent_span_id = parent
    if error:
        one.status.code = 2  # type: ignore[assignment]
    one.attributes.extend(pairs(attributes))
    return one


def pairs(values: dict[str, Any]) -> list[KeyValue]:
    found = []
    for key, value in values.items():
        pair = KeyValue(key=key)
        if isinstance(value, list):
            pair.value.array_value.values.extend([])
            for text in value:
                pair.value.array_value.values.add(string_value=text)
        elif isinstance(value, str):
            pair.value.string_value = value
        else:
            pair.value.double_value = value
        found.append(pair)
    return found


def request(one: Span, service: str = "shop") -> bytes:
    message = ExportTraceServiceRequest()
    level = message.resource_spans.add()
    level.resource.attributes.extend(pairs({attr.SERVICE_NAME: service}))
    level.scope_spans.add().spans.append(one)
    return message.SerializeToString()


def verdict(policies: list[dict[str, Any]], spans: list[Span], trace_id: bytes = b"\0" * 16) -> str | None:
    """What is decided about a trace of these spans that came in one request each."""
    judge = sampler(*policies)
    known = TraceSummary()
    for one in spans:
        payload = request(one)
        found = summaries(payload)
        judge.mark(payload, found)
        known.add(found[b""])
    return judge.decide(trace_id, known, 0)


def with_event(**attributes: Any) -> Span:
    one = span()
    one.events.add(name=EVENT).attributes.extend(pairs(attributes))
    return one


KIND = {attr.OTEL_LLM_FEEDBACK_KIND: "thumbs"}


@pytest.mark.parametrize(
    ("policy", "spans", "kept"),
    [
        ({}, [span()], True),
        ({"errors": True}, [span(), span(error=True)], True),
        ({"errors": True}, [span()], False),
        ({"slower_than_seconds": 2.5}, [span(0, 1), span(2, 3)], True),  # 3 s from the first start to the last end
        ({"slower_than_seconds": 3.5}, [span(0, 1), span(2, 3)], False),
        (
            {"cost_over_usd": 0.5},
            [span(**{attr.OTEL_LLM_COST_TOTAL: 0.3}), span(**{attr.OTEL_LLM_COST_TOTAL: 0.3})],
            True,
        ),
        (
            {"cost_over_usd": 0.7},
            [span(**{attr.OTEL_LLM_COST_TOTAL: 0.3}), span(**{attr.OTEL_LLM_COST_TOTAL: 0.3})],
            False,
        ),
        ({"feedback_below": 0.5}, [with_event(**KIND, **{attr.GEN_AI_EVALUATION_SCORE_VALUE: 0.0})], True),
        ({"feedback_below": 0.5}, [with_event(**KIND, **{attr.GEN_AI_EVALUATION_SCORE_VALUE: 1.0})], False),
        ({"feedback_below": 0.5}, [with_event(**{attr.GEN_AI_EVALUATION_SCORE_VALUE: 0.0})], False),  # no feedback
        ({"feedback_below": 0.5}, [with_event(**KIND, **{attr.GEN_AI_EVALUATION_SCORE_VALUE: float("nan")})], False),
        ({"evaluation_failed": True}, [with_event(**{attr.GEN_AI_EVALUATION_SCORE_LABEL: "FAIL"})], True),
        ({"evaluation_failed": True}, [with_event(**{attr.GEN_AI_EVALUATION_SCORE_LABEL: "pass"})], False),
        ({"evaluation_failed": True}, [span(**{attr.OTEL_LLM_QUALITY_FAILED_CHECKS: ["grounded"]})], True),
        ({"match": {"service": "shop"}}, [span()], True),
        ({"match": {"service": "other"}}, [span()], False),
        ({"match": {"attributes": {"user": "vip-*"}}}, [span(), span(user="vip-1")], True),
        ({"match": [{"attributes": {"user": "vip-*"}}, {"model": "o3"}]}, [span(user="x")], False),
        ({"errors": True, "slower_than_seconds": 5}, [span(error=True)], False),  # both, not either
        ({"percent": 0}, [span()], False),
        ({"percent": 50}, [span()], True),  # the id of zeros is the lowest
    ],
    ids=str,
)
def test_a_policy_keeps_what_it_names(policy: dict[str, Any], spans: list[Span], kept: bool) -> None:
    """All that a policy names holds together, for the trace and not for one span."""
    assert (verdict([policy], spans) is not None) == kept


def test_the_first_policy_that_keeps_a_trace_names_it() -> None:
    """Policies are asked in order."""
    policies = [{"errors": True, "percent": 0}, {"errors": True}, {}]
    assert verdict(policies, [span(error=True)]) == "p1"
    assert verdict(policies, [span()]) == "p2"


def test_a_share_is_chosen_by_trace_id() -> None:
    """About that share of random traces is kept, the same by every collector; a larger share holds a smaller one."""
    chance = random.Random(1)
    ids = [chance.randbytes(16) for _ in range(4000)]
    kept = {percent: {one for one in ids if verdict([{"percent": percent}], [span()], one)} for percent in (10, 50)}
    assert 320 < len(kept[10]) < 480
    assert 1900 < len(kept[50]) < 2100
    assert kept[10] < kept[50]


def test_a_rate_holds_for_each_service() -> None:
    """A second's worth at once, then as many as seconds pass; services do not share."""
    judge = sampler({"max_per_second": 2})

    def kept(service: str, now: float) -> bool:
        return judge.decide(b"x" * 16, TraceSummary(service=service), now) is not None

    assert [kept("a", 0) for _ in range(4)] == [True, True, False, False]
    assert kept("b", 0)
    assert [kept("a", 0.5) for _ in range(2)] == [True, False]
    assert [kept("a", 100) for _ in range(4)] == [True, True, False, False]


def test_a_rate_below_one_lets_one_through_now_and_then() -> None:
    """One every ten seconds, not none at all."""
    judge = sampler({"max_per_second": 0.1})
    kept = [now for now in range(40) if judge.decide(b"x" * 16, TraceSummary(), now)]
    assert kept in ([0, 10, 20, 30], [0, 11, 21, 31], [0, 11, 22, 33])


def test_feedback_comes_as_a_log_record_too() -> None:
    """The event on a log record says the same as on a span; other records say nothing."""
    record = LogRecord(event_name=EVENT)
    record.attributes.extend(pairs({**KIND, attr.GEN_AI_EVALUATION_SCORE_VALUE: 0.2}))
    facts = feedback_of(record)
    assert facts is not None and facts.feedback == 0.2
    assert feedback_of(LogRecord(event_name="other")) is None


def test_the_service_is_that_of_the_root() -> None:
    """A rate is the entry service's, wherever else the trace went."""
    known = TraceSummary()
    for service, parent in (("leaf", b"p" * 8), ("entry", b""), ("leaf", b"p" * 8)):
        known.add(summaries(request(span(parent=parent), service))[b""])
    assert known.service == "entry"
    assert known.root
    assert known.spans == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"policies": []},
        {"policies": [{"name": "a"}, {"name": "a"}]},
        {"policies": [{}]},
        {"policies": [{"name": "a", "percent": 101}]},
    ],
)
def test_wrong_settings_are_refused(wrong: Any) -> None:
    """No policies, two of one name, one without, a share over the whole."""
    with pytest.raises(ValidationError):
        SamplingSettings.model_validate(wrong)
