"""Instruments for the metrics of the registry, made once for each meter provider."""

from __future__ import annotations

from typing import Any, cast

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram
from opentelemetry.metrics import _Gauge as Gauge
from otel_llm_semconv.metrics import Metric

from otel_llm import providers

_made: dict[str, Any] = {}
_provider: metrics.MeterProvider | None = None


def counter(metric: Metric) -> Counter:
    """The counter for `metric`."""
    return cast("Counter", _instrument(metric))


def gauge(metric: Metric) -> Gauge:
    """The gauge for `metric`."""
    return cast("Gauge", _instrument(metric))


def histogram(metric: Metric) -> Histogram:
    """The histogram for `metric`, with its boundaries."""
    return cast("Histogram", _instrument(metric))


def _instrument(metric: Metric) -> Any:
    global _provider  # noqa: PLW0603 - a cache
    provider = providers.meter_provider()
    if provider is not _provider:
        _made.clear()
        _provider = provider
    found = _made.get(metric.name)
    if found is None:
        found = _made[metric.name] = _make(metric)
    return found


def _make(metric: Metric) -> Any:
    meter = providers.meter()
    if metric.instrument == "counter":
        return meter.create_counter(metric.name, metric.unit, metric.brief)
    if metric.instrument == "gauge":
        return meter.create_gauge(metric.name, metric.unit, metric.brief)
    boundaries = list(metric.boundaries)
    return meter.create_histogram(
        metric.name, metric.unit, metric.brief, explicit_bucket_boundaries_advisory=boundaries
    )
