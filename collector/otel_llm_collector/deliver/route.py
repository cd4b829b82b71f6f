"""Splitting a request by attributes of its resources, for backends that route by header: a tenant, a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from otel_llm_collector.any_value import text
from otel_llm_collector.contract import Parcel
from otel_llm_collector.deliver.otlp import SHAPES, count

_MAX_VALUE_CHARS = 256


def routed(parcel: Parcel, routes: Mapping[str, str]) -> list[Parcel]:
    """One parcel for each combination of values that `routes` (header to attribute) finds on the resources.

    A resource without the attribute, or with a value that no header may have, leaves with the destination's own.
    """
    shape = SHAPES[parcel.signal]
    request: Any = shape.request.FromString(parcel.payload)
    groups: dict[tuple[tuple[str, str], ...], list[Any]] = {}
    for level in getattr(request, shape.resources):
        groups.setdefault(_headers(level.resource, routes), []).append(level)
    if len(groups) == 1:
        return [replace(parcel, headers={**parcel.headers, **dict(headers)}) for headers in groups]
    parcels = []
    for headers, levels in groups.items():
        part: Any = shape.request()
        getattr(part, shape.resources).extend(levels)
        items = sum(
            count(parcel.signal, item)
            for level in levels
            for scope in getattr(level, shape.scopes)
            for item in getattr(scope, shape.items)
        )
        parcels.append(
            replace(parcel, payload=part.SerializeToString(), items=items, headers={**parcel.headers, **dict(headers)})
        )
    return parcels


def _headers(resource: Any, routes: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    values = {one.key: one.value for one in resource.attributes if one.key in routes.values()}
    found = []
    for header, attribute in routes.items():
        value = text(values[attribute]).strip() if attribute in values else ""
        if value and value.isascii() and value.isprintable() and len(value) <= _MAX_VALUE_CHARS:
            found.append((header, value))
    return tuple(found)
