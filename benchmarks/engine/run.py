"""Measures both engines on the same bytes; see README.md."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from otel_llm_collector.contract import Engine, Signal
from otel_llm_collector.engine import load_engine

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
sys.path.insert(0, str(HERE.parent))

from machine import machine, write_between  # noqa: E402 - a folder to run, no package
from traffic import request_of  # noqa: E402

SPANS = 512
SECONDS = 0.6  # for each figure; the reference gets three times that
GENAI_SHARE = 4 / 6  # of the spans of the RAG shape


@dataclass
class Result:
    """Microseconds a span, of one request."""

    shape: str
    spans: int
    content_bytes: int
    request_bytes: int
    native: float
    reference: float
    copy: float


def best(work: Callable[[], object], seconds: float) -> float:
    """The shortest time that `work` took."""
    shortest, until = float("inf"), time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        work()
        shortest = min(shortest, time.perf_counter() - began)
    return shortest


def measure(native: Engine, reference: Engine, shape: str, spans: int, content: int) -> Result:
    """One request through both engines, and copied."""
    request = request_of(shape, spans, content)
    figures = (
        best(lambda: native.process(Signal.TRACES, request), SECONDS),
        best(lambda: reference.process(Signal.TRACES, request), 3 * SECONDS),
        best(lambda: bytearray(request), SECONDS / 2),
    )
    result = Result(shape, spans, content, len(request), *(round(figure / spans * 1e6, 4) for figure in figures))
    print(
        f"{shape:4} {spans:5} spans {content:6} B of content: native {result.native:8.3f} µs/span, "
        f"reference {result.reference:8.2f}, copy {result.copy:.4f}",
        flush=True,
    )
    return result


def table(results: list[Result], other: float) -> str:
    """The figures at 512 spans, as the page shows them."""
    lines = [
        (
            "| request of 512 spans | bytes | Rust, µs/span | a GenAI span of these "
            "| Python, µs/span | Python : Rust | Rust : copy |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for one in results:
        name = f"RAG, {one.content_bytes / 1000:g} KB of content" if one.shape == "rag" else "web, no GenAI"
        genai = (one.native - (1 - GENAI_SHARE) * other) / GENAI_SHARE if one.shape == "rag" else None
        lines.append(
            f"| {name} | {one.request_bytes:,} | {one.native:.2f} | {'' if genai is None else f'{genai:.2f}'} "
            f"| {one.reference:.1f} | {one.reference / one.native:.0f} | {one.native / one.copy:.1f} |"
        )
    return "\n".join(lines) + "\n"


def plot(title: str, unit: str, points: dict[str, list[tuple[float, float]]], left: int) -> str:
    """One panel: milliseconds over `unit`, a line for each series."""
    width, height = 380, 240
    largest_x = max(x for line in points.values() for x, _ in line)
    largest_y = max(y for line in points.values() for _, y in line)
    parts = [
        f'<g transform="translate({left},30)"><text x="0" y="-10" class="t">{title}</text>',
        f'<path d="M0 0V{height}H{width}" class="axis"/>',
        f'<text x="{width}" y="{height + 16}" text-anchor="end">{largest_x:g} {unit}</text>',
        f'<text x="4" y="10">{largest_y:.3g} ms</text>',
    ]
    for number, (name, line) in enumerate(points.items()):
        at = [(x / largest_x * width, height - y / largest_y * height) for x, y in line]
        parts.append(f'<polyline class="l{number}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in at)}"/>')
        parts += [f'<circle class="l{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in at]
        parts.append(f'<text class="l{number}" x="60" y="{30 + 16 * number}">{name}</text>')
    return "\n".join([*parts, "</g>"])


STYLE = """<style>text{font:12px sans-serif;fill:#444}.t{font-weight:bold}.axis{fill:none;stroke:#999}
.l0{stroke:#1f6feb}.l1{stroke:#d4762c}polyline{fill:none;stroke-width:2}circle{fill:#fff}text.l0{fill:#1f6feb;stroke:none}
text.l1{fill:#d4762c;stroke:none}</style>"""


def picture(by_spans: list[Result], by_content: list[Result]) -> str:
    """Cost over spans and over bytes, of both engines; one scale each, because they are far apart."""
    panels = []
    for left, (title, engine) in zip((20, 450), (("Rust", "native"), ("Python", "reference")), strict=True):
        spans = [(one.spans, getattr(one, engine) * one.spans / 1000) for one in by_spans]
        panels.append(plot(f"{title}: spans in a request, 1.5 KB of content", "spans", {"": spans}, left))
    for left, (title, engine) in zip((20, 450), (("Rust", "native"), ("Python", "reference")), strict=True):
        sizes = [(one.request_bytes / 1e6, getattr(one, engine) * one.spans / 1000) for one in by_content]
        panel = plot(f"{title}: bytes of a request of 512 spans", "MB", {"": sizes}, left)
        panels.append(f'<g transform="translate(0,290)">{panel}</g>')
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 590" width="860" height="590">'
    return "\n".join([head, STYLE, *panels, "</svg>", ""])


def main() -> None:
    """Measure, print, write results, plot and table."""
    native, reference = (load_engine({"OTEL_LLM_ENGINE": name}) for name in ("native", "pure"))
    sizes = [measure(native, reference, "rag", SPANS, content) for content in (0, 1500, 8000, 25_000, 50_000, 100_000)]
    web = measure(native, reference, "web", SPANS, 0)
    counts = [measure(native, reference, "rag", spans, 1500) for spans in (6, 60, 300, 600, 1200, 2400)]
    shown = [one for one in sizes if one.content_bytes in {0, 1500, 8000, 100_000}]
    results = {"machine": machine(), "results": [asdict(one) for one in (*sizes, web, *counts)]}
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (DOCS / "engine.svg").write_text(picture(counts, sizes), encoding="utf-8")
    write_between(DOCS / "performance.md", "engine", table([*shown, web], web.native))


if __name__ == "__main__":
    main()
