"""Runs the demo: start, ask, read the collector's numbers, check them, show them."""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from otel_llm.demo.numbers import Exposition, summary
from otel_llm.demo.processes import Child, ChildFailed, ended_at_exit, free_port
from otel_llm.demo.show import Progress, table

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTIONS = Path(__file__).with_name("questions.txt")
MODELS = {"scripted": ("gpt-4o-mini", "gpt-4o-mini", "gpt-4.1-mini"), "real": ("gemma3-270m",)}
REQUESTS = {"scripted": 120, "real": 24}  # a real model on a CPU answers about two a second
WORKERS = 4
ANSWER_SECONDS = 120.0
NO_ANSWER = 0
ALERT_SECONDS = 12.0
COUNT_SECONDS = 10.0

# Windows are short so that something can be seen in under a minute; real rules look back minutes.
RULES = """\
alerts:
  evaluation_seconds: 1
  thresholds:
    - name: ModelErrorRatio
      metric: otel_llm.errors
      statistic: ratio
      per: otel_llm.requests
      where: {gen_ai_operation_name: chat}
      window_seconds: 30
      condition: ">"
      threshold: 0.02
      duration_seconds: 2
      severity: critical
      summary: More than 2% of the model calls fail.
    - name: ModelSlow
      metric: otel_llm.operation.duration
      statistic: p99
      where: {gen_ai_operation_name: chat}
      by: [gen_ai_request_model]
      window_seconds: 30
      condition: ">"
      threshold: 1.0
      duration_seconds: 1
      severity: warning
      summary: One model call in a hundred takes longer than a second.
    - name: SpendHigh
      metric: otel_llm.cost.usd
      statistic: rate
      window_seconds: 30
      condition: ">"
      threshold: 1.0
      severity: warning
      summary: More than a dollar is spent each second.
"""


@dataclass(frozen=True)
class Places:
    """Where everything listens."""

    grpc: int
    http: int
    admin: int
    model: int
    app: int

    def url(self, port: int, path: str = "") -> str:
        """A URL on loopback."""
        return f"http://127.0.0.1:{port}{path}"


@dataclass(frozen=True)
class Asked:
    """One question as its sender saw it."""

    status: int
    seconds: float


def run_demo(options: argparse.Namespace) -> int:
    """Run the demo; 0 when the collector counted exactly the spans that the program emitted."""
    if not EXAMPLES.is_dir():
        print("otel-llm demo: examples/ is not beside this installation; run it in a clone", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="otel-llm-demo-") as folder, ended_at_exit() as children:
            places = Places(free_port(4317), free_port(4318), free_port(8889), free_port(8090), free_port(8000))
            _start(options, places, Path(folder), children)
            return _ask_and_show(options, places)
    except ChildFailed as error:
        print(f"otel-llm demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\notel-llm demo: stopped", file=sys.stderr)
        return 130


def _start(options: argparse.Namespace, places: Places, folder: Path, children: list[Child]) -> None:
    """Start collector, model and service, each when what it needs is ready."""
    config = folder / "collector.yaml"
    config.write_text(
        f"receivers: {{otlp: {{grpc: {{endpoint: '127.0.0.1:{places.grpc}'}},"
        f" http: {{endpoint: '127.0.0.1:{places.http}'}}}}}}\n"
        f"server: {{endpoint: '127.0.0.1:{places.admin}'}}\n{RULES}"
    )

    def start(name: str, command: list[str], ready: str, **environment: str) -> None:
        child = Child(name, command, {**os.environ, **environment}, folder / f"{name}.log")
        children.append(child)
        child.wait_ready(ready)

    start("collector", ["-m", "otel_llm_collector", "run", str(config)], places.url(places.admin, "/ready"))
    server = "real.py" if options.model == "real" else "server.py"
    model = [str(EXAMPLES / "local_model" / server), "--port", str(places.model), "--seed", str(options.seed)]
    start("model", model, places.url(places.model, "/v1/models"))
    app = ["-m", "uvicorn", "--app-dir", str(EXAMPLES / "rag_app"), "app:app", "--log-level", "warning"]
    start(
        "rag-app",
        [*app, "--host", "127.0.0.1", "--port", str(places.app)],
        places.url(places.app, "/health"),
        OPENAI_BASE_URL=places.url(places.model, "/v1"),
        OTEL_EXPORTER_OTLP_ENDPOINT=places.url(places.http),
    )


