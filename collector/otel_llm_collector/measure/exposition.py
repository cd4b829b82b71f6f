"""`/metrics`: what the collector knows as Prometheus text or OpenMetrics, whichever the scraper prefers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a metric: Prometheus' type, a sentence, the unit."""

    name: str
    type: str
    help: str
    unit: str = ""


def metadata(registry: CollectorRegistry) -> Iterator[Metadata]:
    """Of every metric in `registry`, under the name that its samples have."""
    for family in registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield Metadata(name, family.type, family.documentation, family.unit)


def exposer(registry: CollectorRegistry) -> Callable[[str], tuple[bytes, str]]:
    """A function from an Accept header to (body, Content-Type) of everything in `registry`."""

    def expose(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(_without_utf8_names(accept))
        return encode(registry), content_type

    return expose


def _without_utf8_names(accept: str) -> str:
    """Without the wish for UTF-8 names: ours are classic ones, and every Prometheus reads those."""
    return accept.replace("escaping=allow-utf-8", "escaping=underscores")
