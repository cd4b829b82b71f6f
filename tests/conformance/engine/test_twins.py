"""The engine in Rust does what the reference does, for any bytes that anybody sends."""

from __future__ import annotations

import importlib.util
import random
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Outcome, Signal
from otel_llm_collector.engine import wire
from otel_llm_collector.engine.calls import CallMemory
from otel_llm_collector.engine.dialects import Normaliser
from otel_llm_collector.engine.native import NativeEngine, wire_memory
from otel_llm_collector.engine.prices import RateBook
from otel_llm_collector.engine.pure import PureEngine
from otel_llm_collector.engine.settings import GenAiConfig, ProcessorsConfig
from otel_llm_collector.errors import MalformedRequest
from otel_llm_semconv.dialects import compiled

pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")

START = 1_790_000_000_000_000_000
REQUESTS = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
RATES, TABLE = RateBook(), compiled()


class Twins:
    """Both engines, with nothing remembered yet and room for few calls."""

    def __init__(self, processors: ProcessorsConfig | None = None, genai: GenAiConfig | None = None) -> None:
        bounds = (12, 2 * 10**9)
        genai = genai or GenAiConfig()
        normaliser = Normaliser(TABLE, keep_originals=genai.originals == "keep")
        self.pure = PureEngine(RATES, normaliser, processors, genai.metrics, CallMemory(*bounds))
        memory = wire_memory(*bounds)
        reference = PureEngine(RATES, normaliser, processors, genai.metrics, memory)
        self.native = NativeEngine(RATES, TABLE, memory, reference, processors=processors, genai=genai)

    def agree(self, signal: Signal, request: bytes) -> Outcome | str:
        """Both process the request and remember it; what they say is the same, apart from the order of bytes."""
        one, other = outcome_of(self.pure, signal, request), outcome_of(self.native, signal, request)
        if isinstance(one, str) or isinstance(other, str):
            assert one == other
            return one
        assert canonical(signal, one.payload) == canonical(signal, other.payload)
        assert replace(one, payload=b"") == replace(other, payload=b"")
        one.kept()
        other.kept()
        return other


def varint(value: int, padding: int = 0) -> bytes:
    """`value` in as few bytes as it needs, and `padding` more."""
    encoded = bytearray()
    value &= 2**64 - 1
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    for _ in range(min(padding, 10 - len(encoded))):
        encoded[-1] |= 0x80
        encoded.append(0)
    return bytes(encoded)


def tag(number: int, wire: int, padding: int = 0) -> bytes:
    return varint(number << 3 | wire, padding)


def delimited(number: int, content: bytes, padding: int = 0) -> bytes:
    return tag(number, 2) + varint(len(content), padding) + content


TEXTS = ["", "openai", "gpt-4o-mini", "chat", "chat", "embeddings", "retrieval", "1000", "٣", "7.5", "stop",
         "4111 1111 1111 1111", '[{"a": "\\ud83d\\nb@x.org", "b": 4111111111111111}]', "ask b@x.org",
         "[1, {}]", '[{"id": "a"}, {"id": "b"}]', "[1,", "ünï", "x" * 300,
         "refusal", '["Content-Filter"]', '[{"parts": [{"type" : "refusal"}], "finish_reason":"SAFETY"}]',
         '"finish_reason" : "finish_reason":"safety" "type":"refusal', "a.spii"]  # fmt: skip
KEYS = [
    "gen_ai.operation.name", "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "error.type",
    "gen_ai.request.model", "gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.id", "server.address",
    "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "gen_ai.usage.output_tokens", "service.name",
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens", "http.route",
    "gen_ai.usage.reasoning.output_tokens", "gen_ai.retrieval.documents", "gen_ai.retrieval.top_k",
    "gen_ai.response.time_to_first_chunk", "otel_llm.operation.name", "otel_llm.retrieval.returned_k",
    "otel_llm.cost.total", "otel_llm.usage.repaired", "server.port", "gen_ai.usage.text.input_tokens",
    "gen_ai.input.messages", "gen_ai.input.messages", "exception.message", "gen_ai.usage.image.output_tokens",
    "gen_ai.response.finish_reasons", "gen_ai.output.messages", "otel_llm.quality.refused",
    "otel_llm.retrieval.scores",
]  # fmt: skip
DIALECTS = ["openinference.span.kind", "llm.token_count.prompt", "traceloop.span.kind"]
SCOPE = "openinference.instrumentation.openai"
SECTIONS = [
    (None, GenAiConfig()),
    (None, GenAiConfig(metrics="both", originals="drop")),
    (ProcessorsConfig.model_validate({"redaction": {}}), GenAiConfig(metrics="new")),
    (ProcessorsConfig.model_validate({"redaction": {"action": "hash", "hash_key": "k"}}), GenAiConfig(metrics="old")),
    (ProcessorsConfig.model_validate({"redaction": {"action": "drop"}}), GenAiConfig()),
    (ProcessorsConfig.model_validate({"redaction": {}, "content": {"max_field_bytes": 20}}), GenAiConfig()),
]
NUMBERS = [4111111111111111, 0, 1, 2, 3, 5, 100, 2999, 10**12, 10**12 + 1, 2**63, 2**64 - 1]
DOUBLES = [0.0, 0.5, 12.0, -1.0, 1e300, float("inf"), float("nan")]
BROKEN = [b"\xff", b"\x0a\x7f", b"\x00\x00", b"\xff" * 11, tag(2, 6), tag(1, 4), b"\x0a\x02\xff\xfe"]
ID_SIZES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
FIXED64 = {FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64, FieldDescriptor.TYPE_DOUBLE}
# Fields that are always there, and fields of which there are several.
MUST = {
    "Span": ["trace_id", "span_id", "start_time_unix_nano", "end_time_unix_nano"],
    "KeyValue": ["key", "value"],
    "Metric": ["gauge"],
}
SEVERAL = {"attributes": 9, "spans": 4, "scope_spans": 2, "resource_spans": 2}


