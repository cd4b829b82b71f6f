"""Hostile and odd spans of other dialects: nothing raises, nothing is lost, each oddity is counted by its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otel_llm_collector.any_value import put
from otel_llm_collector.contract import Outcome, Signal
from otel_llm_collector.engine.dialects import Normaliser
from otel_llm_collector.engine.prices import RateBook
from otel_llm_collector.engine.pure import PureEngine
from otel_llm_collector.engine.values import plain
from otel_llm_semconv.dialects import compiled

TABLE = compiled()
ENGINE = PureEngine(RateBook(), Normaliser(TABLE))


def processed(attributes: dict[str, Any], engine: PureEngine = ENGINE) -> tuple[dict[str, Any], Outcome]:
    """A span with `attributes` after the engine."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="x")
    for key, value in attributes.items():
        put(span.attributes.add(key=key).value, value)
    outcome = engine.process(Signal.TRACES, request.SerializeToString())
    assert outcome.accepted == 1
    out = ExportTraceServiceRequest.FromString(outcome.payload).resource_spans[0].scope_spans[0].spans[0]
    return {one.key: plain(one.value) for one in out.attributes}, outcome


def test_broken_json_stays_text_and_is_flagged() -> None:
    """A message cut off in the middle is kept whole as text, and the span says which attribute broke."""
    broken = '[{"role": "user", "content": "hel'
    out, outcome = processed({"openinference.span.kind": "LLM", "llm.invocation_parameters": broken})
    assert out["llm.invocation_parameters"] == broken
    assert out["otel_llm.dialect.problems"] == ["broken_json: llm.invocation_parameters"]
    assert outcome.notes["dialect_broken_json"] == 1


def test_a_prompt_of_500_messages() -> None:
    """Each of 500 flattened messages arrives in its place."""
    flat = {
        f"llm.input_messages.{n}.message.{key}": value
        for n in range(500)
        for key, value in (("role", "user"), ("content", f"m{n}"))
    }
    out, _ = processed({"openinference.span.kind": "LLM", **flat})
    messages = json.loads(out["gen_ai.input.messages"])
    assert [one["parts"][0]["content"] for one in messages] == [f"m{n}" for n in range(500)]
    assert flat.items() <= out.items()


def test_index_holes_close_and_are_counted() -> None:
    """Messages 2 and 7 without the others are two messages in that order; a huge index costs no memory."""
    flat = {f"gen_ai.prompt.{n}.content": f"m{n}" for n in (7, 2, 999999999)}
    out, outcome = processed({"llm.request.type": "chat", **flat})
    messages = json.loads(out["gen_ai.input.messages"])
    assert [one["parts"][0]["content"] for one in messages] == ["m2", "m7", "m999999999"]
    assert outcome.notes["dialect_index_hole"] == 1


def test_of_two_dialects_on_one_span_the_first_by_precedence_counts() -> None:
    """Counts of two dialects are never added up; the span names both dialects it was read from."""
    out, outcome = processed(
        {
            "openinference.span.kind": "LLM",
            "llm.token_count.prompt": 10,
            "llm.request.type": "chat",
            "gen_ai.usage.prompt_tokens": 99,
            "gen_ai.usage.completion_tokens": 5,
        }
    )
    assert out["gen_ai.usage.input_tokens"] == 10
    assert out["gen_ai.usage.output_tokens"] == 5
    assert out["otel_llm.dialect.names"] == ["openinference", "openllmetry"]
    assert outcome.notes["dialect_mixed"] == 1


def test_what_is_there_in_opentelemetrys_own_words_wins() -> None:
    """A value under OpenTelemetry's name is not replaced by a dialect's."""
    out, _ = processed({"openinference.span.kind": "LLM", "gen_ai.usage.input_tokens": 7, "llm.token_count.prompt": 10})
    assert out["gen_ai.usage.input_tokens"] == 7


@pytest.mark.parametrize("value", ["many", [1, 2], True, 1.5, {"a": 1}])
def test_a_count_of_the_wrong_type_is_no_count(value: Any) -> None:
    """It stays under its own name and is counted as an oddity."""
    if isinstance(value, dict):
        value = json.dumps(value)
    out, outcome = processed({"openinference.span.kind": "LLM", "llm.token_count.prompt": value})
    assert "gen_ai.usage.input_tokens" not in out
    assert out["llm.token_count.prompt"] == value
    assert outcome.notes["dialect_wrong_type"] == 1


def test_originals_leave_only_when_carried() -> None:
    """With originals off, what was carried whole leaves; what no rule could read stays."""
    engine = PureEngine(RateBook(), Normaliser(TABLE, keep_originals=False))
    out, _ = processed(
        {
            "openinference.span.kind": "LLM",
            "llm.token_count.prompt": 10,
            "llm.token_count.completion": "many",
            "llm.input_messages.0.message.content": "hello",
            "some.other": 1,
        },
        engine,
    )
    assert "llm.token_count.prompt" not in out
    assert "llm.input_messages.0.message.content" not in out
    assert out["llm.token_count.completion"] == "many"
    assert out["some.other"] == 1
    assert out["gen_ai.usage.input_tokens"] == 10


