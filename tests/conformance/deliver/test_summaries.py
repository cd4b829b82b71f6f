"""Summaries of traces say the same in Rust and in Python, for whatever the engine lets through."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.summary import reading, summaries
from otel_llm_collector.engine import load_engine

pytest.importorskip("otel_llm_wire", reason="the module in Rust is not built here; make native builds it")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

import otel_llm_wire
from test_profiles import valid_requests
from test_twins import seeds
from traffic import request_of

NATIVE = reading(otel_llm_wire)
EVENT = "gen_ai.evaluation.result"
SAID = {
    "gen_ai.evaluation.score.label": ["fail", "FAILED", "pass", "", 3],
    "gen_ai.evaluation.score.value": [0.5, -1.0, float("nan"), float("inf"), 1, "x"],
    "otel_llm.feedback.kind": ["thumbs", 1],
    "otel_llm.cost.total": [0.25, 1e-9, 7, "much"],
    "otel_llm.quality.failed_checks": [["grounded"], [], "grounded"],
    "service.name": ["shop", "", 5],
}


@given(seeds)
def test_any_request(seed: int) -> None:
    """Unknown fields, fields twice, numbers longer than needed."""
    for request in valid_requests(seed):
        assert str(NATIVE(request)) == str(summaries(request))  # as text NaN is NaN


@given(seeds)
def test_whatever_a_trace_says(seed: int) -> None:
    """Roots that come last, feedback, failed checks and evaluations, values of a wrong type."""
    draw = random.Random(seed)
    message = ExportTraceServiceRequest()
    for _ in range(draw.randint(1, 3)):
        level = message.resource_spans.add()
        put(level.resource.attributes, draw)
        for _ in range(draw.randint(0, 6)):
            span = level.scope_spans.add().spans.add(trace_id=draw.choice([b"a", b"b", b"c"]) * 16)
            span.parent_span_id = draw.choice([b"", b"p" * 8])
            span.start_time_unix_nano, span.end_time_unix_nano = draw.choices([0, 1, 5, 2**64 - 1], k=2)
            span.status.code = draw.choice(["STATUS_CODE_OK", "STATUS_CODE_ERROR"])  # type: ignore[assignment]
            put(span.attributes, draw)
            put(span.events.add(name=draw.choice([EVENT, EVENT, "other"])).attributes, draw)
    request = message.SerializeToString()
    assert str(NATIVE(request)) == str(summaries(request))


def put(target: object, draw: random.Random) -> None:
    kinds = {str: "string_value", int: "int_value", float: "double_value"}
    for key in draw.choices(list(SAID), k=draw.randint(0, 4)):
        said = draw.choice(SAID[key])
        value = target.add(key=key).value  # type: ignore[attr-defined]
        if isinstance(said, list):
            value.array_value.SetInParent()
            for text in said:
                value.array_value.values.add(string_value=text)
        else:
            setattr(value, kinds[type(said)], said)


def test_what_the_engine_leaves_of_real_traffic() -> None:
    """Six spans a trace, the chat and the embedding priced, the root seen: and Python was not asked."""
    payload = load_engine({"OTEL_LLM_ENGINE": "pure"}).process(Signal.TRACES, request_of("rag", 60, 300)).payload
    found = NATIVE(payload)
    assert found == summaries(payload)
    assert len(found) == 10
    for one in found.values():
        assert (one.spans, one.root, one.service, one.error) == (6, True, "bench", False)
        assert one.cost > 0
        assert one.end > one.start
