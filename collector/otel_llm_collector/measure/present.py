"""The series of `/metrics` as they stand now, for queries: each has one sample, taken when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from prometheus_client import CollectorRegistry

from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, Matcher, SeriesSlice, make_labels

_STILL_NOW_MS = 1000  # a query about the present was asked at most so long ago


class Present:
    """The evaluator's store over a registry; `clock` gives seconds since the epoch."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._clock = clock

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Sequence[SeriesSlice]:
        """See `Storage`."""
        now = round(self._clock() * 1000)
        if now > end_ms + _STILL_NOW_MS:
            return []
        times = np.array([min(now, end_ms)], np.int64)
        return [SeriesSlice(labels, times, np.array([value])) for labels, value in self._found(matchers)]

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterable[Labels]:
        """See `Index`."""
        return [labels for labels, _ in self._found(matchers)]

    def _found(self, matchers: Sequence[Matcher]) -> list[tuple[Labels, float]]:
        found = []
        for family in self._registry.collect():
            for sample in family.samples:
                labels = {**sample.labels, METRIC_NAME: sample.name}
                if all(matcher.matches(labels.get(matcher.name, "")) for matcher in matchers):
                    found.append((make_labels(labels), float(sample.value)))
        return found
