"""Takes what the collector itself exposes into the past, as a scrape of `/metrics` would, without the text between.

A counter or histogram that is new since the last look began at 0 after it; that 0 is written as well, so that its first
increase is seen. (A scraper cannot know that.)
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from otel_llm_collector.measure.otlp_metrics import OtlpMetrics
from otel_llm_collector.measure.overflow import OVERFLOW_LABEL, Overflow
from otel_llm_collector.measure.past import NO_SERIES, Past
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, Matcher, SeriesSlice, make_labels

_FRESH_MS = 1000  # so old may the newest samples be when somebody asks for the present
_RISING = frozenset({"counter", "histogram"})


class StoreBooks(Collector):
    """Shows how full the past is, and what found no place in it, by reason."""

    def __init__(self, past: Past, incoming: OtlpMetrics, sampler: Sampler) -> None:
        self._past = past
        self._incoming = incoming
        self._overflows = (incoming.overflow, sampler.overflow)

    def collect(self) -> Iterator[Family]:
        """Series, samples and drops."""
        yield GaugeMetricFamily("otel_llm_window_series", "Series kept for rules and queries.", value=len(self._past))
        yield CounterMetricFamily("otel_llm_window_samples", "Samples kept.", value=self._past.samples)
        yield CounterMetricFamily(
            "otel_llm_window_overflowed_points",
            "Points added to the series that hold what has none of its own.",
            value=sum(one.points for one in self._overflows),
        )
        for name, sentence, dropped in (
            ("otel_llm_window_dropped_samples", "Samples not kept, by reason.", self._past.dropped),
            ("otel_llm_window_dropped_points", "OTLP points not turned into samples.", self._incoming.dropped),
        ):
            family = CounterMetricFamily(name, sentence, labels=["reason"])
            for reason, count in sorted(dropped.items()):
                family.add_metric([reason], count)
            yield family

    def describe(self) -> Iterable[Family]:
        """Nothing: families are made at each scrape, so registration needs no look at them."""
        return ()


class Sampler:
    """Samples `registry` into `past`."""

    def __init__(self, registry: CollectorRegistry, past: Past) -> None:
        self._registry = registry
        self._past = past
        self._numbers: dict[tuple[str, ...], int] = {}
        self._epoch = past.epoch
        self._sampled_ms = 0
        self._turns = 0
        self.overflow = Overflow(past, Counter())
        self._lock = threading.Lock()

    def sample(self, now_ms: int, unless_within_ms: int = 0) -> None:
        """Take every sample as of now, unless it was done so short a time ago."""
        with self._lock:
            if not 0 <= now_ms - self._sampled_ms < unless_within_ms:
                self._sample(now_ms)

    def _sample(self, now_ms: int) -> None:
        self._past.prune(now_ms)
        if self._epoch != self._past.epoch:
            self._numbers.clear()
            self.overflow.renumber()
            self._epoch = self._past.epoch
        if self._sampled_ms > now_ms:  # the clock went back
            self._sampled_ms = 0
        numbers: list[int] = []
        values: list[float] = []
        begun: list[int] = []
        self._turns += 1
        for family in self._registry.collect():
            rising = family.type in _RISING
            for sample in family.samples:
                key = (sample.name, *sample.labels.keys(), *sample.labels.values())
                number = self._numbers.get(key)
                if number is None:
                    labels = make_labels({**sample.labels, METRIC_NAME: sample.name})
                    known = self._past.has(labels)
                    over = rising and (self.overflow.has(key) or sample.labels.get(OVERFLOW_LABEL))
                    number = self._numbers[key] = NO_SERIES if over else self._past.number(labels)
                    if rising and not known and number != NO_SERIES:
                        begun.append(number)
                if number == NO_SERIES and rising:
                    self._overflow(key, sample)
                    continue
                numbers.append(number)
                values.append(sample.value if sample.value == sample.value else math.nan)
        if begun and self._sampled_ms:
            before = np.full(len(begun), min(self._sampled_ms, now_ms - self._past.resolution_ms), np.int64)
            self._past.append(np.array(begun, np.int64), before, np.zeros(len(begun)), now_ms)
        times = np.full(len(numbers), now_ms, np.int64)
        self._past.append(np.array(numbers, np.int64), times, np.array(values), now_ms)
        self.overflow.write(now_ms)
        self._sampled_ms = now_ms

    def _overflow(self, key: tuple[str, ...], sample: Sample) -> None:
        """A sample of a counter or histogram that has no series of its own."""
        labels = make_labels({**sample.labels, METRIC_NAME: sample.name})
        name = (sample.name, sample.labels.get("le", ""))
        seen = (0, self._turns, [sample.value])  # turns, because the clock may be set
        self.overflow.add(name, [labels], key, seen, from_zero=bool(self._sampled_ms))

    @property
    def resolution_ms(self) -> int:
        """How often it is worth to sample."""
        return self._past.resolution_ms

    def shift(self, milliseconds: int) -> None:
        """The clock was set by so much; see `Past.shift`."""
        self._sampled_ms += milliseconds


class Live:
    """The past with the present at its end: a query about now finds our own series as of now."""

    def __init__(self, past: Past, sampler: Sampler, clock: Callable[[], float]) -> None:
        self._past = past
        self._sampler = sampler
        self._clock = clock

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Sequence[SeriesSlice]:
        """See `Storage`."""
        self._refresh(end_ms)
        return self._past.select(matchers, start_ms, end_ms)

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Iterable[Labels]:
        """See `Index`."""
        self._refresh(end_ms)
        return self._past.series(matchers, start_ms, end_ms)

    def _refresh(self, end_ms: int) -> None:
        now_ms = round(self._clock() * 1000)
        if end_ms >= now_ms - self._past.resolution_ms:
            self._sampler.sample(min(now_ms, end_ms), _FRESH_MS)
