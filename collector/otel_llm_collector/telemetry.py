"""The collector's own counters at the door, declared once: name, sentence, labels.

Names are otelcol's where otelcol has one, so that existing dashboards and alerts work unchanged, and `otel_llm_`
otherwise. Delivery and alerting keep their counters beside their code, in the same registry.

The books: per signal, `otel_llm_receiver_received_X` = `otelcol_receiver_accepted_X` + `otelcol_receiver_refused_X`.
A request that is no OTLP at all has no countable items; it shows in `otelcol_receiver_requests{outcome="refused"}`.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from otel_llm_collector._version import __version__
from otel_llm_collector.contract import Outcome, Reject, Signal

_DOOR = ("receiver", "transport")


class Telemetry:
    """Counts what happens at the door; `registry` is where every other part adds its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry or CollectorRegistry()

        def counter(name: str, sentence: str, *labels: str) -> Counter:
            return Counter(name, sentence, labels, registry=self.registry)

        self._received: dict[Signal, Counter] = {}
        self._accepted: dict[Signal, Counter] = {}
        self._refused: dict[Signal, Counter] = {}
        for signal in Signal:
            items = signal.items
            words = items.replace("_", " ")
            self._received[signal] = counter(
                f"otel_llm_receiver_received_{items}", f"{words} in requests that could be read.".capitalize(), *_DOOR
            )
            self._accepted[signal] = counter(
                f"otelcol_receiver_accepted_{items}", f"{words} accepted and kept in the log.".capitalize(), *_DOOR
            )
            self._refused[signal] = counter(
                f"otelcol_receiver_refused_{items}", f"{words} refused; the sender was told.".capitalize(), *_DOOR
            )
        self._requests = counter(
            "otelcol_receiver_requests",
            "Requests by outcome: success, refused (the sender's fault), failure (ours, or no room).",
            *_DOOR,
            "signal",
            "outcome",
        )
        self._reasons = counter(
            "otel_llm_receiver_refused_items", "Refused items by reason.", *_DOOR, "signal", "reason"
        )
        self._closed = counter(
            "otel_llm_http_closed_connections",
            "HTTP connections closed because the head of a request did not come in time, or was too large.",
            "reason",
        )
        for reason in ("head_timeout", "head_too_large"):
            self._closed.labels(reason)
        self._notes = counter(
            "otel_llm_engine_noted_items", "Items kept although something about them is odd.", "reason"
        )
        Gauge("otel_llm_build_info", "The running version.", ("version",), registry=self.registry).labels(
            __version__
        ).set(1)
        self.registry.register(_Process(time.monotonic()))
        for transport in ("grpc", "http"):
            for family in (*self._received.values(), *self._accepted.values(), *self._refused.values()):
                family.labels("otlp", transport)

    def connection_closed(self, reason: str) -> None:
        """An HTTP connection was closed for `reason`."""
        self._closed.labels(reason).inc()

    def request(self, signal: Signal, transport: str, outcome: str) -> None:
        """One request ended as `success`, `refused` or `failure`."""
        self._requests.labels("otlp", transport, signal, outcome).inc()

    def kept(self, signal: Signal, transport: str, outcome: Outcome, rejects: Iterable[Reject]) -> None:
        """A request was kept, less `rejects`."""
        refused = self._count_rejects(signal, transport, rejects)
        self._received[signal].labels("otlp", transport).inc(outcome.accepted + refused)
        self._accepted[signal].labels("otlp", transport).inc(outcome.accepted)
        for reason, count in outcome.notes.items():
            self._notes.labels(reason).inc(count)

    def lost(self, signal: Signal, transport: str, items: int, reason: str, rejects: Iterable[Reject]) -> None:
        """A readable request of `items` good items could not be kept; the sender may try again."""
        refused = self._count_rejects(signal, transport, [*rejects, Reject(reason, items, "")])
        self._received[signal].labels("otlp", transport).inc(refused)

    def _count_rejects(self, signal: Signal, transport: str, rejects: Iterable[Reject]) -> int:
        refused = 0
        for reject in rejects:
            refused += reject.count
            self._reasons.labels("otlp", transport, signal, reject.reason).inc(reject.count)
        self._refused[signal].labels("otlp", transport).inc(refused)
        return refused


class _Process(Collector):
    """The process's own CPU, memory and age under otelcol's names."""

    def __init__(self, started: float) -> None:
        self._started = started

    def collect(self) -> Iterable[Metric]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield CounterMetricFamily(
            "otelcol_process_cpu_seconds",
            "CPU time of this process in seconds, user and system.",
            value=usage.ru_utime + usage.ru_stime,
        )
        yield GaugeMetricFamily("otelcol_process_memory_rss", "Resident memory in bytes.", value=_resident_bytes(usage))
        yield CounterMetricFamily(
            "otelcol_process_uptime_seconds", "Seconds since the start.", value=time.monotonic() - self._started
        )


def _resident_bytes(usage: resource.struct_rusage) -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return usage.ru_maxrss * 1024.0  # no /proc here: the peak is the best that is known
    return float(pages * resource.getpagesize())
