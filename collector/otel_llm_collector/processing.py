"""For authors of processing plug-ins: what a plug-in is and what it sees of a span.

    class Team:
        '''Says which team serves a customer.'''

        def __init__(self, settings):                 # the mapping under `settings` in the configuration
            self.teams = settings["teams"]

        def process(self, span):                      # a SpanView; edit it, return nothing
            team = self.teams.get(span.attributes.get("app.customer"))
            if team:
                span.attributes["team"] = team

A package offers it under the entry point group `otel_llm_collector.processors`; the name there is its `type` in the
configuration. It runs in a thread of its own, one span at a time. What it raises is counted, and the span passes as it
was; the same happens to the spans that its time budget does not reach.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel_llm_collector.any_value import plain, put

GROUP = "otel_llm_collector.processors"


class Processor(Protocol):
    """A plug-in; see the module."""

    def process(self, span: SpanView) -> None: ...


class SpanView:
    """A span as a plug-in sees it. `name` and `attributes` can be edited; the rest is for reading.

    Attribute values are str, bool, int, float, bytes, lists and dicts of those, or None. Times are nanoseconds since
    the epoch; ids are in hex; `status` is unset, ok or error.
    """

    __slots__ = ("_before", "_span", "attributes", "name", "resource")

    def __init__(self, span: Any, resource: Mapping[str, Any]) -> None:
        self._span = span
        self.resource = resource
        self.name: str = span.name
        self.attributes: dict[str, Any] = {one.key: plain(one.value) for one in span.attributes}
        self._before = {
            key: copy.deepcopy(value) if isinstance(value, (list, dict)) else value
            for key, value in self.attributes.items()
        }

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return str(self._span.trace_id.hex())

    @property
    def span_id(self) -> str:
        """16 hex digits."""
        return str(self._span.span_id.hex())

    @property
    def parent_span_id(self) -> str:
        """16 hex digits, or nothing for a root."""
        return str(self._span.parent_span_id.hex())

    @property
    def start_time(self) -> int:
        """When it began."""
        return int(self._span.start_time_unix_nano)

    @property
    def end_time(self) -> int:
        """When it ended."""
        return int(self._span.end_time_unix_nano)

    @property
    def status(self) -> str:
        """`unset`, `ok` or `error`."""
        return {1: "ok", 2: "error"}.get(self._span.status.code, "unset")

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and attributes of each event."""
        return [(one.name, {pair.key: plain(pair.value) for pair in one.attributes}) for one in self._span.events]

    def write_back(self) -> bool:
        """Put the edits on the span, all or none; False when there are none. Raises for what no attribute can be."""
        changed = self.attributes != self._before or list(map(type, self.attributes.values())) != list(
            map(type, self._before.values())
        )
        if changed:
            pairs = [_pair(key, value) for key, value in self.attributes.items()]
        if self.name != self._span.name:
            self._span.name = self.name  # raises for anything but text
        elif not changed:
            return False
        if changed:
            del self._span.attributes[:]
            self._span.attributes.extend(pairs)
        return True


def resource_of(attributes: Any) -> Mapping[str, Any]:
    """A resource's attributes by name, for reading."""
    return MappingProxyType({one.key: plain(one.value) for one in attributes})


def _pair(key: str, value: Any) -> KeyValue:
    pair = KeyValue(key=key)
    put(pair.value, value)
    return pair
