"""What the collector counts about itself is in the registry, and what the registry says of it is so."""

from __future__ import annotations

from pathlib import Path

import pytest
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.engine import load_engine
from otel_llm_collector.measure.names import metric_name, series_name
from otel_llm_semconv.registry import load
from prometheus_client import Metric

ROOT = Path(__file__).parents[2]
REGISTRY = load()
EMITTED = {
    spelling: metric
    for metric in REGISTRY.metrics.values()
    if metric.emitter in ("engine", "collector")
    for spelling in (
        metric_name(metric.name, metric.unit),
        series_name(metric.name, metric.unit, metric.instrument).removesuffix("_total"),
    )
}
TYPES = {"counter": "counter", "gauge": "gauge", "updowncounter": "gauge", "histogram": "histogram"}


@pytest.fixture(scope="module")
def families() -> list[Metric]:
    """What a collector with a destination, rules and an Alertmanager exposes under names of ours."""
    app = App(config.load(ROOT / "deploy/collector/collector.yaml", {}), load_engine({}))
    return [family for family in app.telemetry.registry.collect() if family.name.startswith("otel_llm_")]


def test_each_family_is_in_the_registry_with_its_type_and_sentence_of_labels(families: list[Metric]) -> None:
    """No metric of ours without an entry, none of another type, no label without an attribute."""
    assert len(families) > 40
    for family in families:
        metric = EMITTED.get(family.name)
        assert metric is not None, f"{family.name}: is not in the registry; add it to registry/collector.yaml"
        assert TYPES[metric.instrument] == family.type, family.name
        known = {key.replace(".", "_") for key in metric.attributes} | {key.split(".")[-1] for key in metric.attributes}
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= known | {"le"}, family.name


def test_nothing_in_the_registry_is_never_exposed(families: list[Metric]) -> None:
    """An entry for a metric of the collector's that is gone would mislead."""
    exposed = {family.name for family in families}
    ours = [one for one in REGISTRY.metrics.values() if one.emitter == "collector"]
    missing = [one.name for one in ours if exposed.isdisjoint(name for name, entry in EMITTED.items() if entry is one)]
    assert not missing
