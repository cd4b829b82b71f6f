"""The newest value of every incoming OTLP metric for `/metrics`, so that a Prometheus that scrapes us gets those too.

What has had no point for five minutes is left out. Native histograms have no place in the text formats; they can be
queried. A name that the collector itself uses is its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator

import numpy as np
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from otel_llm_collector.measure.otlp_metrics import Described, OtlpMetrics
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, Matcher, is_stale

_STILL_MS = 300_000
_ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}


class IncomingFamilies(Collector):
    """Reads the past; `own` gives the names of the collector's own families, `clock` seconds since the epoch."""

    def __init__(
        self, past: Past, incoming: OtlpMetrics, own: Callable[[], Collection[str]], clock: Callable[[], float]
    ) -> None:
        self._past = past
        self._incoming = incoming
        self._own = own
        self._clock = clock

    def collect(self) -> Iterator[Family]:
        """A family for each metric that has a recent value."""
        own = self._own()
        for name, described in sorted(self._incoming.described.copy().items()):
            if name.removesuffix("_total") not in own:
                family = self._family(name, described)
                if family.samples:
                    yield family

    def _family(self, name: str, described: Described) -> Family:
        family = Family(name.removesuffix("_total") if described.kind == "counter" else name, described.help, "unknown")
        family.type = described.kind
        found = [
            (labels, value)
            for ending in _ENDINGS.get(described.kind, ("",))
            for labels, value in self._newest(name + ending)
        ]
        for labels, value in sorted(found, key=_place):
            shown = dict(labels)
            family.add_sample(shown.pop(METRIC_NAME), shown, value)
        return family

    def _newest(self, name: str) -> Iterator[tuple[Labels, float]]:
        now_ms = round(self._clock() * 1000)
        for one in self._past.select([Matcher(METRIC_NAME, "=", name)], now_ms - _STILL_MS, now_ms):
            if one.histograms is None and not is_stale(one.values[-1:])[0]:
                yield one.labels, float(np.asarray(one.values)[-1])

    def describe(self) -> Iterable[Family]:
        """Nothing: families are made at each scrape, so registration needs no look at them."""
        return ()


def _place(sample: tuple[Labels, float]) -> tuple[object, ...]:
    """Series of one histogram beside each other, its buckets by their bounds, before its sum and count."""
    labels = dict(sample[0])
    name, bound = labels.pop(METRIC_NAME), labels.pop("le", "")
    return (sorted(labels.items()), not bound, float(bound or math.inf), name)
