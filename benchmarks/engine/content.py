"""Measures what redaction costs in both engines; see README.md."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otel_llm_collector.contract import Engine, Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.engine.settings import ProcessorsConfig

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/performance.md"
sys.path[:0] = [str(HERE.parent), str(HERE)]

from machine import machine, write_between  # noqa: E402 - folders to run, no packages
from run import best  # noqa: E402
from traffic import request_of  # noqa: E402

SECONDS = 0.6  # for each figure
SPANS = 512
RECORDS = 256
KILOBYTE = 1024
HOSTILE_BYTES = (125_000, 1_000_000)
# What keeps a detector trying: digits, beginnings of addresses and keys, colons, and what JSON is made of.
HOSTILE = ("1", "1 ", "a@", "AKIA", "1.", ":", "ab:", "4111-1 2.3:4 +", "AB12 ", "eyJeyJ.", "sk-a", '"', "\\")
PROSE = (
    "The quick brown fox jumps over the lazy dog, and then (in 2024) it asks: what is the answer? Version 2.16.2 of "
    "the tool, at 12:34:56, said so - see section 3.4 for more. "
) * 7
FINDS = " mail bob@example.com, card 4111 1111 1111 1111, from 10.1.2.3"


@dataclass
class Result:
    """Microseconds an item: without redaction, and with all detectors in Rust and in Python."""

    what: str
    without: float
    native: float
    reference: float


def logs(text: str, records: int) -> bytes:
    """A request of log records with this body."""
    request = ExportLogsServiceRequest()
    target = request.resource_logs.add().scope_logs.add().log_records
    for _ in range(records):
        target.add().body.string_value = text
    return request.SerializeToString()


def message(text: str) -> str:
    """Message JSON of a kilobyte."""
    return json.dumps([{"role": "user", "parts": [{"type": "text", "content": text[: KILOBYTE - 60]}]}])


def measure(engines: list[Engine], signal: Signal, what: str, request: bytes, items: int) -> Result:
    """One request through all engines."""
    seconds = [best(lambda engine=engine: engine.process(signal, request), SECONDS) for engine in engines]
    result = Result(what, *(round(one / items * 1e6, 3) for one in seconds))
    print(f"{what:24} without {result.without:7.2f} µs, Rust {result.native:7.2f}, Python {result.reference:8.2f}")
    return result


def growth(engine: Engine, piece: str) -> tuple[str, float, float]:
    """Milliseconds for texts of both sizes that are made of `piece`."""
    requests = [logs(piece * (size // len(piece)), 1) for size in HOSTILE_BYTES]
    small, large = (best(lambda one=one: engine.process(Signal.LOGS, one), SECONDS) * 1e3 for one in requests)
    print(f"{piece!r:20} {small:7.2f} ms, {large:7.2f} ms")
    return piece, round(small, 3), round(large, 3)


def table(results: list[Result], hostile: list[tuple[str, float, float]]) -> str:
    """The figures as the page shows them."""
    lines = [
        "| with all detectors | not redacted, µs | Rust, µs | redaction alone | Python, µs | Python : Rust |",
        "|---|---|---|---|---|---|",
    ]
    for one in results:
        ratio = one.reference / one.native
        alone = one.native - one.without
        lines.append(
            f"| {one.what} | {one.without:.2f} | {one.native:.2f} | {alone:.2f} | {one.reference:.0f} | {ratio:.0f} |"
        )
    piece, _, slowest = max(hostile, key=lambda one: one[2])
    quick = min(large for _, _, large in hostile)
    lines += [
        "",
        f"A megabyte made to keep the detectors busy takes Rust {quick:.1f} to {slowest:.1f} ms (most for `{piece}`).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write results and table."""
    redaction = ProcessorsConfig.model_validate({"redaction": {}})
    plain = load_engine({"OTEL_LLM_ENGINE": "native"})
    native, reference = (load_engine({"OTEL_LLM_ENGINE": name}, redaction) for name in ("native", "pure"))
    engines = [plain, native, reference]
    results = [
        measure(engines, Signal.LOGS, what, logs(text, RECORDS), RECORDS)
        for what, text in (
            ("1 KB of text", PROSE[:KILOBYTE]),
            ("1 KB of message JSON", message(PROSE)),
            ("1 KB with three finds", PROSE[: KILOBYTE - len(FINDS)] + FINDS),
        )
    ]
    for size in (1500, 8000):
        what = f"a span, {size / 1000:g} KB of content"
        results.append(measure(engines, Signal.TRACES, what, request_of("rag", SPANS, size), SPANS))
    hostile = [growth(native, piece) for piece in HOSTILE]
    written = {"machine": machine(), "results": [asdict(one) for one in results], "hostile_ms": hostile}
    (HERE / "content.json").write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_between(PAGE, "content", table(results, hostile))


if __name__ == "__main__":
    main()
