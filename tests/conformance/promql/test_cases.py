"""Our own PromQL cases, in the format of Prometheus' tests: they hold where Prometheus' own cannot be fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from otel_llm_collector.measure.promql import Options
from otel_llm_collector.measure.promql.script import run

CASES = sorted((Path(__file__).parent / "cases").glob("*.test"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case_file(path: Path) -> None:
    """Every evaluation of the file comes out as written."""
    outcomes = list(run(path.read_text(encoding="utf-8"), Options()))
    problems = [f"line {one.evaluation.line}: {one.evaluation.query}: {one.problem}" for one in outcomes if one.problem]
    assert outcomes
    assert not problems, "\n".join(problems)
