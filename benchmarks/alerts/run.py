"""How fast series come in, what an hour of them weighs, and how long rules take: `python benchmarks/alerts/run.py`.

Writes one JSON object. The case is fixed by `case.json` beside this file and a seed.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otel_llm_collector.alert.group import RunningGroup, Surroundings, evaluate, running
from otel_llm_collector.alert.rule_files import parse_rules
from otel_llm_collector.measure.otlp_metrics import OtlpMetrics
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.storage import make_labels

HERE = Path(__file__).parent
CASE = json.loads((HERE / "case.json").read_text(encoding="utf-8"))
START = 1_700_000_000_000
STEP = 15_000


def memory_of_an_hour() -> dict[str, float]:
    """Peak memory of this process with all series over an hour."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count, turns = CASE["series"], CASE["turns"]
    past = Past(max_series=count, max_series_per_name=count)
    numbers = np.array(
        [
            past.number(
                make_labels(
                    {"__name__": f"m{i % 50}", "service_name": f"s{i % 20}", "host": f"h{i // 50}", "kind": "x"}
                )
            )
            for i in range(count)
        ]
    )
    random_numbers = np.random.default_rng(CASE["seed"])
    began = time.process_time()
    for turn in range(turns):
        now = START + turn * STEP
        past.append(numbers, np.full(count, now), random_numbers.random(count), now)
    seconds = time.process_time() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "series": count,
        "samples": past.samples,
        "peak_mb": after / 1024,
        "grown_mb": (after - before) / 1024,
        "store_samples_per_second": past.samples / seconds,
    }


def ingest() -> dict[str, float]:
    """OTLP bytes to samples, on one core."""
    past = Past()
    metrics = OtlpMetrics(past)
    requests = [_request(START + turn * STEP) for turn in range(6)]
    metrics.take(requests[0], START)  # makes the series
    began = time.process_time()
    for turn, request in enumerate(requests[1:], 1):
        metrics.take(request, START + turn * STEP)
    seconds = time.process_time() - began
    points = CASE["points_per_request"] * 5
    return {"points": points, "points_per_second": points / seconds}


def _request(now: int) -> bytes:
    request = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add()
    resource_metrics.resource.attributes.add(key="service.name").value.string_value = "svc"
    scope = resource_metrics.scope_metrics.add()
    for index in range(20):
        metric = scope.metrics.add(name=f"app.metric.{index}", unit="s")
        metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
        for number in range(CASE["points_per_request"] // 20):
            point = metric.sum.data_points.add(time_unix_nano=now * 10**6, start_time_unix_nano=1, as_double=number)
            for key in range(4):
                point.attributes.add(key=f"key{key}").value.string_value = f"v{number if key == 0 else key}"
    return request.SerializeToString()


def rules() -> dict[str, float]:
    """Typical rules over ten minutes of series; the second turn, when selections are known."""
    count = CASE["rule_series"]
    past = Past(max_series=count * 2)
    labels = [
        make_labels({"__name__": f"m{i % 100}_total", "service_name": f"s{i // 100 % 10}", "model": f"x{i // 1000}"})
        for i in range(count)
    ]
    numbers = np.array([past.number(one) for one in labels])
    rising = np.arange(count, dtype=float)
    for turn in range(40):
        now = START + turn * STEP
        past.append(numbers, np.full(count, now), rising * turn, now)
    drawn = random.Random(CASE["seed"])
    forms = [
        "sum by (service_name) (rate(m{n}_total[5m])) > 1e9",
        "sum(rate(m{n}_total[5m])) / sum(rate(m{k}_total[5m])) > 1e9",
        "max by (model) (m{n}_total) > 1e12",
        'increase(m{n}_total{{service_name="s1"}}[5m]) > 1e12',
        "absent(m{n}_total)",
    ]
    written = [
        {"alert": f"A{i}", "expr": drawn.choice(forms).format(n=drawn.randrange(100), k=drawn.randrange(100))}
        for i in range(CASE["rules"])
    ]
    problems: list[Any] = []
    groups, _ = parse_rules(json.dumps({"groups": [{"name": "g", "rules": written}]}), "bench", 15, problems)
    live = RunningGroup(groups[0], [running(rule, str(i)) for i, rule in enumerate(groups[0].rules)])
    seconds = []
    for turn in range(3):
        now = (START + 39 * STEP) / 1000 + turn
        began = time.process_time()
        failed = evaluate(live, past, now, Surroundings({}, ""), time.monotonic)
        seconds.append(time.process_time() - began)
        assert not failed, [one.error for one in live.rules if one.error][:3]  # noqa: S101 - a benchmark
    return {"rules": len(written), "series": count, "first_seconds": seconds[0], "seconds": min(seconds[1:])}


def main() -> None:
    """Run what the arguments name, each in a process of its own, all by default."""
    cases = {"memory": memory_of_an_hour, "ingest": ingest, "rules": rules}
    if len(sys.argv) > 1:
        print(json.dumps(cases[sys.argv[1]]()))
        return
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE,
    ).stdout.strip()
    result: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "commit": commit}
    for name in cases:
        ran = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)  # noqa: S603
        result[name] = json.loads(ran.stdout)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
