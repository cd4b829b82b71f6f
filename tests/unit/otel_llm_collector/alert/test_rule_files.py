"""Rule files: read as Prometheus reads them, and every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from otel_llm_collector.alert.durations import format_duration, parse_duration
from otel_llm_collector.alert.rule_files import parse_rules
from otel_llm_collector.errors import Problem

MISTAKES = Path(__file__).parents[3] / "data" / "rules" / "twenty_mistakes.yaml"


def test_twenty_mistakes_are_twenty_reports() -> None:
    """Each says file and line, most say group and rule, and all say what is wrong and what would be right."""
    problems: list[Problem] = []
    parse_rules(MISTAKES.read_text(encoding="utf-8"), "twenty_mistakes.yaml", 60, problems)
    said = [str(problem) for problem in problems]
    marked = [
        number
        for number, line in enumerate(MISTAKES.read_text(encoding="utf-8").splitlines(), 1)
        for _ in range(line.partition("#")[2].count(" and ") + 1)
        if "#" in line
    ]
    lines = sorted(int(problem.path.split(":")[1]) for problem in problems)
    assert len(problems) == 20, "\n".join(said)
    assert lines == marked
    assert "twenty_mistakes.yaml:21: group first, rule BadKeep: `keep_firing_for` is not what it should be" in "".join(
        said
    )
    assert all(problem.wrong and problem.seen and problem.right for problem in problems)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("groups: [", "is not YAML"),
        ("- a", "is a mapping"),
        ("groups: {a: 1}", "is a list"),
        ("groups: [1]", "is a mapping"),
        ("group: []", "did you mean groups"),
        ("groups: [{name: a, name: b}]", "twice"),
        ("\x00", "is not YAML"),
        ("groups: [{name: g, rules: [{alert: A, expr: up, labels: {a: [1]}}]}]", "is no text"),
        ("groups: [{name: g, rules: [{alert: A, expr: '\"text\"'}]}]", "is a string"),
        ("groups: [{name: g, rules: [{alert: A, expr: up, annotations: {a: '{{ nope }}'}}]}]", "nope"),
    ],
)
def test_other_mistakes(text: str, words: str) -> None:
    """Whatever the file is, it is answered with a sentence."""
    problems: list[Problem] = []
    parse_rules(text, "f.yaml", 60, problems)
    assert any(words in str(problem) for problem in problems), problems


def test_everything_a_rule_can_have() -> None:
    """All keys of groups and rules."""
    problems: list[Problem] = []
    [group], _ = parse_rules(
        """
groups:
  - name: g
    interval: 1h30m
    query_offset: 30s
    limit: 7
    labels: {team: rag, tier: "1"}
    rules:
      - {record: "a:b", expr: sum(up)}
      - alert: A
        expr: a:b > 1
        for: 5m
        keep_firing_for: 10m
        labels: {severity: page, tier: 2}
        annotations: {summary: "{{ $value }}"}
""",
        "f.yaml",
        60,
        problems,
    )
    assert problems == []
    assert (group.interval, group.offset, group.limit) == (5400, 30, 7)
    recording, alerting = group.rules
    assert recording.records
    assert (alerting.hold, alerting.keep) == (300, 600)
    assert {name: label.source for name, label in alerting.labels.items()} == {
        "team": "rag",
        "tier": "2",
        "severity": "page",
    }


@pytest.mark.parametrize(("text", "seconds"), [("1h30m", 5400), ("500ms", 0.5), ("0", 0), ("1y2w3d", 33004800)])
def test_durations(text: str, seconds: float) -> None:
    """As Prometheus writes them, and back."""
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "1m1h", "-1m", "1.5h", "5 m", "m"])
def test_no_durations(text: str) -> None:
    """What Prometheus refuses is refused."""
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)