class Builder:
    """Requests by chance. A tame one is what a sender means; otherwise anything goes, and some of it is broken."""

    def __init__(self, seed: int, *, tame: bool) -> None:
        self.random = random.Random(seed)
        self.tame = tame

    def seldom(self, one_in: int) -> bool:
        return not self.tame and self.random.randrange(one_in) == 0

    def padding(self) -> int:
        return self.random.choice([0] * 9 + [1, 3])

    def message(self, descriptor: Descriptor, depth: int = 0) -> bytes:
        """Fields in any order, some of them twice, some of them unknown."""
        allowed = [one for one in descriptor.fields if depth < 9 or one.message_type is None]
        if descriptor.name == "AnyValue" and not self.seldom(15):
            parts = [self.field(self.random.choice(allowed), depth)]
        else:
            parts = [self.field(one, depth) for one in self.chosen(descriptor, allowed)]
        if self.random.randrange(12) == 0:
            parts.append(self.unknown())
        if self.seldom(150):
            parts.append(self.group() if self.random.randrange(2) else self.random.choice(BROKEN))
        self.random.shuffle(parts)
        return b"".join(parts)

    def chosen(self, descriptor: Descriptor, allowed: list[FieldDescriptor]) -> list[FieldDescriptor]:
        chosen = [one for one in allowed if one.name in MUST.get(descriptor.name, [])]
        for one in allowed:
            chosen += [one] * self.random.randint(0, SEVERAL.get(one.name, 0))
        if allowed and not (self.tame and descriptor.name == "KeyValue"):
            chosen += self.random.choices(allowed, k=self.random.randrange(4))
        if self.tame:
            chosen = [one for at, one in enumerate(chosen) if one.is_repeated or one not in chosen[:at]]
        return chosen

    def field(self, one: FieldDescriptor, depth: int) -> bytes:
        """A field as its type says, or seldom with a wire type that it does not have."""
        if self.seldom(60):
            return tag(one.number, 0) + varint(self.random.choice(NUMBERS))
        if one.message_type is not None:
            return delimited(one.number, self.message(one.message_type, depth + 1), self.padding())
        if one.type == FieldDescriptor.TYPE_STRING:
            text = self.random.choice(KEYS if one.name == "key" else TEXTS)
            if self.random.randrange(40) == 0:
                text = self.random.choice(DIALECTS) if one.name == "key" else SCOPE
            return delimited(one.number, text.encode(), self.padding())
        if one.type == FieldDescriptor.TYPE_BYTES:
            size = self.random.choice([0, 5]) if self.seldom(30) else ID_SIZES.get(one.name, 3)
            most = 30 if size == ID_SIZES["span_id"] else 2  # few traces, many spans in them
            return delimited(one.number, bytes([self.random.randint(1, most)]) * size)
        if one.is_packed and self.random.randrange(2):
            values = self.random.choices(NUMBERS, k=self.random.randrange(4))
            inner = b"".join(bytes(8) if one.type in FIXED64 else varint(value) for value in values)
            return delimited(one.number, inner)
        return self.number(one)

    def number(self, one: FieldDescriptor) -> bytes:
        if one.type == FieldDescriptor.TYPE_DOUBLE:
            return tag(one.number, 1) + struct.pack("<d", self.random.choice(DOUBLES))
        if one.type in FIXED64:
            return tag(one.number, 1) + struct.pack("<Q", START + self.random.randint(-5, 5) * 10**8)
        if one.type == FieldDescriptor.TYPE_FIXED32:
            return tag(one.number, 5) + bytes(4)
        return tag(one.number, 0, self.padding()) + varint(self.random.choice(NUMBERS), self.padding())

    def unknown(self) -> bytes:
        number = self.random.randint(90, 9000)
        return self.random.choice(
            [tag(number, 0) + varint(7, self.padding()), delimited(number, b"abc"), tag(number, 1) + bytes(8),
             tag(number, 5) + bytes(4)]
        )  # fmt: skip

    def group(self) -> bytes:
        number = self.random.randint(1, 200)
        return tag(number, 3) + self.unknown() + tag(number + self.random.choice([0, 0, 0, 1]), 4)


