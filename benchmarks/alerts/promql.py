"""How fast PromQL is evaluated, and the same queries by a real Prometheus on one core.

    .venv/bin/python benchmarks/alerts/promql.py [--histograms 500] [--large 10000] [--write results.json]

Two cases, from a fixed seed:

- `rules`: 1,000 typical rules, each once, over 10,000 series (100 metrics of 100) with an hour of samples at 15 s;
- `quantile`: `histogram_quantile(0.99, rate(…[5m]))` over histograms of 20 buckets, 240 steps.

Our time is that of the evaluator over the collector's own store (processor seconds); Prometheus' is what it says itself
of evaluation (`stats=all`, `evalTotalTime`), with GOMAXPROCS=1. `--large` repeats the second case for us alone, with
more histograms than fit comfortably into Prometheus' default limits.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql import Options, instant, parse, range_query
from otel_llm_collector.measure.promql.storage import Integers, Labels, make_labels

START = 1_700_000_000_000
EVERY = 15_000
SAMPLES = 264
RULES = [
    "sum by (job) (rate(m{0}_total[5m])) > 1000000",
    'sum(rate(m{0}_total{{code=~"5.."}}[5m])) / sum(rate(m{0}_total[5m])) > 0.5',
    "histogram_quantile(0.99, sum by (le, job) (rate(m{0}_total[5m]))) > 1e9",
    "avg_over_time(m{0}_total[5m]) > 1e12",
    "m{0}_total > 1e12",
    "max by (job) (increase(m{0}_total[1h])) > 1e12",
    'count(m{0}_total{{code="500"}}) > 1000',
    'absent(m{0}_total{{job="j1"}})',
    "m{0}_total offset 5m > m{0}_total * 2",
    "predict_linear(m{0}_total[30m], 3600) < 0",
]
BOUNDS = "0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 15 20 25 30 60 +Inf".split()  # noqa: SIM905
QUANTILE = "histogram_quantile(0.99, rate(took_bucket[5m]))"
TIMES: Integers = START + np.arange(SAMPLES, dtype=np.int64) * EVERY


Series = dict[Labels, np.ndarray]


def kept(series: Series) -> Past:
    """The series in the collector's store."""
    count = len(series)
    past = Past(seconds=7200, resolution_seconds=15, max_series=count, max_series_per_name=count)
    numbers = np.array([past.number(labels) for labels in series])
    for column, at in zip(np.array(list(series.values())).T, TIMES.tolist(), strict=True):
        past.append(numbers, np.full(count, at), np.ascontiguousarray(column), at)
    return past


def counters() -> Series:
    """10,000 counters."""
    draw = np.random.default_rng(1)
    found: Series = {}
    for metric in range(100):
        for number in range(100):
            le = ["0.1", "0.5", "1", "5", "+Inf"][number % 5]
            code = "500" if number % 10 == 0 else "200"
            own = {"job": f"j{number // 5 % 5}", "instance": f"i{number}", "code": code, "le": le}
            values = np.cumsum(draw.integers(0, 10, SAMPLES)).astype(float)
            found[make_labels({"__name__": f"m{metric}_total", **own})] = values
    return found


def histograms(count: int) -> Series:
    """So many histograms of 20 buckets."""
    draw = np.random.default_rng(2)
    found: Series = {}
    for number in range(count):
        observed = draw.integers(0, 3, (len(BOUNDS), SAMPLES))
        totals = np.cumsum(np.cumsum(observed, axis=0), axis=1).astype(float)
        own = {"__name__": "took_bucket", "instance": f"i{number}", "job": f"j{number % 7}"}
        for bound, values in zip(BOUNDS, totals, strict=True):
            found[make_labels({**own, "le": bound})] = values
    return found


def rule_queries() -> list[str]:
    """1,000 rules."""
    return [rule.format(metric) for metric in range(100) for rule in RULES]


def our_rules(store: Past, at: int) -> float:
    """Processor seconds of 1,000 rules; the first round, which fills caches, is not counted."""
    queries = [parse(text) for text in rule_queries()]
    best = float("inf")
    for _ in range(4):
        started = time.process_time()
        for query in queries:
            instant(query, store, at)
        best = min(best, time.process_time() - started)
    return best


