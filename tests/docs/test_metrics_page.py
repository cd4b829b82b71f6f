"""Every query of docs/metrics.md is PromQL over metrics that the registry or the collector knows."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from otel_llm_collector.measure.names import label_name, series_name
from otel_llm_collector.measure.promql.query import parse
from otel_llm_semconv.metrics import METRICS, OTHER_METRICS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ENDINGS = ("_bucket", "_sum", "_count")


def test_each_query_can_be_asked() -> None:
    """It parses, and its metric exists."""
    known = {
        series_name(metric.name, metric.unit, metric.instrument)
        for metric in (*METRICS.values(), *OTHER_METRICS.values())
    }
    labels = {label_name(key) for metric in (*METRICS.values(), *OTHER_METRICS.values()) for key in metric.attributes}
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for row in rows:
        for query in re.findall(r"`([^`]+)`", row.replace("\\|", "|").split(" | ", 1)[1]):
            parse(query)
            for name in re.findall(r"\b(?:otel_llm|hw|system|process)_\w+(?=[{\[`,)]|$)", query):
                base = next((name.removesuffix(one) for one in ENDINGS if name.endswith(one)), name)
                assert name.startswith("otel_llm_exporter") or {name, base} & (known | labels), name


def test_the_shipped_rules_ask_for_what_there_is() -> None:
    """Metrics of the registry in the expressions of `collector/rules` have the names that the registry gives them."""
    known = {
        series_name(metric.name, metric.unit, metric.instrument)
        for metric in (*METRICS.values(), *OTHER_METRICS.values())
    }
    labels = {label_name(key) for metric in (*METRICS.values(), *OTHER_METRICS.values()) for key in metric.attributes}
    own = ("otel_llm_window_", "otel_llm_alert_", "otel_llm_notifications_")
    for path in sorted((PAGE.parents[1] / "collector" / "rules").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for expression in (rule["expr"] for rule in group["rules"]):
                for name in re.findall(r"(?<![:\w])(?:otel_llm|hw|system|process)_\w+", expression):
                    base = next((name.removesuffix(one) for one in ENDINGS if name.endswith(one)), name)
                    assert name.startswith(own) or {name, base} & (known | labels), f"{path.name}: {name}"
