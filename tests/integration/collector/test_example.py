"""The example configuration of the documentation, run as it stands but for its addresses."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.contract import Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.fakes import FakeOpik
from otel_llm_collector.testing import GrpcSink, HttpSink

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[2] / "data/config/valid"
OWN = ["127.0.0.1:4317", "127.0.0.1:4318", "127.0.0.1:8889"]


def request() -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="chat")
    span.start_time_unix_nano, span.end_time_unix_nano = 1_700_000_000_000_000_000, 1_700_000_001_000_000_000
    text = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini"}
    for key, value in text.items():
        span.attributes.add(key=key).value.string_value = value
    for key, count in {"gen_ai.usage.input_tokens": 1000, "gen_ai.usage.output_tokens": 500}.items():
        span.attributes.add(key=key).value.int_value = count
    return message


def test_the_example_runs_and_everybody_gets_the_priced_trace(tmp_path: Path) -> None:
    """One trace in; Jaeger's, another collector's and Opik's stand-ins have it, with one price; no secret is shown."""
    shutil.copytree(FOLDER / "rules", tmp_path / "rules")

    async def run() -> None:
        async with GrpcSink() as jaeger, HttpSink() as other, FakeOpik(api_key="opik-secret") as opik:
            text = (FOLDER / "full.yaml").read_text()
            for address in OWN:
                text = text.replace(address, "127.0.0.1:0")
            text = text.replace("127.0.0.1:14317", jaeger.address).replace("127.0.0.1:14318", other.address)
            text = text.replace("127.0.0.1:5173", opik.address)
            environment = {"OPIK_API_KEY": "opik-secret", "TOKEN": "token-secret"}
            app = App(config.parse(text, environment, source="example", folder=tmp_path), load_engine({}))
            await app.start()
            addresses = app.addresses()
            async with httpx2.AsyncClient(trust_env=False) as client:
                url = f"http://{addresses['OTLP/HTTP'].removeprefix('http://')}/v1/traces"
                sent = await client.post(
                    url, content=request().SerializeToString(), headers={"content-type": "application/x-protobuf"}
                )
                assert sent.status_code == 200
                await jaeger.until(lambda: bool(jaeger.taken and other.taken and opik.traces))
                admin = addresses["metrics, health, queries, alerts"]
                pages = [await client.get(f"{admin}{page}") for page in ("/health/detailed", "/metrics", "/")]
            await app.shutdown()
            for sink in (jaeger, other):
                (span,) = sink.taken[0].spans()
                costs = {one.key: one.value.double_value for one in span.attributes}
                assert costs["otel_llm.cost.total"] == pytest.approx(0.00045)
                assert sink.taken[0].signal is Signal.TRACES
            assert other.taken[0].headers["authorization"] == "Bearer token-secret"
            (trace,) = opik.traces.values()
            assert (trace.workspace, trace.project, trace.root.cost) == ("default", "rag", pytest.approx(0.00045))
            assert not any("secret" in page.text for page in pages)

    asyncio.run(run())
