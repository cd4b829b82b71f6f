"""The shipped commands, run as a user runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of this distribution."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=110, check=False, cwd=cwd
    )


def test_the_demo_counts_what_it_emits() -> None:
    """`otel-llm demo --json` exits 0, and its numbers are of a real run: equal counts, costs, tokens, an alert."""
    ended = run("otel_llm", "demo", "--json", "--requests", "60")
    assert ended.returncode == 0, ended.stderr
    numbers = json.loads(ended.stdout)
    assert numbers["requests"] == 60
    assert 0 < numbers["failed_requests"] < 20
    assert numbers["accepted_spans"] == numbers["emitted_spans"] > 300
    assert numbers["refused_spans"] == 0
    assert set(numbers["cost_usd"]) == {"gpt-4o-mini", "gpt-4.1-mini", "text-embedding-3-small"}
    assert all(cost > 0 for cost in numbers["cost_usd"].values())
    assert numbers["tokens"]["input"] > numbers["tokens"]["cache_read"] > 0
    assert 0 < numbers["time_to_first_token_p50_seconds"] < numbers["p95_seconds"] + 1
    assert numbers["retrieved_k_mean"] > 1
    assert "ModelErrorRatio" in numbers["alerts"]


def test_check_says_everything_that_is_wrong_and_exits_2() -> None:
    """Every mistake of a bad file at once, nothing started."""
    path = ROOT / "tests/data/config/invalid/everything_at_once.yaml"
    ended = run("otel_llm_collector", "check", str(path))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "5 problems" in ended.stderr
    for where in ("receivers.otlp.grpc.endpoint", "exporters.a.type", "exporters.b.endpoint", "server.port"):
        assert where in ended.stderr


def test_check_accepts_a_good_file() -> None:
    """A good file is ok, with a count of what is in it."""
    ended = run("otel_llm_collector", "check", str(ROOT / "tests/data/config/valid/full.yaml"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "ok (3 exporters, 1 alert rules)" in ended.stdout


def test_a_taken_port_is_one_sentence_naming_port_and_option(tools: Any) -> None:
    """For each of the three listeners: exit code 1, one line, the port and the option to change."""
    ports = {name: tools.free_port() for name in ("grpc", "http", "admin")}
    template = (
        'receivers: {{otlp: {{grpc: {{endpoint: "127.0.0.1:{grpc}"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}\n'
        'server: {{endpoint: "127.0.0.1:{admin}"}}\n'
    )
    (tools.folder / "first.yaml").write_text(template.format(**ports))
    tools.start(sys.executable, "-m", "otel_llm_collector", "run", "first.yaml")
    tools.wait_for(lambda: tools.get(f"http://127.0.0.1:{ports['admin']}/ready"), what="first collector")
    options = {
        "grpc": "receivers.otlp.grpc.endpoint",
        "http": "receivers.otlp.http.endpoint",
        "admin": "server.endpoint",
    }
    for name, option in options.items():
        others = {other: tools.free_port() for other in ports if other != name}
        (tools.folder / "second.yaml").write_text(template.format(**{name: ports[name]}, **others))
        ended = run("otel_llm_collector", "run", "second.yaml", "--log-level", "error", cwd=tools.folder)
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1
        assert f"port {ports[name]} is taken" in ended.stderr
        assert option in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_collector_cleanly(tools: Any, number: signal.Signals) -> None:
    """SIGTERM and SIGINT stop it with exit code 0."""
    admin = tools.free_port()
    (tools.folder / "c.yaml").write_text(
        'receivers: {otlp: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}\n'
        f'server: {{endpoint: "127.0.0.1:{admin}"}}\n'
    )
    process = tools.start(sys.executable, "-m", "otel_llm_collector", "run", "c.yaml")
    tools.wait_for(lambda: tools.get(f"http://127.0.0.1:{admin}/live"), what="collector")
    process.send_signal(number)
    assert process.wait(15) == 0
