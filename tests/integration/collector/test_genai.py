"""Spans recorded from other libraries, through the running collector: what a destination gets and what is measured."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.engine import load_engine
from otel_llm_collector.testing import HttpSink

pytestmark = pytest.mark.integration

RECORDED = Path(__file__).parents[2] / "data" / "dialects"
TEXT = """
receivers: {{otlp: {{grpc: null, http: {{endpoint: "127.0.0.1:0"}}}}}}
server: {{endpoint: "127.0.0.1:0"}}
genai: {{metrics: both}}
exporters:
  all: {{type: otlp_http, endpoint: "http://{all}"}}
  plain: {{type: otlp_http, endpoint: "http://{plain}", profile: otel}}
"""


def test_recorded_agents_arrive_in_one_language_and_count_once() -> None:
    """Two libraries' agents in; one destination keeps originals, one not; both metric families show the same tokens."""

    async def run() -> tuple[list[set[str]], str]:
        async with HttpSink() as everything, HttpSink() as plain:
            text = TEXT.format(all=everything.address, plain=plain.address)
            parsed = config.parse(text, {}, source="test", folder=Path())
            app = App(parsed, load_engine({}, parsed.processors, parsed.prices, parsed.genai, parsed.folder))
            await app.start()
            addresses = app.addresses()
            async with httpx2.AsyncClient(trust_env=False) as client:
                for library in ("openinference_langchain", "vercel_ai_legacy"):
                    recorded = json.loads((RECORDED / library / "agent.json").read_text())["traces"]
                    url = f"http://{addresses['OTLP/HTTP'].removeprefix('http://')}/v1/traces"
                    sent = await client.post(url, json=recorded, headers={"content-type": "application/json"})
                    assert sent.status_code == 200
                await everything.until(lambda: len(everything.taken) == 2 and len(plain.taken) == 2)
                admin = addresses["metrics, health, queries, alerts"]
                exposed = (await client.get(f"{admin}/metrics")).text
            await app.shutdown()
            return [names(sink) for sink in (everything, plain)], exposed

    (kept, plain), exposed = asyncio.run(run())
    assert {"gen_ai.input.messages", "llm.token_count.prompt", "ai.prompt.messages", "otel_llm.cost.total"} <= kept
    assert "gen_ai.input.messages" in plain
    originals = ("llm.token_count", "llm.output_messages", "ai.usage", "otel_llm")
    assert not [key for key in plain if key.startswith(originals)]
    # 70 in each trace, whatever its agents and layers repeat.
    assert total(exposed, "otel_llm_tokens_total{", 'gen_ai_token_type="input"') == 140
    assert total(exposed, "gen_ai_client_inference_usage_input_tokens_total{") == 140
    assert total(exposed, "gen_ai_client_token_usage_sum{", 'gen_ai_token_type="input"') == 140


def names(sink: HttpSink) -> set[str]:
    """Every attribute name that a destination got."""
    found = set()
    for taken in sink.taken:
        request = taken.request
        assert isinstance(request, ExportTraceServiceRequest)
        for one in request.resource_spans:
            found |= {key.key for scope in one.scope_spans for span in scope.spans for key in span.attributes}
    return found


def total(exposed: str, begins: str, label: str = "") -> float:
    """The sum of a metric's lines that have a label."""
    lines = [line for line in exposed.splitlines() if line.startswith(begins) and label in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
