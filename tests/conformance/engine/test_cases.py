"""The engine's cases, over every implementation there is, and what must hold for any request at all."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otel_llm_collector.contract import Engine, Outcome, Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.engine.families import registered
from otel_llm_collector.engine.settings import GenAiConfig, PricesConfig, ProcessorsConfig
from otel_llm_collector.errors import MalformedRequest
from otel_llm_semconv.content_keys import content_keys

START = 1_790_000_000_000_000_000
METRICS = registered("both")
TWINS = {
    "pure": lambda *sections: load_engine({"OTEL_LLM_ENGINE": "pure"}, *sections),
    "native": lambda *sections: load_engine({"OTEL_LLM_ENGINE": "native"}, *sections),
}


# Each case with each twin.
CASES = [
    pytest.param(twin, case, id=f"{twin}-{path.stem}: {case['name']}")
    for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())
    for twin in TWINS
]


@cache
def engine_for(twin: str, processors: str = "{}", prices: str = "{}", genai: str = "{}") -> Engine:
    """An implementation set up for the sections `processors`, `prices` and `genai`, given as JSON."""
    if twin == "native":
        pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")
    return TWINS[twin](
        ProcessorsConfig.model_validate_json(processors),
        PricesConfig.model_validate_json(prices),
        GenAiConfig.model_validate_json(genai),
    )


@pytest.fixture(scope="module", params=TWINS)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each implementation in turn."""
    return engine_for(request.param)


def any_value(plain: Any) -> AnyValue:
    """A YAML value as an attribute value."""
    if isinstance(plain, bool):
        return AnyValue(bool_value=plain)
    if isinstance(plain, int):
        return AnyValue(int_value=plain)
    if isinstance(plain, float):
        return AnyValue(double_value=plain)
    if isinstance(plain, list):
        value = AnyValue()
        value.array_value.values.extend(any_value(one) for one in plain)
        return value
    if isinstance(plain, dict):
        value = AnyValue()
        for key, one in plain.items():
            value.kvlist_value.values.add(key=key).value.CopyFrom(any_value(one))
        return value
    return AnyValue(string_value=str(plain))


def plain_value(value: AnyValue) -> Any:
    """An attribute value as YAML would have it."""
    if value.HasField("array_value"):
        return [plain_value(one) for one in value.array_value.values]
    return getattr(value, str(value.WhichOneof("value")))


def span_id(name: str) -> bytes:
    """Eight bytes for a short name."""
    return hashlib.sha256(name.encode()).digest()[:8]


def request_of(spans: list[dict[str, Any]]) -> bytes:
    """The case's spans as a request."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "test"
    scope = resource.scope_spans.add()
    for one in spans:
        span = scope.spans.add(
            trace_id=hashlib.sha256(str(one.get("trace", "t")).encode()).digest()[:16],
            span_id=span_id(one["id"]),
            parent_span_id=span_id(one["parent"]) if "parent" in one else b"",
            name=one["id"],
            start_time_unix_nano=START,
            end_time_unix_nano=START + round(one.get("seconds", 1.0) * 1e9),
        )
        span.status.code = 2 if one.get("status") == "error" else 0
        for key, plain in one["attributes"].items():
            span.attributes.add(key=key).value.CopyFrom(any_value(plain))
        for happened in one.get("events", []):
            event = span.events.add(name=happened["name"])
            event.time_unix_nano = span.start_time_unix_nano + int(happened.get("seconds", 0) * 1e9)
            for key, plain in happened["attributes"].items():
                event.attributes.add(key=key).value.CopyFrom(any_value(plain))
    return request.SerializeToString()


def spans_of(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """The attributes of the processed spans by name."""
    request = ExportTraceServiceRequest.FromString(outcome.payload)
    return {
        span.name: {one.key: plain_value(one.value) for one in span.attributes}
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def measured(outcome: Outcome) -> dict[str, float]:
    """Sums by `name` and by `name{last label}`; of histograms by `name#sum` and `name#count`."""
    sums: dict[str, float] = {}
    for (name, labels), value in outcome.counters.items():
        for key in (name, f"{name}{{{labels[-1]}}}"):
            sums[key] = sums.get(key, 0) + value
        assert len(labels) == len(METRICS[name].attributes)
    for (name, _), delta in outcome.histograms.items():
        sums[f"{name}#sum"] = sums.get(f"{name}#sum", 0) + delta.sum
        sums[f"{name}#count"] = sums.get(f"{name}#count", 0) + sum(delta.counts)
        assert len(delta.counts) == len(METRICS[name].boundaries) + 1
    return sums


@pytest.mark.parametrize(("twin", "case"), CASES)
def test_case(twin: str, case: dict[str, Any]) -> None:
    """The case's spans come out as it says."""
    engine = engine_for(twin, *(json.dumps(case.get(section, {})) for section in ("processors", "prices", "genai")))
    for spans in case.get("earlier", []):
        engine.process(Signal.TRACES, request_of(spans)).kept()
    outcome = engine.process(Signal.TRACES, request_of(case["spans"]))
    assert outcome.accepted == len(case["spans"])
    expect = case["expect"]
    spans = spans_of(outcome)
    for name, attributes in expect.get("attributes", {}).items():
        for key, wanted in attributes.items():
            found = spans[name].get(key, "absent")
            assert found == (pytest.approx(wanted, abs=1e-9) if isinstance(wanted, float) else wanted), (name, key)
    sums = measured(outcome)
    for key, wanted in expect.get("metrics", {}).items():
        assert sums.get(key) == pytest.approx(wanted, abs=1e-9), key
    if expect.get("metrics") == {}:
        assert sums == {}
    assert sums.keys().isdisjoint(expect.get("absent", []))
    for reason, count in expect.get("notes", {}).items():
        assert outcome.notes[reason] == count


