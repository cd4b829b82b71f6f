"""The books of delivery: for each destination, accepted = sent + waiting + dropped, per signal.

`accepted` counts what the log took that the destination wants; `sent` what the backend took; `dropped` what it will
never get, by reason; `waiting` what is still in the log or under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from otel_llm_collector.contract import Signal


class Books(Collector):
    """Counters of every destination; `wanted` maps its name to its signals."""

    def __init__(self, wanted: Mapping[str, frozenset[Signal]], registry: CollectorRegistry) -> None:
        self._wanted = dict(wanted)
        self._waiting: dict[str, Callable[[], Mapping[Signal, int]]] = {}

        def counters(name: str, sentence: str, *labels: str) -> dict[Signal, Counter]:
            return {
                signal: Counter(
                    name.format(signal.items), sentence.format(signal.items), ("exporter", *labels), registry=registry
                )
                for signal in Signal
            }

        self._accepted = counters("otel_llm_exporter_accepted_{}", "Kept {} that the destination wants.")
        self._sent = counters("otelcol_exporter_sent_{}", "The {} that the destination took.")
        self._failed = counters("otelcol_exporter_send_failed_{}", "The {} that could not be sent and were dropped.")
        self._dropped = counters("otel_llm_exporter_dropped_{}", "The {} that the destination never gets.", "reason")
        self._retries = Counter("otel_llm_exporter_retries", "Requests sent again.", ["exporter"], registry=registry)
        for name in wanted:
            self._retries.labels(name)
            for signal in wanted[name]:
                self._accepted[signal].labels(name)
                self._sent[signal].labels(name)
                self._failed[signal].labels(name)
        registry.register(self)

    def kept(self, signal: Signal, items: int) -> None:
        """The log took `items`."""
        for name, signals in self._wanted.items():
            if signal in signals:
                self._accepted[signal].labels(name).inc(items)

    def sent(self, name: str, signal: Signal, items: int) -> None:
        """The destination took `items`."""
        self._sent[signal].labels(name).inc(items)

    def dropped(self, name: str, signal: Signal, items: int, reason: str) -> None:
        """The destination will never get `items`."""
        if items:
            self._dropped[signal].labels(name, reason).inc(items)
            self._failed[signal].labels(name).inc(items)

    def retried(self, name: str) -> None:
        """A request is sent again."""
        self._retries.labels(name).inc()

    def watch(self, name: str, waiting: Callable[[], Mapping[Signal, int]]) -> None:
        """Ask `waiting` for the items that wait for the destination `name`."""
        self._waiting[name] = waiting

    def collect(self) -> Iterable[Family]:
        """The items that wait, as they stand now."""
        for signal in Signal:
            family = GaugeMetricFamily(
                f"otel_llm_exporter_waiting_{signal.items}",
                f"The {signal.items} that wait in the log or are under way.",
                labels=["exporter"],
            )
            for name, waiting in self._waiting.items():
                if signal in self._wanted[name]:
                    family.add_metric([name], waiting().get(signal, 0))
            yield family

    def describe(self) -> Iterable[Family]:
        """Nothing: see `collect`."""
        return ()
