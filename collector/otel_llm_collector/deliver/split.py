"""Cutting a request into several below a size, between its items; resource and scope go along with each piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.otlp import SHAPES, Shape, count, walk

_ENVELOPE_BYTES = 32  # room for the tags and lengths around an item when sizes are added up


def split(parcel: Parcel, max_bytes: int) -> tuple[list[Parcel], list[Parcel]]:
    """`parcel` in pieces of at most `max_bytes`, and the items that are too large even alone."""
    if len(parcel.payload) <= max_bytes:
        return [parcel], []
    shape = SHAPES[parcel.signal]
    pieces: list[Parcel] = []
    too_large: list[Parcel] = []
    builder = Builder(shape)
    for resource, scope, whole in walk(shape.request.FromString(parcel.payload), shape):
        for item in _small_enough(parcel.signal, whole, max_bytes - _levels(resource, scope)):
            size = item.ByteSize() + _ENVELOPE_BYTES
            items = count(parcel.signal, item)
            if size + _levels(resource, scope) > max_bytes:
                alone = Builder(shape)
                alone.add(resource, scope, item, size, items)
                too_large.append(alone.parcel(parcel))
                continue
            if builder.size + size + builder.opening(resource, scope) > max_bytes:
                pieces.append(builder.parcel(parcel))
                builder = Builder(shape)
            builder.add(resource, scope, item, size, items)
    if builder.size:
        pieces.append(builder.parcel(parcel))
    return pieces, too_large


def halves(parcel: Parcel) -> list[Parcel]:
    """`parcel` in two with about half of the items each; in one when it cannot be cut."""
    shape = SHAPES[parcel.signal]
    builders = [Builder(shape)]
    for resource, scope, whole in walk(shape.request.FromString(parcel.payload), shape):
        parts = [whole]
        if parcel.signal is Signal.METRICS and parcel.items == count(parcel.signal, whole):
            parts = _cut(whole)
        for item in parts:
            items = count(parcel.signal, item)
            if len(builders) == 1 and builders[0].items and builders[0].items + items > (parcel.items + 1) // 2:
                builders.append(Builder(shape))
            builders[-1].add(resource, scope, item, item.ByteSize(), items)
    return [builder.parcel(parcel) for builder in builders if builder.items]


class Builder:
    """Collects items into one request, opening a resource or scope level when it changes."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._request: Any = shape.request()
        self._above: tuple[Any, Any] = (None, None)
        self._resource: Any = None
        self._items: Any = None
        self.items = 0
        self.size = 0

    def opening(self, resource: Any, scope: Any) -> int:
        """Bytes that the levels around the next item would add."""
        same = self._above[0] is resource and self._above[1] is scope
        return 0 if same else _levels(resource, scope)

    def add(self, resource: Any, scope: Any, item: Any, size: int, items: int) -> None:
        self.size += size + self.opening(resource, scope)
        self.items += items
        if self._above[0] is not resource:
            self._resource = getattr(self._request, self._shape.resources).add(schema_url=resource.schema_url)
            self._resource.resource.CopyFrom(resource.resource)
            self._above = (resource, None)
        if self._above[1] is not scope:
            level = getattr(self._resource, self._shape.scopes).add(schema_url=scope.schema_url)
            level.scope.CopyFrom(scope.scope)
            self._items = getattr(level, self._shape.items)
            self._above = (resource, scope)
        self._items.append(item)

    def parcel(self, whole: Parcel) -> Parcel:
        return replace(whole, payload=self._request.SerializeToString(), items=self.items)


def _small_enough(signal: Signal, item: Any, max_bytes: int) -> Iterator[Any]:
    """`item`, or a large metric as several with some of its points each."""
    points = count(signal, item)
    if signal is not Signal.METRICS or points < 2 or item.ByteSize() + _ENVELOPE_BYTES <= max_bytes:  # noqa: PLR2004
        yield item
        return
    for half in _cut(item):
        yield from _small_enough(signal, half, max_bytes)


def _cut(metric: Any) -> list[Any]:
    """A metric as two with half of its points each."""
    points = count(Signal.METRICS, metric)
    pieces = []
    for first, last in ((0, points // 2), (points // 2, points)):
        half = type(metric)()
        half.CopyFrom(metric)
        data = getattr(half, half.WhichOneof("data")).data_points
        del data[last:]
        del data[:first]
        pieces.append(half)
    return pieces


def _levels(resource: Any, scope: Any) -> int:
    """Bytes of the levels around an item."""
    levels: int = resource.resource.ByteSize() + scope.scope.ByteSize()
    return levels + len(resource.schema_url.encode()) + len(scope.schema_url.encode()) + 2 * _ENVELOPE_BYTES