SIGNALS = [Signal.TRACES] * 4 + [Signal.METRICS, Signal.LOGS]


# One seed makes some requests: drawing each byte by itself would take minutes.
seeds = st.integers(0, 2**64 - 1)


def requests(seed: int, *, tame: bool) -> list[tuple[Signal, bytes]]:
    """Some requests, each with its signal."""
    builder = Builder(seed, tame=tame)
    signals = builder.random.choices(SIGNALS, k=10)
    return [(one, builder.message(REQUESTS[one].DESCRIPTOR)) for one in signals]


def outcome_of(engine: Any, signal: Signal, request: bytes) -> Outcome | str:
    try:
        return engine.process(signal, request)
    except MalformedRequest as error:
        return str(error)


def canonical(signal: Signal, payload: bytes) -> bytes:
    """The payload as protobuf itself writes it."""
    return REQUESTS[signal].FromString(payload).SerializeToString(deterministic=True)


@given(seeds)
def test_the_twins_agree_on_any_request(seed: int) -> None:
    """Unknown fields, groups, numbers longer than needed, fields twice, what is broken: the same in both."""
    twins = Twins(*SECTIONS[seed % len(SECTIONS)])
    for signal, request in requests(seed, tame=False):
        twins.agree(signal, request)


@given(seeds)
def test_plain_requests_are_not_handed_back(seed: int) -> None:
    """What a sender means, with whatever it adds, the engine in Rust does itself."""
    twins = Twins(*SECTIONS[seed % len(SECTIONS)])
    for signal, request in requests(seed, tame=True):
        before = twins.native.handed_back
        twins.agree(signal, request)
        # other scripts' digits, and messages that are no JSON text, are left to the reference
        if "٣".encode() not in request and b"gen_ai.output.messages" not in request:
            assert twins.native.handed_back == before, (signal, request)


@given(seeds)
def test_spans_without_a_change_keep_their_bytes(seed: int) -> None:
    """Every span that comes out with the attributes it came with is in the output byte for byte."""
    for signal, request in requests(seed, tame=True):
        native = Twins().native
        outcome = native.process(signal, request)
        if signal is Signal.TRACES and outcome.payload and not native.handed_back:
            for before, after in zip(spans_in(request), spans_in(outcome.payload), strict=True):
                assert before == after or b"otel_llm" in before + after


def spans_in(request: bytes) -> list[bytes]:
    """The bytes of each span."""
    return [
        span
        for resource in delimited_fields(request, 1)
        for scope in delimited_fields(resource, 2)
        for span in delimited_fields(scope, 2)
    ]


def delimited_fields(data: bytes, wanted: int) -> list[bytes]:
    """The content of the length-delimited fields with this number."""
    return [wire.payload(field) for number, field in wire.fields(data) if number == wanted]


def span(*parts: bytes) -> bytes:
    """A request with one span of these fields."""
    ids = delimited(1, b"\1" * 16) + delimited(2, b"\2" * 8)
    return delimited(1, delimited(2, delimited(2, ids + b"".join(parts))))


def nested(levels: int) -> bytes:
    """A span whose attribute is a list in a list in a list."""
    value = b""
    for _ in range(levels):
        value = delimited(5, delimited(1, value))
    return span(delimited(9, delimited(1, b"deep") + delimited(2, value)))


@pytest.mark.parametrize("levels", [0, 5, 25, 29, 40, 47, 48, 60, 5000])
def test_nesting_is_bounded(levels: int) -> None:
    """Values inside values: up to protobuf's own limit they pass, beyond it they are refused, and nothing overflows."""
    Twins().agree(Signal.TRACES, nested(levels))


@pytest.mark.parametrize("size", [2**31 - 1, 2**32, 2**63, 2**64 - 1])
def test_lengths_past_the_end_are_refused(size: int) -> None:
    """A length that nobody could send allocates nothing."""
    for prefix in (b"\x0a", b"\x0a\x20\x12", b"\x0a\x20\x12\x1e\x12"):
        Twins().agree(Signal.TRACES, prefix + varint(size) + b"abc")


def test_a_request_of_empty_messages_costs_no_more_than_its_bytes() -> None:
    """A hundred thousand empty levels, and as many empty spans, which are refused for their ids."""
    Twins().agree(Signal.TRACES, b"\x0a\x00" * 100_000)
    Twins().agree(Signal.TRACES, delimited(1, b"\x12\x00" * 100_000))
    Twins().agree(Signal.TRACES, delimited(1, delimited(2, b"\x12\x00" * 20_000)))


def test_the_schema_is_that_of_the_installed_messages() -> None:
    """`src/schema.rs` is what `schema.py` writes."""
    path = Path(__file__).parents[3] / "collector/native/schema.py"
    spec = importlib.util.spec_from_file_location("wire_schema", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.rust()
