"""A program with providers of its own that are not the global ones: everything of ours goes there, and nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import HttpSink
from otel_llm_semconv import attributes as attr

import otel_llm

pytestmark = pytest.mark.integration

PROGRAM = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
import otel_llm

theirs, reader = InMemorySpanExporter(), InMemoryMetricReader()
provider = TracerProvider(resource=Resource.create({"service.name": "theirs"}))
provider.add_span_processor(SimpleSpanProcessor(theirs))
meters = MeterProvider([reader])
options = {"meter_provider": meters} if "meters" in sys.argv else {}
handle = otel_llm.configure("ours", tracer_provider=provider, **options)
again = otel_llm.configure("ours", tracer_provider=provider, **options)

with trace.get_tracer("program").start_as_current_span("global"):
    pass  # there is no global provider: it goes nowhere

@otel_llm.chat(provider="p", model="m")
def ask():
    yield "a"

with otel_llm.session(user_id="u"), otel_llm.workflow("answer"), ThreadPoolExecutor(1) as pool:
    pool.submit(lambda: list(ask())).result()
    with otel_llm.monitor("job") as job:
        job.log({"documents": 3})
    otel_llm.feedback(thumbs="up")
flushed = handle.force_flush(10)
data = reader.get_metrics_data()
scopes = [scope for one in data.resource_metrics for scope in one.scope_metrics] if data else []
names = [one.name for scope in scopes for one in scope.metrics]
print(json.dumps({
    "same": again is handle,
    "notes": handle.notes,
    "flushed": flushed,
    "counted": handle.exported_spans,
    "spans": [[one.name, one.attributes.get("user.id")] for one in theirs.get_finished_spans()],
    "metrics": names,
    "globals": [type(one()).__module__.split(".")[1] for one in (
        trace.get_tracer_provider, metrics.get_meter_provider, _logs.get_logger_provider)],
}))
"""


def run(*arguments: str) -> tuple[dict[str, Any], dict[Signal, list[Any]]]:
    """What the program says, and what arrived from it."""

    async def both() -> tuple[dict[str, Any], dict[Signal, list[Any]]]:
        async with HttpSink() as sink:
            environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.address}"}
            ended = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            arrived = {signal: [one.request for one in sink.taken if one.signal is signal] for signal in Signal}
            return json.loads(ended.stdout), arrived

    return asyncio.run(both())


def test_everything_goes_to_the_given_provider() -> None:
    """Spans reach the program's exporter and ours, with its resource; metrics and feedback come; no global is set."""
    said, arrived = run()
    assert said["same"]
    assert said["flushed"]
    assert said["spans"] == [["chat m", "u"], ["job", "u"], ["invoke_workflow answer", "u"]]
    assert said["counted"] == 3
    assert said["globals"] == ["trace", "metrics", "_logs"]  # the API's own proxies
    assert "given" in said["notes"][0]
    resources = [one.resource for request in arrived[Signal.TRACES] for one in request.resource_spans]
    services = {
        pair.value.string_value for one in resources for pair in one.attributes if pair.key == attr.SERVICE_NAME
    }
    assert services == {"theirs"}
    assert arrived[Signal.METRICS]
    assert arrived[Signal.LOGS]


def test_a_meter_provider_can_be_given_too() -> None:
    """Metrics go to it alone, and it keeps its own exporters."""
    said, arrived = run("meters")
    assert sorted(said["metrics"]) == ["otel_llm.monitor.duration", "otel_llm.program.value"]
    assert not arrived[Signal.METRICS]


@pytest.mark.parametrize("name", ["tracer_provider", "meter_provider", "logger_provider"])
def test_what_is_no_provider_is_refused(name: str) -> None:
    """A wrong object is an error that names the argument, before anything is set up."""
    with pytest.raises(ValueError, match=rf"configure: {name} is .*; use a provider of the OpenTelemetry SDK"):
        otel_llm.configure(**{name: "provider"})  # type: ignore[arg-type]
