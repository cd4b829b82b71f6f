"""The dashboard of GPUs and trainings: its form, and that it asks for metrics and labels that the SDK reports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from otel_llm_collector.measure.names import label_name, series_name
from otel_llm_semconv.metrics import OTHER_METRICS

FOLDER = Path(__file__).parents[2] / "deploy/grafana/dashboards"
DASHBOARD = json.loads((FOLDER / "gpu.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
_SERIES = re.compile(r"\b((?:hw|system|process|otel_llm)_\w+?)(?:_(?:bucket|sum|count))?\{([^}]*)\}")
# Labels that every series of a service has, or that the SDK adds to those of the registry.
_COMMON = {"service_name", "instance", "job", "le"}


def expressions() -> list[str]:
    """Every query, with its variables filled in as Grafana does for All."""
    texts = [target["expr"].replace("$__rate_interval", "1m") for panel in PANELS for target in panel["targets"]]
    return [re.sub(r"\$(service|gpu|experiment)\b", ".*", text) for text in texts]


def known() -> dict[str, set[str]]:
    """Series that the SDK's metrics become, with their labels."""
    return {
        series_name(one.name, one.unit, one.instrument): {label_name(key) for key in one.attributes}
        for one in OTHER_METRICS.values()
    }


def test_the_form() -> None:
    """Panels say what they show, lie side by side without overlap, have ids of their own and ask the data source."""
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["datasource"]["uid"] == "${DS}" for target in panel["targets"])
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?([A-Za-z]\w*)", json.dumps([panel["targets"] for panel in PANELS])))
    assert used == declared


def test_series_and_labels_are_reported() -> None:
    """Each series is what a metric of the registry becomes, and each label that is asked for one of its own."""
    series = known()
    asked = [found for text in expressions() for found in _SERIES.findall(text)]
    assert len(asked) > 25
    for name, selectors in asked:
        assert name in series, name
        labels = set(re.findall(r"(\w+)[=!]", selectors))
        assert labels <= series[name] | _COMMON, f"{name}: {labels - series[name]}"


def test_queries_are_promql(tmp_path: Path) -> None:
    """Prometheus' own parser accepts every query."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; apt-get install prometheus gives it")
    rules = [{"record": f"gpu:query:{number}", "expr": text} for number, text in enumerate(expressions())]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "gpu", "rules": rules}]}), encoding="utf-8")
    ended = subprocess.run(
        [promtool, "check", "rules", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
