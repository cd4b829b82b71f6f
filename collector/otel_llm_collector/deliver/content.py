"""Removing content: what people or models wrote, in attributes, span events and log bodies.

In Rust (`otel_llm_wire.Content`) where that is built, else in Python; what is not plain OTLP is left to Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_llm_semconv import attributes as attr
from otel_llm_semconv.catalog import ATTRIBUTES
from otel_llm_semconv.content_keys import content_keys

from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.otlp import SHAPES, walk

_KEYS = content_keys()
_CONTENT_BYTES = [key.encode() for key in (*sorted(_KEYS.exact), *_KEYS.prefixes)]
# Log events of conventions up to 1.36 carry messages in their body; their names start so.
_EVENT_PREFIX = attr.GEN_AI_SYSTEM.removesuffix("system")
# Events of spans carry them in attributes, under names that mean something else elsewhere. What else a message has:
_MESSAGE_EVENTS = (".message", ".choice")
_NO_CONTENT = ("role", "id", "index", "finish_reason", attr.GEN_AI_SYSTEM, attr.GEN_AI_PROVIDER_NAME)
_EVENT_NAME = "event.name"  # of records whose sender knows no field for it

ContentDropper = Callable[[Signal, bytes], bytes]


def dropper(wire: Any | None) -> ContentDropper:
    """`without_content`, in Rust where `wire`, the module, is there."""
    if wire is None:
        return without_content
    known = [name for name in ATTRIBUTES if name.startswith(_KEYS.prefixes)]
    content = wire.Content(
        sorted(_KEYS.exact), list(_KEYS.prefixes), known, _EVENT_PREFIX, _EVENT_NAME, list(_NO_CONTENT)
    )

    def drop(signal: Signal, payload: bytes) -> bytes:
        if signal is Signal.METRICS:
            return payload
        made: bytes | None = content.drop(payload, signal is Signal.LOGS)
        return without_content(signal, payload) if made is None else made

    return drop


def without_content(signal: Signal, payload: bytes) -> bytes:
    """`payload` without prompts, answers, documents, queries and tool arguments; the same bytes when it has none."""
    if signal is Signal.METRICS or not _may_have_content(signal, payload):
        return payload
    shape = SHAPES[signal]
    request = shape.request.FromString(payload)
    for _, _, item in walk(request, shape):
        _drop_content(item.attributes)
        if signal is Signal.TRACES:
            for event in item.events:
                _drop_content(event.attributes)
                if event.name.startswith(_EVENT_PREFIX) and event.name.endswith(_MESSAGE_EVENTS):
                    _keep(event.attributes, _NO_CONTENT)
            for link in item.links:
                _drop_content(link.attributes)
        elif item.event_name.startswith(_EVENT_PREFIX) or _legacy_event(item):
            item.ClearField("body")
    return request.SerializeToString()


def _may_have_content(signal: Signal, payload: bytes) -> bool:
    if signal is Signal.LOGS and _EVENT_PREFIX.encode() in payload:
        return True
    if any(ending.encode() in payload for ending in _MESSAGE_EVENTS):
        return True
    return any(key in payload for key in _CONTENT_BYTES)


def _legacy_event(record: Any) -> bool:
    return any(one.key == _EVENT_NAME and one.value.string_value.startswith(_EVENT_PREFIX) for one in record.attributes)


def _drop_content(attributes: Any) -> None:
    for index in range(len(attributes) - 1, -1, -1):
        if attributes[index].key in _KEYS:
            del attributes[index]


def _keep(attributes: Any, keys: tuple[str, ...]) -> None:
    kept = [one for one in attributes if one.key in keys]
    del attributes[:]
    attributes.extend(kept)
