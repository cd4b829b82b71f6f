"""What is done for a destination, and its cost: every shipped profile, and `content: drop`, in Rust and in Python.

    python benchmarks/delivery/profiles.py

The request has 512 spans of the RAG shape with 1.5 KB of content, as the engine leaves them. Figures are the best of
many runs, in microseconds a span, and go to `profiles.json` and into `docs/performance.md`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import otel_llm_wire
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.content import dropper, without_content
from otel_llm_collector.deliver.debug import DebugSettings
from otel_llm_collector.deliver.profile import shipped_profiles
from otel_llm_collector.engine import load_engine

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from machine import machine, write_between  # noqa: E402 - a folder to run, no package
from traffic import request_of  # noqa: E402

SPANS = 512
SECONDS = 1.0  # for each figure
Work = Callable[[bytes], object]


def best(work: Callable[[], object]) -> float:
    """Microseconds a span, of the shortest run."""
    shortest, until = float("inf"), time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < until:
        work()
        shortest = min(shortest, time.perf_counter() - began)
    return round(shortest / SPANS * 1e6, 3)


def main() -> None:
    """Measure, print, write results and table."""
    request = load_engine({}).process(Signal.TRACES, request_of("rag", SPANS, 1500)).payload
    copied = best(lambda: bytearray(request))
    work: dict[str, tuple[Work, Work]] = {}
    for name in shipped_profiles():
        profile: Any = DebugSettings.model_validate({"type": "debug", "profile": name}).profile
        work[name] = profile.compiled(wire=otel_llm_wire).apply, profile.compiled().apply
    drop = dropper(otel_llm_wire)
    work["content: drop"] = partial(drop, Signal.TRACES), partial(without_content, Signal.TRACES)
    results = []
    for name, twins in work.items():
        native, reference = (best(partial(one, request)) for one in twins)
        results.append({"profile": name, "native": native, "reference": reference})
        print(f"{name:13} native {native:6.3f} µs/span, Python {reference:6.2f}", flush=True)
    found = {"machine": machine(), "request_bytes": len(request), "copy": copied, "results": results}
    (HERE / "profiles.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    lines = ["| profile | Rust, µs/span | Python, µs/span | Python : Rust |", "|---|---|---|---|"]
    for one in results:
        ratio = one["reference"] / one["native"]
        lines.append(f"| `{one['profile']}` | {one['native']:.2f} | {one['reference']:.1f} | {ratio:.0f} |")
    write_between(HERE.parents[1] / "docs" / "performance.md", "profiles", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
