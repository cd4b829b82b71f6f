"""`/metrics`: what the collector knows as Prometheus text or OpenMetrics, whichever the scraper prefers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a metric: Prometheus' type, a sentence, the unit."""

    name: str
    type: str
    help: str
    unit: str = ""


def metadata(registry: CollectorRegistry, *more: Collector) -> Iterator[Metadata]:
    """Of every metric in `registry` and what comes `more`, under the name that its samples have."""
    for family in _Together(registry, *more).collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield Metadata(name, family.type, family.documentation, family.unit)


def exposer(registry: CollectorRegistry, *more: Collector) -> Callable[[str], tuple[bytes, str]]:
    """A function from an Accept header to (body, Content-Type) of everything in `registry` and what comes `more`."""
    everything = _Together(registry, *more)

    def expose(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(_without_utf8_names(accept))
        return encode(everything), content_type

    return expose


class _Together:
    """Several collectors where the encoders expect a registry."""

    def __init__(self, *collectors: CollectorRegistry | Collector) -> None:
        self._collectors = collectors

    def collect(self) -> Iterator[Family]:
        for one in self._collectors:
            yield from one.collect()


def _without_utf8_names(accept: str) -> str:
    """Without the wish for UTF-8 names: ours are classic ones, and every Prometheus reads those."""
    return accept.replace("escaping=allow-utf-8", "escaping=underscores")
