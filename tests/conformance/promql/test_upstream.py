"""Prometheus' own PromQL tests, run against our evaluator; the scores stand in docs/reference/promql.md.

The test files are not in this repository: `go mod download` fetches the release of Prometheus that they belong to.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from otel_llm_collector.measure.promql import Options
from otel_llm_collector.measure.promql.script import run

RELEASE = "v0.315.0"  # Prometheus 3.15.0
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/reference/promql.md"
ENOUGH = 0.97  # of what is not experimental


@dataclass(frozen=True)
class Score:
    """One file: its evaluations without experimental ones, how many came out right, also with late names."""

    name: str
    evaluations: int
    right: int
    right_late: int
    experimental: int

    def __str__(self) -> str:
        return f"| {self.name} | {self.evaluations} | {self.right} | {self.right_late} | {self.experimental} |"


@pytest.fixture(scope="module")
def scripts() -> list[Path]:
    """Prometheus' test files of that release, from the module cache below `.cache`."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("fetching Prometheus' own tests needs Go; install golang to run them")
    folder = str(ROOT / ".cache/go")
    environment = {**os.environ, "GOMODCACHE": folder, "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
    command = [go, "mod", "download", "-json", f"github.com/prometheus/prometheus@{RELEASE}"]
    try:
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, timeout=100, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("Prometheus' own tests could not be fetched within 100 s; `go mod download` has to reach a proxy")
    if done.returncode:
        pytest.skip("Prometheus' own tests could not be fetched; `go mod download` has to reach a proxy")
    release = Path(json.loads(done.stdout)["Dir"])
    return sorted((release / "promql/promqltest/testdata").glob("*.test"))


def score(path: Path) -> Score:
    """Run one file with names dropped at each function, as Prometheus does, and at the end, as its tests do."""
    text = path.read_text(encoding="utf-8")
    usual, late = (list(run(text, Options(late_names=late_names))) for late_names in (False, True))
    counted = [one for one in usual if not one.experimental]
    return Score(
        path.stem,
        len(counted),
        sum(not one.problem for one in counted),
        sum(not one.problem for one in late if not one.experimental),
        len(usual) - len(counted),
    )


@pytest.mark.integration
def test_the_scores_are_those_of_the_documentation(scripts: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """No file comes out worse than documented, and at least 97% of all that is not experimental comes out right."""
    scores = [score(path) for path in scripts]
    table = "\n".join(map(str, scores))
    with capsys.disabled():
        print(f"\n{table}")  # noqa: T201 - the scores are to be seen in every run
    evaluations = sum(one.evaluations for one in scores)
    assert evaluations > 1700, "Prometheus has more tests than that; were the files read?"
    assert sum(one.right for one in scores) / evaluations >= ENOUGH
    rows = re.compile(r"^\| [a-z_-]+ (?:\| \d+ ){4}\|$", re.MULTILINE)
    documented = rows.findall(PAGE.read_text(encoding="utf-8"))
    assert documented == table.split("\n"), f"docs/reference/promql.md should say:\n{table}"
