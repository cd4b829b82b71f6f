"""Changes bytes of requests at random and asks both engines; `make fuzz SECONDS=600` runs it for longer.

It starts from the requests in `tests/data/engine/corpus` and those that `test_twins.Builder` and `DialectSpans` make.
Where the engines disagree, or one of them fails, the request is written to the corpus, and from then on every test run
tries it.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from pathlib import Path

from otel_llm_collector.contract import Signal

sys.path.insert(0, str(Path(__file__).parent))

from dialect_spans import DialectSpans
from test_twins import SECTIONS, SIGNALS, Twins, requests

CORPUS = Path(__file__).parents[2] / "data/engine/corpus"
_MAX_CHANGES = 4
_FRESH = 200  # requests after which the engines forget what they remember


def corpus() -> list[tuple[Signal, bytes]]:
    """The kept requests; a file's name begins with its signal."""
    return [(Signal(path.name.partition("-")[0]), path.read_bytes()) for path in sorted(CORPUS.glob("*.bin"))]


def changed(request: bytes, draw: random.Random) -> bytes:
    """The request with a few bytes changed, taken out, doubled or put in."""
    data = bytearray(request)
    for _ in range(draw.randint(1, _MAX_CHANGES)):
        at = draw.randrange(len(data) + 1)
        size = draw.choice((1, 1, 2, 8, 40))
        kind = draw.randrange(5)
        if kind == 0:
            data[at:at] = draw.randbytes(size)
        elif kind == 1:
            del data[at : at + size]
        elif kind == 2:
            data[at:at] = data[at : at + size]
        elif kind == 3 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif at < len(data):
            data[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x12))
    return bytes(data)


def fuzz(seconds: float, seed: int) -> int:
    """Try for so long; returns how many requests were tried. Raises what the engines raise, the request kept."""
    draw, tried, until = random.Random(seed), 0, time.monotonic() + seconds
    kept = corpus()
    while time.monotonic() < until:
        twins = Twins(*draw.choice(SECTIONS))
        spans = DialectSpans(draw.randrange(2**64), tame=draw.random() < 0.5)
        pool = kept + requests(draw.randrange(2**64), tame=draw.random() < 0.5)
        pool += [(Signal.TRACES, spans.request()) for _ in range(10)]
        for _ in range(_FRESH):
            signal, request = draw.choice(pool)
            request = changed(request, draw)
            if draw.randrange(9) == 0:
                signal = draw.choice(SIGNALS)
            try:
                twins.agree(signal, request)
            except BaseException:
                CORPUS.mkdir(parents=True, exist_ok=True)
                name = f"{signal}-{hashlib.sha256(request).hexdigest()[:12]}.bin"
                (CORPUS / name).write_bytes(request)
                raise
            tried += 1
    return tried


if __name__ == "__main__":
    seconds, seed = float(sys.argv[1]), time.time_ns()
    print(f"seed {seed}")  # noqa: T201 - a program
    print(f"{fuzz(seconds, seed)} requests, no disagreement")  # noqa: T201
