"""Content goes in Rust as in Python, from whatever the engine lets through."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.content import dropper, without_content
from otel_llm_semconv import attributes as attr

pytest.importorskip("otel_llm_wire", reason="the module in Rust is not built here; make native builds it")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))

import otel_llm_wire
from test_profiles import RECORDINGS, recording
from test_twins import Builder, seeds

NATIVE = dropper(otel_llm_wire)
REQUESTS = {Signal.TRACES: ExportTraceServiceRequest, Signal.LOGS: ExportLogsServiceRequest}
NAMES = [
    attr.GEN_AI_INPUT_MESSAGES, attr.GEN_AI_TOOL_CALL_RESULT, "llm.input_messages.0.message.content", "input.value",
    "gen_ai.prompt.0.content", "gen_ai.prompt.name", "event.name", "x",
]  # fmt: skip
TEXTS = ["gen_ai.user.message", "exception", "", "secret"]


def agree(signal: Signal, payload: bytes) -> None:
    made, expected = NATIVE(signal, payload), without_content(signal, payload)
    parse = REQUESTS[signal].FromString
    assert parse(made).SerializeToString(deterministic=True) == parse(expected).SerializeToString(deterministic=True)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_spans_of_every_dialect(path: Path) -> None:
    """Real prompts, answers and documents, under every dialect's names."""
    agree(Signal.TRACES, recording(path))


@given(seeds)
def test_any_request(seed: int) -> None:
    """Content at every place: spans, events, links, records, bodies of events; beside unknown fields and odd values."""
    builder = Builder(seed, tame=seed % 3 > 0)
    for signal, kind in REQUESTS.items():
        try:
            message = kind.FromString(builder.message(kind.DESCRIPTOR))
        except Exception:  # noqa: S112 - not every request that is built can be read
            continue
        for level in message.resource_spans if signal is Signal.TRACES else message.resource_logs:
            for scope in level.scope_spans if signal is Signal.TRACES else level.scope_logs:
                for item in scope.spans if signal is Signal.TRACES else scope.log_records:
                    places = [item, *item.events, *item.links] if signal is Signal.TRACES else [item]
                    for place in places:
                        for name in builder.random.sample(NAMES, 2):
                            place.attributes.add(key=name).value.string_value = builder.random.choice(TEXTS)
                    if signal is Signal.LOGS:
                        item.event_name = builder.random.choice(TEXTS)
        agree(signal, message.SerializeToString())
