"""A dialect of one's own is a file named in the configuration, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.engine.settings import GenAiConfig
from otel_llm_collector.errors import StartError

OURS = """
dialect: ours
title: Our own gateway
versions: all
source: https://example.test
precedence: 5
detect: {attributes: [gw.model]}
attributes:
  gen_ai.request.model: gw.model
  gen_ai.usage.input_tokens: gw.tokens#in
  gen_ai.usage.output_tokens: gw.tokens#out
conversions:
  - {to: gen_ai.operation.name, value: chat}
  - {to: gen_ai.provider.name, value: openai}
"""


@pytest.mark.parametrize("name", ["pure", "native"])
def test_a_file_of_ones_own_is_executed(tmp_path: Path, name: str) -> None:
    """Spans of a private gateway are read, counted and priced, with no code and nothing built; by both engines."""
    if name == "native":
        pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")
    (tmp_path / "ours.yaml").write_text(OURS)
    engine = load_engine({"OTEL_LLM_ENGINE": name}, genai=GenAiConfig(dialects=[Path("ours.yaml")]), folder=tmp_path)
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    span.start_time_unix_nano = span.end_time_unix_nano = 1_790_000_000_000_000_000
    span.attributes.add(key="gw.model").value.string_value = "gpt-4o-mini"
    span.attributes.add(key="gw.tokens").value.string_value = '{"in": 1000, "out": 500}'
    outcome = engine.process(Signal.TRACES, request.SerializeToString())
    counted = {name: value for (name, _), value in outcome.counters.items()}
    assert counted["otel_llm.cost.usd"] == pytest.approx(0.00045)
    assert outcome.notes["dialect_is_ours"] == 1
    assert not getattr(engine, "handed_back", 0)


def test_a_broken_file_keeps_the_collector_from_starting(tmp_path: Path) -> None:
    """The error names the section, the file and what would be right."""
    (tmp_path / "ours.yaml").write_text(OURS.replace("gen_ai.request.model:", "gen_ai.request.modell:"))
    with pytest.raises(StartError, match=r"genai.dialects: .*gen_ai.request.modell is not in the registry"):
        load_engine({}, genai=GenAiConfig(dialects=[Path("ours.yaml")]), folder=tmp_path)
