"""Measures both engines on spans of other dialects; see README.md."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Engine, Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.receive.otlp_json import to_protobuf

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
RECORDED = HERE.parents[1] / "tests" / "data" / "dialects"
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

from machine import machine, write_between  # noqa: E402 - a folder to run, no package
from run import GENAI_SHARE, SECONDS, SPANS  # noqa: E402
from traffic import request_of  # noqa: E402


@dataclass
class Result:
    """Microseconds a span, of one request."""

    name: str
    spans: int
    span_bytes: int
    native: float
    reference: float
    handed_back: int


def best(work: Callable[[], object], seconds: float) -> float:
    """The shortest processor time that `work` took; other programs on the machine only ever make it longer."""
    shortest, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.thread_time()
        work()
        shortest = min(shortest, time.thread_time() - began)
    return shortest


def spans_of(request: bytes) -> int:
    """Spans in a request."""
    message = ExportTraceServiceRequest.FromString(request)
    return sum(len(scope.spans) for resource in message.resource_spans for scope in resource.scope_spans)


def recorded(library: Path) -> bytes:
    """All that was recorded from a library, again and again up to some hundred spans."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(library.glob("*.json"))]
    all_of_it = b"".join(
        to_protobuf(Signal.TRACES, json.dumps(document["traces"]).encode())[0]
        for document in documents
        if "traces" in document
    )
    return all_of_it * (SPANS // max(spans_of(all_of_it), 1))


def measure(name: str, request: bytes, native: Engine, reference: Engine) -> Result:
    """One request through both engines."""
    spans, before = spans_of(request), getattr(native, "handed_back", 0)
    native.process(Signal.TRACES, request)
    handed_back = getattr(native, "handed_back", 0) - before
    figures = (
        best(lambda: native.process(Signal.TRACES, request), SECONDS),
        best(lambda: reference.process(Signal.TRACES, request), SECONDS),
    )
    both = [round(figure / spans * 1e6, 2) for figure in figures]
    result = Result(name, spans, len(request) // spans, *both, handed_back)
    print(
        f"{name:32} {spans:4} spans: native {result.native:7.2f} µs/span, reference {result.reference:7.1f}", flush=True
    )
    return result


def table(results: list[Result], web: Result) -> str:
    """The figures as the page shows them."""
    lines = ["| spans of | bytes a span | Rust, µs/span | Python, µs/span | Python : Rust |", "|---|---|---|---|---|"]
    for one in results:
        figures = f"{one.native:.1f} | {one.reference:.0f} | {one.reference / one.native:.0f}"
        lines.append(f"| {one.name} | {one.span_bytes:,} | {figures} |")
    genai = (results[0].native - (1 - GENAI_SHARE) * web.native) / GENAI_SHARE
    lines.append(f"\nA span of the first row that speaks a dialect (four of six do) costs {genai:.1f} µs in Rust.")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write results and table."""
    native, reference = (load_engine({"OTEL_LLM_ENGINE": name}) for name in ("native", "pure"))
    shape = "the RAG trace as OpenInference writes it, 1.5 KB of content"
    results = [measure(shape, request_of("openinference", SPANS, 1500), native, reference)]
    web = measure("web", request_of("web", SPANS, 0), native, reference)
    for library in sorted(path for path in RECORDED.iterdir() if path.is_dir()):
        request = recorded(library)
        if request:
            results.append(measure(f"recorded: {library.name}", request, native, reference))
    written = {"machine": machine(), "results": [asdict(one) for one in (*results, web)]}
    (HERE / "dialects.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    write_between(DOCS / "performance.md", "dialects", table(results, web))


if __name__ == "__main__":
    main()
