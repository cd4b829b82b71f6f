"""Which items a destination gets: those that `include` means, less those that `exclude` means."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.otlp import SHAPES, Shape, count, walk
from otel_llm_collector.selection import Matcher, Selections


class FilterSettings(BaseModel):
    """Items that a destination gets; what it does not get is counted as dropped on purpose."""

    model_config = ConfigDict(extra="forbid")

    include: Selections | None = Field(None, min_length=1, description="Only these; everything when not given.")
    exclude: Selections = Field(default_factory=list, description="All but these.")


class Filter:
    """The settings, compiled."""

    def __init__(self, settings: FilterSettings) -> None:
        self._include = (
            None if settings.include is None else {signal: Matcher(settings.include, signal) for signal in Signal}
        )
        self._exclude = {signal: Matcher(settings.exclude, signal) for signal in Signal}

    def apply(self, parcel: Parcel) -> Parcel:
        """What is left of `parcel`: itself when everything is."""
        include = self._include[parcel.signal] if self._include is not None else None
        if include is not None and not include.possible(parcel.payload):
            return Parcel(parcel.signal, b"", 0)
        exclude: Matcher | None = self._exclude[parcel.signal]
        if exclude is not None and not exclude.possible(parcel.payload):
            exclude = None
        if include is None and exclude is None:
            return parcel
        shape = SHAPES[parcel.signal]
        request: Any = shape.request.FromString(parcel.payload)
        if not _reduce(request, shape, parcel.signal, include, exclude):
            return parcel
        left = sum(count(parcel.signal, item) for _, _, item in walk(request, shape))
        return Parcel(parcel.signal, request.SerializeToString() if left else b"", left)


def _reduce(request: Any, shape: Shape, signal: Signal, include: Matcher | None, exclude: Matcher | None) -> bool:
    """Take out of `request` what is not wanted, and levels that are empty then; False when nothing was."""
    changed = False
    resources = getattr(request, shape.resources)
    for resource in resources:
        wanted = _Wanted(resource.resource.attributes, include, exclude)
        scopes = getattr(resource, shape.scopes)
        for scope in scopes:
            items = getattr(scope, shape.items)
            if signal is Signal.METRICS:
                for metric in items:
                    points = _points(metric)
                    changed |= points is not None and _keep(points, wanted)
                _keep_full(items, _points)
            else:
                changed |= _keep(items, wanted)
        _keep_full(scopes, lambda scope: getattr(scope, shape.items))
    _keep_full(resources, lambda resource: getattr(resource, shape.scopes))
    return changed


class _Wanted:
    """Whether an item below one resource is wanted."""

    def __init__(self, resource: Any, include: Matcher | None, exclude: Matcher | None) -> None:
        self._include, self._exclude = include, exclude
        self._for_include = include.picked(resource) if include is not None else {}
        self._for_exclude = exclude.picked(resource) if exclude is not None else {}

    def __call__(self, item: Any) -> bool:
        include, exclude = self._include, self._exclude
        if include is not None and not include.matches(self._for_include, include.picked(item.attributes)):
            return False
        return exclude is None or not exclude.matches(self._for_exclude, exclude.picked(item.attributes))


def _keep(items: Any, wanted: _Wanted) -> bool:
    """Leave only what is wanted in a repeated field; False when that is everything."""
    kept = [item for item in items if wanted(item)]
    if len(kept) == len(items):
        return False
    del items[:]
    items.extend(kept)
    return True


def _keep_full(levels: Any, inside: Any) -> None:
    kept = [level for level in levels if inside(level)]
    if len(kept) < len(levels):
        del levels[:]
        levels.extend(kept)


def _points(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else None
