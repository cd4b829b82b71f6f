"""Both engines notice the same spans, for any conditions, and none without."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given
from otel_llm_collector.contract import Outcome, Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.span_conditions import MEASURES, SIGNS, SpanCondition

pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from test_twins import Twins, requests, seeds
from traffic import request_of

BOUNDS = [0.0, 1e-6, 0.1, 0.2, 0.21, 1.0, 5.0, 100.0, 1000.0]


@given(seeds)
def test_any_conditions_on_any_request(seed: int) -> None:
    """What one twin notices, the other does; spans that were counted before are not noticed again."""
    draw = random.Random(seed)
    twins = Twins()
    for signal, request in requests(seed, tame=draw.random() < 0.8):
        watch = tuple(
            SpanCondition(draw.choice(list(MEASURES)), draw.choice(list(SIGNS)), draw.choice(BOUNDS))
            for _ in range(draw.randint(1, 3))
        )
        twins.pure.watch = twins.native.watch = watch
        twins.agree(signal, request)


@pytest.mark.parametrize("name", ["pure", "native"])
@pytest.mark.parametrize(
    ("condition", "names"),
    [
        (("duration", ">", 0.2), {"invoke_workflow", "embeddings", "retrieval", "chat"}),
        (("output_tokens", ">=", 180.0), {"chat"}),
        (("input_tokens", "<", 100.0), {"embeddings"}),
        (("time_to_first_token", "==", 0.21), {"chat"}),
        (("cost", ">", 0.0001), {"chat"}),
        (("error", "==", 1.0), set()),
    ],
)
def test_spans_of_a_rag_service(name: str, condition: tuple[str, str, float], names: set[str]) -> None:
    """Each condition finds the spans that it means, with what rules ask of them."""
    engine = load_engine({"OTEL_LLM_ENGINE": name})
    request = request_of("rag", 6, 300)
    assert engine.process(Signal.TRACES, request).noticed == []
    engine.watch = (SpanCondition(*condition),)
    outcome: Outcome = engine.process(Signal.TRACES, request)
    assert {one.operation for one in outcome.noticed} == names
    for one in outcome.noticed:
        assert one.service == "bench"
        assert one.seconds == 0.25
        assert len(one.trace_id) == 16
        assert one.model == {"chat": "gpt-4o-mini", "embeddings": "text-embedding-3-small"}.get(one.operation, "")