@given(data=st.binary(max_size=300), signal=st.sampled_from(list(Signal)))
def test_any_bytes_are_processed_or_malformed(engine: Engine, data: bytes, signal: Signal) -> None:
    """Bytes from anybody: an outcome whose payload protobuf can read, or `MalformedRequest`."""
    try:
        outcome = engine.process(signal, data)
    except MalformedRequest:
        return
    if signal is Signal.TRACES:
        assert len(spans_of(outcome)) <= outcome.accepted or not outcome.payload


HALF = '[{"role": "user", "content": "\\ud83d bob@x.com", "parts": [{"type": "text", "content": "\\ud83d"}]}]'
SPEAKERS = {
    "current": {"gen_ai.operation.name": "chat"},
    "openinference": {"openinference.span.kind": "LLM"},
    "openllmetry": {"traceloop.span.kind": "workflow", "llm.request.type": "chat"},
    "langfuse": {"langfuse.observation.type": "generation"},
    "vercel": {"ai.operationId": "ai.generateText.doGenerate"},
    "mlflow": {"mlflow.spanType": '"CHAT_MODEL"'},
    "logfire": {"logfire.span_type": "span"},
}


@pytest.mark.parametrize("sections", ["{}", '{"redaction": {}}', '{"content": {"max_field_bytes": 40}}'])
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_half_a_character_in_json_harms_nobody(speaker: str, sections: str) -> None:
    """JSON may name half of a surrogate pair, which no protobuf string can hold; every reader of a dialect lives."""
    keys = [*content_keys().exact, *(prefix + "0.message.content" for prefix in content_keys().prefixes)]
    spans = [{"id": key, "attributes": SPEAKERS[speaker] | {key: HALF}} for key in sorted(keys)]
    outcome = engine_for("pure", sections).process(Signal.TRACES, request_of(spans))
    assert outcome.accepted == len(spans_of(outcome)) == len(spans)
    assert not {"dialect_failed", "redacted_failed"} & outcome.notes.keys()


values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
keys = st.sampled_from(
    ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.usage.input_tokens",
     "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens", "gen_ai.retrieval.documents",
     "gen_ai.response.id", "gen_ai.response.time_to_first_chunk", "error.type", "http.route"]
)  # fmt: skip
known = st.sampled_from(["chat", "embeddings", "retrieval", "openai", "gpt-4o-mini"])
hostile_spans = st.lists(st.dictionaries(keys, values | known | st.integers(0, 5000), max_size=8), max_size=5)


@given(hostile_spans)
def test_hostile_attributes_never_cost_a_span(engine: Engine, attributes: list[dict[str, Any]]) -> None:
    """Any value under any name: every span comes out, what is not repaired unchanged, no cost below 0."""
    spans = [{"id": f"s{number}", "attributes": one} for number, one in enumerate(attributes)]
    outcome = engine.process(Signal.TRACES, request_of(spans))
    assert outcome.accepted == len(spans)
    out = spans_of(outcome) if spans else {}
    for one in spans:
        for key, value in one["attributes"].items():
            if "usage" not in key and not isinstance(value, (list, float)):
                assert out[one["id"]][key] == value
        assert out[one["id"]].get("otel_llm.cost.total", 0.0) >= 0.0


def test_a_request_without_genai_keeps_its_very_bytes(engine: Engine) -> None:
    """Nothing to do means nothing done, unknown fields included."""
    request = request_of([{"id": "a", "attributes": {"http.route": "/x"}}]) + b"\xfa\x3f\x03abc"
    assert engine.process(Signal.TRACES, request).payload == request
