"""Both engines make the same of spans of other dialects, and the engine in Rust does it itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.contract import Signal
from otel_llm_collector.engine.settings import GenAiConfig
from otel_llm_collector.receive.otlp_json import to_protobuf

pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")
sys.path.insert(0, str(Path(__file__).parent))

from dialect_spans import DialectSpans, long_prompt
from test_twins import Twins

RECORDED = sorted((Path(__file__).parents[2] / "data/dialects").glob("*/*.json"))
RECORDED = [path for path in RECORDED if "traces" in json.loads(path.read_text())]
seeds = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("originals", ["keep", "drop"])
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_recorded_spans(path: Path, originals: str) -> None:
    """What real libraries sent: the same spans and notes, with the originals and without; none is handed back."""
    request, _ = to_protobuf(Signal.TRACES, json.dumps(json.loads(path.read_text())["traces"]).encode())
    twins = Twins(genai=GenAiConfig.model_validate({"originals": originals}))
    twins.agree(Signal.TRACES, request)
    assert not twins.native.handed_back


@given(seeds, st.sampled_from(["keep", "drop"]))
def test_any_span_of_a_dialect(seed: int, originals: str) -> None:
    """Broken JSON, wrong types, holes, conflicts, mixed dialects, half characters, numbers beyond 64 bits."""
    twins = Twins(genai=GenAiConfig.model_validate({"originals": originals}))
    spans = DialectSpans(seed, tame=False)
    for _ in range(5):
        twins.agree(Signal.TRACES, spans.request())


@given(seeds)
def test_usual_oddities_are_not_handed_back(seed: int) -> None:
    """Broken JSON, wrong types, holes and mixed dialects the engine in Rust judges itself."""
    twins = Twins()
    spans = DialectSpans(seed, tame=True)
    for _ in range(8):
        twins.agree(Signal.TRACES, spans.request())
    assert not twins.native.handed_back


@pytest.mark.parametrize("messages", [1, 30, 500])
def test_flattened_prompts(messages: int) -> None:
    """Hundreds of messages in any order."""
    twins = Twins()
    twins.agree(Signal.TRACES, long_prompt(messages, messages))
    assert not twins.native.handed_back
