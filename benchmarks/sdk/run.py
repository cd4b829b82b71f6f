"""Measures the SDK against the raw `opentelemetry-sdk`, in CPU time of its processes; see README.md."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
sys.path.insert(0, str(HERE.parent))

from machine import machine, write_between  # noqa: E402 - a folder to run, no package

ROUNDS = 60  # alternating, so that a slow moment of the machine is in both
CALLS = 300
STREAMS = 200
CHUNKS = 200
STARTS = 15
ATTRIBUTES = {f"key.{number}": number if number % 2 else f"value {number}" for number in range(10)}

STOCK = """
import time; began = time.process_time()
from opentelemetry import metrics, trace, _logs
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
resource = Resource.create({"service.name": "bench"})
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(traces)
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource))
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
_logs.set_logger_provider(logs)
"""
OURS = """
import time; began = time.process_time()
import otel_llm
otel_llm.configure("bench", instrument=False)
"""
OURS_WITH_THREADS = OURS.replace("False", '["threading"]')
ONLY_CONFIGURE = """
import time, otel_llm
otel_llm.configure
began = time.process_time()
otel_llm.configure("bench", instrument=False)
"""
LEAVE = "\nprint((time.process_time() - began) * 1000, flush=True)\nimport os; os._exit(0)\n"


class Null:
    """An exporter that takes everything."""

    def export(self, spans: Any) -> Any:
        """Take them."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to end."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Nothing waits."""
        return True


def alternating(works: dict[str, Callable[[], object]], calls: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds of CPU a call, the median of many short rounds that alternate between the works."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            began = time.process_time()
            for _ in range(calls):
                work()
            found[name].append((time.process_time() - began) / calls * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def spans() -> dict[str, float]:
    """A decorator around a no-op against a raw span, ten attributes each, through each one's queue to nowhere."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    import otel_llm
    from otel_llm.sessions import SessionProcessor
    from otel_llm.span_queue import SpanQueue

    stock = TracerProvider()
    stock.add_span_processor(BatchSpanProcessor(Null()))  # type: ignore[arg-type]
    tracer = stock.get_tracer("raw")
    ours = TracerProvider()
    ours.add_span_processor(SessionProcessor())
    ours.add_span_processor(SpanQueue(Null))  # type: ignore[arg-type]
    trace.set_tracer_provider(ours)

    def raw_at_start() -> None:
        with tracer.start_as_current_span("work", attributes=ATTRIBUTES):
            pass

    def raw_one_by_one() -> None:
        with tracer.start_as_current_span("work") as span:
            for key, value in ATTRIBUTES.items():
                span.set_attribute(key, value)

    @otel_llm.span("work", attributes=ATTRIBUTES)
    def decorated() -> None:
        pass

    @otel_llm.chat(provider="openai", model="gpt-4o-mini")
    def chat() -> None:
        pass

    works = {
        "raw span, attributes at its start": raw_at_start,
        "raw span, attributes one by one": raw_one_by_one,
        "@otel_llm.span": decorated,
        "@otel_llm.chat": chat,
    }
    alternating(works, CALLS, 5)
    return alternating(works, CALLS)


def chunks() -> Iterator[Any]:
    """A streamed answer as the client hands it over."""
    for _ in range(CHUNKS):
        delta = SimpleNamespace(content="word ")
        yield SimpleNamespace(model="m", usage=None, choices=[SimpleNamespace(delta=delta, finish_reason=None)])


def streams() -> dict[str, float]:
    """What a stream of 200 chunks costs bare and in `@otel_llm.chat`."""
    import otel_llm

    traced = otel_llm.chat(provider="openai", model="m")(chunks)

    def bare() -> None:
        for _ in chunks():
            pass

    def ours() -> None:
        for _ in traced():
            pass

    alternating({"bare": bare, "traced": ours}, 5, 3)
    return alternating({"bare": bare, "traced": ours}, 5, STREAMS // 5)


def milliseconds(program: str, bytecode: str) -> float:
    """What a fresh process prints. Bytecode is cached in a folder, as an installation has it, whatever is compiled."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    return float(ended.stdout)


def starts() -> dict[str, float]:
    """Fresh processes, alternating: imports alone, and set up until ready."""
    began = "import time; began = time.process_time()\n"
    programs = {
        "import opentelemetry.sdk.trace": began + "import opentelemetry.sdk.trace",
        "import otel_llm": began + "import otel_llm",
        "stock set-up": STOCK,
        "import otel_llm and configure()": OURS,
        "with threads instrumented": OURS_WITH_THREADS,
        "configure() alone": ONLY_CONFIGURE,
    }
    found: dict[str, list[float]] = {name: [] for name in programs}
    with tempfile.TemporaryDirectory() as bytecode:
        for program in programs.values():
            milliseconds(program + LEAVE, bytecode)  # the first start compiles
        for _ in range(STARTS):
            for name, program in programs.items():
                found[name].append(milliseconds(program + LEAVE, bytecode))
    return {name: statistics.median(times) for name, times in found.items()}


def main() -> None:
    """Measure, write `results.json` and the table of docs/performance.md."""
    span_times, stream_times, start_times = spans(), streams(), starts()
    raw = span_times["raw span, attributes at its start"]
    chunk = (stream_times["traced"] - stream_times["bare"]) / CHUNKS
    importing = start_times["import opentelemetry.sdk.trace"]
    stock = start_times["stock set-up"]
    rows = [
        ("raw span with 10 attributes, stock processor", f"{raw:.1f} µs", "1", ""),
        (
            "the same, attributes one by one",
            f"{span_times['raw span, attributes one by one']:.1f} µs",
            f"{span_times['raw span, attributes one by one'] / raw:.2f}",
            "",
        ),
        (
            "`@otel_llm.span` with the 10 attributes around a no-op",
            f"{span_times['@otel_llm.span']:.1f} µs",
            f"{span_times['@otel_llm.span'] / raw:.2f}",
            "1.3",
        ),
        (
            "`@otel_llm.chat` around a no-op",
            f"{span_times['@otel_llm.chat']:.1f} µs",
            f"{span_times['@otel_llm.chat'] / raw:.2f}",
            "",
        ),
        ("one chunk of a streamed chat of 200, more than bare", f"{chunk:.2f} µs", "", "3 µs"),
        ("`import opentelemetry.sdk.trace`", f"{importing:.0f} ms", "1", ""),
        (
            "`import otel_llm`",
            f"{start_times['import otel_llm']:.0f} ms",
            f"{start_times['import otel_llm'] / importing:.2f}",
            "1.2",
        ),
        ("stock set-up: traces, metrics, logs over OTLP/HTTP", f"{stock:.0f} ms", "1", ""),
        (
            "`import otel_llm` and `configure()`, the same signals",
            f"{start_times['import otel_llm and configure()']:.0f} ms",
            f"{start_times['import otel_llm and configure()'] / stock:.2f}",
            "1.2",
        ),
        (
            "the same with threads and executors instrumented, as by default",
            f"{start_times['with threads instrumented']:.0f} ms",
            f"{start_times['with threads instrumented'] / stock:.2f}",
            "1.2",
        ),
        ("`configure()` alone, after the import", f"{start_times['configure() alone']:.0f} ms", "", "150 ms"),
    ]
    table = "| what | time | ratio | bound |\n|---|---|---|---|\n"
    table += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    results = {"machine": machine(), "spans_us": span_times, "streams_us": stream_times, "starts_ms": start_times}
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_between(DOCS / "performance.md", "sdk", table)
    print(table)


if __name__ == "__main__":
    main()
