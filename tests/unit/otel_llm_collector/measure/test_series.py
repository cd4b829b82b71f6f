"""Series add up, stay bounded, and can always be exposed."""

from __future__ import annotations

from otel_llm_collector.contract import HistogramDelta
from otel_llm_collector.measure.exposition import exposer
from otel_llm_collector.measure.series import SeriesStore
from otel_llm_semconv import metrics
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

REQUESTS = metrics.OTEL_LLM_REQUESTS
DURATION = metrics.OTEL_LLM_OPERATION_DURATION


def requests(count: float = 1, model: str = "m") -> dict[tuple[str, tuple[str, ...]], float]:
    """One counter delta."""
    return {(REQUESTS.name, ("svc", "chat", "openai", model)): count}


def durations(*counts: int, total: float = 1.0) -> dict[tuple[str, tuple[str, ...]], HistogramDelta]:
    """One histogram delta whose first buckets have these counts."""
    filled = list(counts) + [0] * (len(DURATION.boundaries) + 1 - len(counts))
    return {(DURATION.name, ("svc", "chat", "openai", "m")): HistogramDelta(filled, total)}


def exposed(store: SeriesStore, accept: str = "") -> dict[str, float]:
    """Samples by name and labels of what /metrics shows."""
    registry = CollectorRegistry()
    registry.register(store)
    text = exposer(registry)(accept)[0].decode()
    return {
        f"{sample.name}{sorted(value for value in sample.labels.values() if value)}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_and_histograms_add_up() -> None:
    """Two requests' numbers are one series; buckets are cumulative in the exposition."""
    store = SeriesStore()
    store.record(requests(2), durations(1, 2, total=0.5))
    store.record(requests(3), durations(0, 4, total=0.25))
    samples = exposed(store)
    labels = ["chat", "m", "openai", "svc"]
    assert samples[f"otel_llm_requests_total{labels}"] == 5
    assert samples[f"otel_llm_operation_duration_seconds_sum{labels}"] == 0.75
    assert samples[f"otel_llm_operation_duration_seconds_count{labels}"] == 7
    assert samples[f"otel_llm_operation_duration_seconds_bucket{sorted([*labels, '0.01'])}"] == 1
    assert samples[f"otel_llm_operation_duration_seconds_bucket{sorted([*labels, '0.02'])}"] == 7


def test_series_are_bounded_and_sums_stay_right() -> None:
    """Over the bound everything goes to one overflow series, and each such sample is counted."""
    store = SeriesStore(max_series_per_metric=10)
    for number in range(100):
        store.record(requests(1, f"model-{number}"), {})
    samples = exposed(store)
    assert samples["otel_llm_requests_total['true']"] == 90
    assert samples["otel_llm_series_overflowed_samples_total[]"] == 90
    total = sum(value for name, value in samples.items() if name.startswith("otel_llm_requests_total"))
    assert total == 100


def test_hostile_label_values_can_be_exposed() -> None:
    """Newlines, quotes, backslashes, NUL, 10 KB: the page stays readable and labels bounded."""
    store = SeriesStore()
    hostile = ['a"b', "a\nb", "a\\b", "a\x00b", "x" * 10_000, "{}", "\u2028", "\ufeff"]
    for value in hostile:
        store.record(requests(1, value), {})
    samples = exposed(store)
    assert sum(value for name, value in samples.items() if name.startswith("otel_llm_requests_total")) == len(hostile)
    assert max(len(name) for name in samples) < 400


def test_the_scraper_gets_the_format_it_asks_for() -> None:
    """Plain text by default, OpenMetrics when accepted; never a form of UTF-8 names that 2.42 cannot read."""
    registry = CollectorRegistry()
    registry.register(SeriesStore())
    expose = exposer(registry)
    assert expose("")[1].startswith("text/plain")
    body, content_type = expose("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert "allow-utf-8" not in expose("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8")[1]
