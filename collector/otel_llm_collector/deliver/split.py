"""Cutting a request into several below a size, between its items; resource and scope go along with each piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.otlp import SHAPES, Shape, count, walk

_ENVELOPE_BYTES = 32  # room for the tags and lengths around an item when sizes are added up


def split(parcel: Parcel, max_bytes: int) -> tuple[list[Parcel], int]:
    """`parcel` in pieces of at most `max_bytes`, and how many items were too large even alone."""
    if len(parcel.payload) <= max_bytes:
        return [parcel], 0
    shape = SHAPES[parcel.signal]
    pieces: list[Parcel] = []
    too_large = 0
    builder = _Builder(shape)
    for resource, scope, whole in walk(shape.request.FromString(parcel.payload), shape):
        for item in _small_enough(parcel.signal, whole, max_bytes - _levels(resource, scope)):
            size = item.ByteSize() + _ENVELOPE_BYTES
            items = count(parcel.signal, item)
            if size + _levels(resource, scope) > max_bytes:
                too_large += items
                continue
            if builder.size + size + builder.opening(resource, scope) > max_bytes:
                pieces.append(builder.parcel(parcel.signal))
                builder = _Builder(shape)
            builder.add(resource, scope, item, size, items)
    if builder.size:
        pieces.append(builder.parcel(parcel.signal))
    return pieces, too_large


class _Builder:
    """Collects items into one request, opening a resource or scope level when it changes."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._request: Any = shape.request()
        self._above: tuple[Any, Any] = (None, None)
        self._resource: Any = None
        self._items: Any = None
        self._count = 0
        self.size = 0

    def opening(self, resource: Any, scope: Any) -> int:
        """Bytes that the levels around the next item would add."""
        same = self._above[0] is resource and self._above[1] is scope
        return 0 if same else _levels(resource, scope)

    def add(self, resource: Any, scope: Any, item: Any, size: int, items: int) -> None:
        self.size += size + self.opening(resource, scope)
        self._count += items
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

    def parcel(self, signal: Signal) -> Parcel:
        return Parcel(signal, self._request.SerializeToString(), self._count)


def _small_enough(signal: Signal, item: Any, max_bytes: int) -> Iterator[Any]:
    """`item`, or a large metric as several with some of its points each."""
    points = count(signal, item)
    if signal is not Signal.METRICS or points < 2 or item.ByteSize() + _ENVELOPE_BYTES <= max_bytes:  # noqa: PLR2004
        yield item
        return
    for first, last in ((0, points // 2), (points // 2, points)):
        half = type(item)()
        half.CopyFrom(item)
        data = getattr(half, half.WhichOneof("data")).data_points
        del data[last:]
        del data[:first]
        yield from _small_enough(signal, half, max_bytes)


def _levels(resource: Any, scope: Any) -> int:
    """Bytes of the levels around an item."""
    levels: int = resource.resource.ByteSize() + scope.scope.ByteSize()
    return levels + len(resource.schema_url.encode()) + len(scope.schema_url.encode()) + 2 * _ENVELOPE_BYTES
