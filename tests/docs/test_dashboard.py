"""The Grafana dashboard: its form, and that its queries are PromQL over metrics that the collector exposes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.engine import load_engine
from otel_llm_collector.measure.names import label_name, metric_name
from otel_llm_semconv.metrics import METRICS

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/overview.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
_CLASSIC_SCHEMA = 41  # newer dashboards have another form, which older Grafanas do not read
_NAME = re.compile(r"\b(?:otel_llm|otelcol)_\w+")
_LABELS = re.compile(r"(\w+)\{([^}]*)\}")


def expressions() -> list[str]:
    """Every query of the dashboard with its variables filled in as Grafana does for All."""
    filled = []
    for panel in PANELS:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "1m").replace("$__range", "30m")
            filled.append(re.sub(r"\$(service|model)\b", ".*", text))
    return filled


def alert_expressions() -> list[str]:
    """The queries of Prometheus' own rules about the collector."""
    groups = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def exposed() -> set[str]:
    """The names of all samples that a collector with a destination and an Alertmanager exposes."""
    app = App(config.load(DEPLOY / "collector/collector.yaml", {}), load_engine({}))
    names = set()
    for family in app.telemetry.registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        names.update(f"{family.name}{suffix}" for suffix in suffixes)
    return names


def test_the_form_is_one_that_every_grafana_since_9_reads() -> None:
    """Classic JSON: a uid, a schema below the new form's, ids that are unique, panels side by side without overlap."""
    assert DASHBOARD["uid"]
    assert DASHBOARD["schemaVersion"] <= _CLASSIC_SCHEMA
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells


def test_panels_say_what_they_show_and_ask_the_chosen_data_source() -> None:
    """Each panel has a title, a sentence and a unit; every query goes to the variable $DS."""
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["datasource"]["uid"] == "${DS}" for target in panel["targets"])


def test_variables_are_declared() -> None:
    """A query uses no variable that the dashboard does not have."""
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?([A-Za-z]\w*)", json.dumps([panel["targets"] for panel in PANELS])))
    assert used == declared


def test_metrics_exist(exposed: set[str]) -> None:
    """Every metric of the dashboard and of Prometheus' rules is one that the collector exposes."""
    used = {name for text in (*expressions(), *alert_expressions()) for name in _NAME.findall(text)}
    used -= {"otel_llm_cost_unknown_reason", "otel_llm_refusal_reason"}  # labels
    assert len(used) > 15
    assert used <= exposed


def test_registry_metrics_are_all_shown() -> None:
    """No metric of the registry is missing from the dashboard."""
    shown = " ".join(expressions())
    assert [name for name, metric in METRICS.items() if metric_name(metric.name, metric.unit) not in shown] == []


def test_labels_exist() -> None:
    """Every label that a selector names is a label of its metric."""
    labels = {
        metric_name(metric.name, metric.unit): {label_name(key) for key in metric.attributes}
        for metric in METRICS.values()
    }
    selectors = 0
    for text in expressions():
        for name, inside in _LABELS.findall(text):
            base = re.sub(r"_(total|bucket|count|sum)$", "", name)
            if base in labels:
                selectors += 1
                assert set(re.findall(r"(\w+)[=!]", inside)) <= labels[base], text
    assert selectors > 15


def test_queries_are_promql(tmp_path: Path) -> None:
    """Prometheus' own parser accepts every query."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; apt-get install prometheus gives it")
    rules: list[dict[str, Any]] = [
        {"record": f"dashboard:query:{number}", "expr": text} for number, text in enumerate(expressions())
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    ended = subprocess.run(
        [promtool, "check", "rules", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert f"{len(rules)} rules found" in ended.stdout