def test_a_span_of_no_dialect_is_not_touched() -> None:
    """OpenTelemetry's own spans and other people's keep their very bytes through normalising."""
    out, outcome = processed({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a", "http.route": "/"})
    assert set(out) == {"gen_ai.operation.name", "gen_ai.agent.name", "http.route"}
    assert not outcome.notes


sources = sorted({one["key"] for dialect in TABLE["dialects"] for rule in dialect["rules"] for one in rule["from"]})
keys = st.sampled_from([*TABLE["markers"], *(key for key in sources if not key.endswith("*"))]) | st.builds(
    lambda prefix, rest: prefix.removesuffix("*") + rest,
    st.sampled_from([key for key in sources if key.endswith("*")]),
    st.from_regex(
        r"[0-9]{1,9}(\.(message|role|content|tool_calls|document|id|score|[0-9]{1,2}|tool_call|name)){0,6}",
        fullmatch=True,
    ),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["user", "text", "tool_call"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "messages",
                    "id",
                    "text",
                    "image_url",
                    "url",
                    "score",
                    "kwargs",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)
attribute_values = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=12)
    | json_values.map(json.dumps)
    | st.lists(st.text(max_size=5), max_size=3)
    | st.sampled_from(["LLM", "RETRIEVER", "RERANKER", "chat", "tool", "workflow", "[" * 3000, '{"a":', "1e999"])
)  # fmt: skip


@given(st.dictionaries(keys, attribute_values, max_size=12))
def test_any_value_under_any_name_of_a_dialect(attributes: dict[str, Any]) -> None:
    """No exception, every attribute kept, and what is made is a valid attribute of valid JSON."""
    out, _ = processed(attributes)
    assert attributes.keys() <= out.keys()
    for key in ("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.retrieval.documents"):
        if key in out and key not in attributes:
            json.loads(out[key])


def test_bytes_and_empty_values_are_nobodys() -> None:
    """Attribute values without a value, or of bytes, are passed over."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="x")
    span.attributes.add(key="openinference.span.kind").value.CopyFrom(AnyValue())
    span.attributes.add(key="llm.model_name").value.bytes_value = b"\xff"
    assert ENGINE.process(Signal.TRACES, request.SerializeToString()).accepted == 1


def logged(event: str, body: Any, *, named: bool = True) -> dict[str, Any]:
    """A log event of OpenTelemetry 1.36 after the engine; `named` puts its name in the record's own field."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    record.attributes.add(key="gen_ai.system").value.string_value = "openai"
    if named:
        record.event_name = event
    else:
        record.attributes.add(key="event.name").value.string_value = event
    for key, value in body.items():
        put_any(record.body.kvlist_value.values.add(key=key).value, value)
    outcome = ENGINE.process(Signal.LOGS, request.SerializeToString())
    out = ExportLogsServiceRequest.FromString(outcome.payload).resource_logs[0].scope_logs[0].log_records[0]
    assert plain(out.body) == body
    return {one.key: plain(one.value) for one in out.attributes}


def put_any(target: AnyValue, value: Any) -> None:
    """Write a nested value."""
    if isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, one in value.items():
            put_any(target.kvlist_value.values.add(key=key).value, one)
    else:
        put(target, value)


def test_a_log_record_has_no_events_of_its_own() -> None:
    """Rules that ask for a span's events, name or start find none on a log record, whatever else it says."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(event_name="gen_ai.user.message")
    record.body.string_value = "Hi"
    record.attributes.add(key="gen_ai.prompt").value.string_value = "Hello"
    out = ExportLogsServiceRequest.FromString(ENGINE.process(Signal.LOGS, request.SerializeToString()).payload)
    values = {one.key: one.value.string_value for one in out.resource_logs[0].scope_logs[0].log_records[0].attributes}
    assert json.loads(values["gen_ai.input.messages"])[0]["parts"][0]["content"] == "Hello"


@pytest.mark.parametrize("named", [True, False])
def test_a_message_event_says_its_message_in_current_words(named: bool) -> None:
    """A log event of 1.36 has its message and provider under today's names beside its body, which stays."""
    out = logged("gen_ai.user.message", {"content": "Hi"}, named=named)
    assert json.loads(out["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]
    assert out["gen_ai.provider.name"] == "openai"
    out = logged("gen_ai.choice", {"finish_reason": "stop", "message": {"content": "Hello"}}, named=named)
    assert json.loads(out["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Hello"}], "finish_reason": "stop"}
    ]


def test_other_log_events_are_left_alone() -> None:
    """An event that is no message of 1.36 gets nothing."""
    assert set(logged("my.event", {"content": "Hi"})) == {"gen_ai.system"}


@pytest.mark.parametrize("depth", [100, 400, 700, 900, 950, 975, 985, 990, 5000])
@pytest.mark.parametrize("opening", ["[", '{"a":', '{"json_schema":', '{"message":', '{"messages":['])
def test_json_nested_as_deep_as_can_be(depth: int, opening: str) -> None:
    """Whatever depth JSON's reader takes or refuses: the span comes out with what it had."""
    closing = {"[": "]", "{": "}"}
    value = opening * depth + "1" + "".join(closing[one] for one in reversed(opening) if one in closing) * depth
    for attributes in (
        {"openinference.span.kind": "LLM", "llm.token_count.prompt": 1, "llm.tools.0.tool.json_schema": value},
        {"langfuse.observation.type": "generation", "langfuse.observation.input": value},
        {"mlflow.spanType": '"TOOL"', "mlflow.spanInputs": value, "mlflow.spanOutputs": value},
        {"langsmith.span.kind": "retriever", "gen_ai.prompt": value, "gen_ai.completion": value},
    ):
        out, _ = processed(attributes)
        assert attributes.items() <= out.items()