def _ask_and_show(options: argparse.Namespace, places: Places) -> int:
    began = time.monotonic()
    asked, alerts = _ask(options, places)
    emitted, seen = _settled(places)
    numbers = {**_asked_numbers(asked), **summary(seen, alerts), "emitted_spans": emitted}
    numbers["seconds"] = round(time.monotonic() - began, 1)
    if options.json:
        print(json.dumps(numbers, indent=2))
    else:
        print(table(numbers, places.url(places.admin)))
    if options.keep:
        _keep(places)
    if numbers["accepted_spans"] != emitted:
        counted = numbers["accepted_spans"]
        print(f"otel-llm demo: the collector counted {counted} spans, the program emitted {emitted}", file=sys.stderr)
        return 1
    return 0


def _ask(options: argparse.Namespace, places: Places) -> tuple[list[Asked], list[dict[str, Any]]]:
    """Ask the questions, a few at a time; returns how it went and the alerts seen firing."""
    draw = random.Random(options.seed)
    questions = [line for line in QUESTIONS.read_text(encoding="utf-8").splitlines() if line]
    bodies = [
        {
            "question": draw.choice(questions),
            "k": draw.choice((4, 8, 8, 12)),
            "model": draw.choice(MODELS[options.model]),
            "stream": draw.random() < 0.5,  # noqa: PLR2004 - half of them
        }
        for _ in range(options.requests or REQUESTS[options.model])
    ]
    firing: list[dict[str, Any]] = []
    progress = Progress(len(bodies), quiet=options.json)
    with httpx2.Client(base_url=places.url(places.app), timeout=ANSWER_SECONDS, trust_env=False) as client:

        def ask(body: dict[str, Any]) -> Asked:
            started = time.monotonic()
            try:
                with client.stream("POST", "/ask", json=body) as response:
                    response.read()
                status = response.status_code
            except httpx2.HTTPError:  # a machine that is too slow for the model, say
                status = NO_ANSWER
            return Asked(status, time.monotonic() - started)

        asked = []
        with ThreadPoolExecutor(WORKERS) as workers:
            for one in workers.map(ask, bodies):
                asked.append(one)
                progress.step()
                if len(asked) % 10 == 0:
                    firing += _alerts(places, "firing")
        deadline = time.monotonic() + ALERT_SECONDS
        while (not firing or _alerts(places, "pending")) and time.monotonic() < deadline:
            time.sleep(0.5)
            firing += _alerts(places, "firing")
    progress.end()
    return asked, firing + _alerts(places, "firing")


def _alerts(places: Places, state: str) -> list[dict[str, Any]]:
    answer = httpx2.get(places.url(places.admin, "/api/v1/alerts"), timeout=5, trust_env=False).json()
    return [alert for alert in answer["data"]["alerts"] if alert["state"] == state]


def _settled(places: Places) -> tuple[int, Exposition]:
    """What the program emitted, and the collector's numbers once they have caught up (or the time is over)."""
    deadline = time.monotonic() + COUNT_SECONDS
    while True:
        emitted = httpx2.get(places.url(places.app, "/metrics"), timeout=20, trust_env=False).json()["emitted"]
        seen = Exposition.scrape(places.url(places.admin, "/metrics"))
        caught_up = int(seen.total("otelcol_receiver_accepted_spans_total")) >= emitted
        if caught_up or time.monotonic() > deadline:
            return emitted, seen
        time.sleep(0.2)


def _asked_numbers(asked: list[Asked]) -> dict[str, Any]:
    seconds = sorted(one.seconds for one in asked)
    return {
        "requests": len(asked),
        "failed_requests": sum(one.status != httpx2.codes.OK for one in asked),
        "p50_seconds": statistics.median(seconds) if seconds else None,
        "p95_seconds": seconds[max(0, math.ceil(0.95 * len(seconds)) - 1)] if seconds else None,
    }


def _keep(places: Places) -> None:
    print(
        f"\nStill running. Ask it something:\n  curl -s {places.url(places.app, '/ask')} "
        "-H 'content-type: application/json' -d '{\"question\": \"What is tail sampling?\"}'\nCtrl-C ends it."
    )
    while True:
        time.sleep(3600)