def our_quantile(store: Past, start: int, end: int) -> float:
    """Processor seconds of the range query."""
    query = parse(QUANTILE)
    best = float("inf")
    for _ in range(4):
        started = time.process_time()
        range_query(query, store, start, end, EVERY, Options(max_samples=10**9))
        best = min(best, time.process_time() - started)
    return best


# Prometheus


def openmetrics(stores: Sequence[Series]) -> Iterator[str]:
    """The series as OpenMetrics text."""
    seconds = [f"{at / 1000:.3f}" for at in TIMES.tolist()]
    before = ""
    for labels, values in (item for store in stores for item in store.items()):
        name = dict(labels)["__name__"]
        if name != before:
            yield f"# TYPE {name} unknown\n"
        before = name
        inside = ",".join(f'{label}="{value}"' for label, value in labels if label != "__name__")
        for at, value in zip(seconds, values.tolist(), strict=True):
            yield f"{name}{{{inside}}} {value:g} {at}\n"
    yield "# EOF\n"


@contextmanager
def prometheus(stores: Sequence[Series]) -> Iterator[str]:
    """The address of a Prometheus with those series, on one core."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        path = Path(folder)
        with (path / "series.txt").open("w") as file:
            file.writelines(openmetrics(stores))
        (path / "prometheus.yml").write_text("global: {}\n")
        create = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
        subprocess.run([*create, str(path / "series.txt"), str(path / "data")], check=True, capture_output=True)  # noqa: S603
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        process = subprocess.Popen(  # noqa: S603
            [
                *("prometheus", f"--web.listen-address={address}", "--storage.tsdb.retention.time=100y"),
                *(f"--config.file={path}/prometheus.yml", f"--storage.tsdb.path={path}/data", "--log.level=error"),
            ],
            env={**os.environ, "GOMAXPROCS": "1"},
        )
        try:
            _wait(f"http://{address}/-/ready")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(20)


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("Prometheus did not become ready")


def their_seconds(url: str, path: str, **parameters: str | float) -> float:
    """What Prometheus says a query's evaluation took."""
    with urlopen(f"{url}/api/v1/{path}?{urlencode({**parameters, 'stats': 'all'})}", timeout=120) as answer:  # noqa: S310
        return float(json.load(answer)["data"]["stats"]["timings"]["evalTotalTime"])


def main() -> None:
    """Measure, print, and write the result where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--histograms", type=int, default=500, help="histograms for the comparison")
    parser.add_argument("--large", type=int, default=10_000, help="histograms for us alone; 0 leaves it out")
    parser.add_argument("--write", type=Path, help="file for the result as JSON")
    chosen = parser.parse_args()
    at = int(TIMES[-1]) + 3000
    start, end = int(TIMES[23]) + 7000, int(TIMES[23]) + 7000 + 239 * EVERY
    rules, few = counters(), histograms(chosen.histograms)
    result: dict[str, object] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "commit": _commit(),
        "rules_seconds": round(our_rules(kept(rules), at), 3),
        f"quantile_{chosen.histograms}x20_seconds": round(our_quantile(kept(few), start, end), 3),
    }
    if shutil.which("prometheus") and shutil.which("promtool"):
        with prometheus([rules, few]) as url:
            result["prometheus"] = _theirs(url, chosen.histograms, (at, start, end))
    if chosen.large:
        result[f"quantile_{chosen.large}x20_seconds"] = round(
            our_quantile(kept(histograms(chosen.large)), start, end), 3
        )
    text = json.dumps(result, indent=2)
    print(text)
    if chosen.write:
        chosen.write.write_text(text + "\n")


def _theirs(url: str, count: int, moments: tuple[int, int, int]) -> dict[str, float]:
    at, start, end = (moment / 1000 for moment in moments)
    rounds = [sum(their_seconds(url, "query", query=one, time=at) for one in rule_queries()) for _ in range(2)]
    ranged = {"query": QUANTILE, "start": start, "end": end, "step": EVERY / 1000}
    quantile = min(their_seconds(url, "query_range", **ranged) for _ in range(3))
    return {"rules_seconds": round(min(rounds), 3), f"quantile_{count}x20_seconds": round(quantile, 3)}


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout.strip()


if __name__ == "__main__":
    main()
