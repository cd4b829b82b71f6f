"""The books of delivery: for each destination, accepted = sent + waiting + dropped, per signal.

`accepted` counts what the log took that the destination wants; `sent` what the backend took; `dropped` what it will
never get, by reason and by whether that was asked for (`intentional`); `waiting` what is still in the log or under way.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from otel_llm_collector.contract import Signal


class Books(Collector):
    """Counters of every destination; `wanted` maps its name to its signals."""

    def __init__(self, wanted: Mapping[str, frozenset[Signal]], registry: CollectorRegistry) -> None:
        self._wanted = dict(wanted)
        self._backlogs: dict[str, Callable[[], Mapping[Signal, int]]] = {}
        self._under_way: Tally[tuple[str, Signal]] = Tally()
        self._requests: Tally[str] = Tally()
        # Before the counters: asking for the backlogs makes the readers count what the log has dropped meanwhile.
        registry.register(self)

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
        self._dropped = counters(
            "otel_llm_exporter_dropped_{}", "The {} that the destination never gets.", "reason", "intentional"
        )
        self._retries = Counter("otel_llm_exporter_retries", "Requests sent again.", ["exporter"], registry=registry)
        self._letters = Counter(
            "otel_llm_exporter_dead_letters",
            "Requests put with the dead letters (outcome written), or that the disk did not take (failed).",
            ["exporter", "outcome"],
            registry=registry,
        )
        self._sampled = Counter(
            "otel_llm_exporter_sampled_traces",
            "Traces judged by late sampling, with the policy that kept them.",
            ["exporter", "policy", "decision"],
            registry=registry,
        )
        for name in wanted:
            self._retries.labels(name)
            for signal in wanted[name]:
                self._accepted[signal].labels(name)
                self._sent[signal].labels(name)
                self._failed[signal].labels(name)

    def kept(self, signal: Signal, items: int) -> None:
        """The log took `items`."""
        for name, signals in self._wanted.items():
            if signal in signals:
                self._accepted[signal].labels(name).inc(items)

    def found(self, name: str, signal: Signal, items: int) -> None:
        """The log held `items` for the destination when the collector started."""
        if items and signal in self._wanted[name]:
            self._accepted[signal].labels(name).inc(items)

    def open(self, name: str, signal: Signal, items: int) -> Entry:
        """A record of `items` is taken from the log for the destination `name`."""
        self._under_way[name, signal] += items
        return Entry(self, name, signal, items)

    def bundle(self, name: str, signal: Signal, items: int) -> Entry:
        """`items` of several entries go on together; they are under way already."""
        return Entry(self, name, signal, items)

    def sampled(self, name: str, policy: str | None) -> None:
        """A trace was judged: kept by `policy`, or dropped."""
        self._sampled.labels(name, policy or "", "dropped" if policy is None else "kept").inc()

    def lost(self, name: str, signal: Signal, items: int, reason: str) -> None:
        """The destination never gets `items` that no reader has opened."""
        if items and signal in self._wanted[name]:
            self._drop(name, signal, items, reason, intentional=False)

    def retried(self, name: str) -> None:
        """A request is sent again."""
        self._retries.labels(name).inc()

    def letter(self, name: str, *, kept: bool) -> None:
        """A dead letter was written, or could not be."""
        self._letters.labels(name, "written" if kept else "failed").inc()

    @contextmanager
    def sending(self, name: str) -> Iterator[None]:
        """One request is under way."""
        self._requests[name] += 1
        try:
            yield
        finally:
            self._requests[name] -= 1

    def watch(self, name: str, backlog: Callable[[], Mapping[Signal, int]]) -> None:
        """Ask `backlog` for the items in the log that the destination has not taken yet."""
        self._backlogs[name] = backlog

    def waiting(self, name: str) -> dict[Signal, int]:
        """Items that wait in the log or are under way, as they stand now."""
        backlog = self._backlogs[name]()
        return {signal: backlog.get(signal, 0) + self._under_way[name, signal] for signal in self._wanted[name]}

    def collect(self) -> Iterable[Family]:
        """The items that wait and the requests under way."""
        waiting = {name: self.waiting(name) for name in self._backlogs}
        for signal in Signal:
            family = GaugeMetricFamily(
                f"otel_llm_exporter_waiting_{signal.items}",
                f"The {signal.items} that wait in the log or are under way.",
                labels=["exporter"],
            )
            for name, items in waiting.items():
                if signal in items:
                    family.add_metric([name], items[signal])
            yield family
        requests = GaugeMetricFamily(
            "otelcol_exporter_in_flight_requests", "Requests whose answer is awaited.", labels=["exporter"]
        )
        for name in self._wanted:
            requests.add_metric([name], self._requests[name])
        yield requests

    def describe(self) -> Iterable[Family]:
        """Nothing: see `collect`."""
        return ()

    def sent(self, name: str, signal: Signal, items: int) -> None:
        """The destination took `items` that were under way."""
        self._under_way[name, signal] -= items
        self._sent[signal].labels(name).inc(items)

    def dropped(self, name: str, signal: Signal, items: int, reason: str, *, intentional: bool) -> None:
        """The destination never gets `items` that were under way."""
        self._under_way[name, signal] -= items
        self._drop(name, signal, items, reason, intentional=intentional)

    def put_back(self, name: str, signal: Signal, items: int) -> None:
        """`items` that were under way stay in the log for the next start."""
        self._under_way[name, signal] -= items

    def _drop(self, name: str, signal: Signal, items: int, reason: str, *, intentional: bool) -> None:
        self._dropped[signal].labels(name, reason, "true" if intentional else "false").inc(items)
        if not intentional:
            self._failed[signal].labels(name).inc(items)


class Entry:
    """One record on its way to one destination: each of its items is to be sent or dropped, once."""

    def __init__(self, books: Books, name: str, signal: Signal, items: int) -> None:
        self._books = books
        self._name = name
        self._signal = signal
        self.open = items  # not yet accounted for

    def sent(self, items: int) -> None:
        """The destination took `items`."""
        self.open -= items
        self._books.sent(self._name, self._signal, items)

    def dropped(self, items: int, reason: str, *, intentional: bool = False) -> None:
        """The destination never gets `items`."""
        if items:
            self.open -= items
            self._books.dropped(self._name, self._signal, items, reason, intentional=intentional)

    def join(self, other: Entry) -> None:
        """What is open of `other` goes on with this one."""
        self.open += other.open
        other.open = 0

    def put_back(self) -> None:
        """What is open stays in the log for the next start."""
        self._books.put_back(self._name, self._signal, self.open)
        self.open = 0
