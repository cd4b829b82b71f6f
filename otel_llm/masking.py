"""The masking hook: what a program must not let out is taken from spans just before they are sent.

It sees every span of the program, other instrumentations' too: content attributes of the span and its events, texts and
stacks of exceptions, the text of the status. JSON is masked text by text and stays JSON. It runs in the exporting
thread, so a slow mask delays the sending and nothing else. A mask that fails lets nothing of that value out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status
from otel_llm_semconv.attributes import CONTENT, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE

from otel_llm.guard import warn_once
from otel_llm.settings import Mask

WITHHELD = "[withheld: the mask failed]"
STATUS = "status"  # the key that the mask gets for the text of a status

_EXCEPTION = frozenset({EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE})


def masked(span: ReadableSpan, mask: Mask) -> ReadableSpan:
    """The span as it may leave; the same object when there was nothing to look at."""
    attributes = span.attributes or {}
    sensitive = not CONTENT.isdisjoint(attributes)
    failed = bool(span.status.description)
    if not sensitive and not failed and not span.events:
        return span
    status = span.status
    if failed:
        status = Status(status.status_code, _one(mask, str(status.description), STATUS))
    return rebuilt(span, _all(attributes, mask), [_event(event, mask) for event in span.events], status)


def rebuilt(
    span: ReadableSpan, attributes: Mapping[str, Any], events: list[Any], status: Status | None = None
) -> ReadableSpan:
    """A copy of an ended span with other attributes and events."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=events,
        links=span.links,
        kind=span.kind,
        status=status or span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _event(event: Any, mask: Mask) -> Any:
    attributes = event.attributes or {}
    if CONTENT.isdisjoint(attributes) and _EXCEPTION.isdisjoint(attributes):
        return event
    return Event(event.name, _all(attributes, mask), event.timestamp)


def _all(attributes: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    return {
        key: _value(value, key, mask) if key in CONTENT or key in _EXCEPTION else value
        for key, value in attributes.items()
    }


def _value(value: Any, key: str, mask: Mask) -> Any:
    if isinstance(value, (tuple, list)):
        return [_value(one, key, mask) for one in value]
    if isinstance(value, Mapping):
        return {name: _value(one, key, mask) for name, one in value.items()}
    if not isinstance(value, str):
        return value
    if value[:1] in {"[", "{"}:
        try:
            return json.dumps(_value(json.loads(value), key, mask), ensure_ascii=False)
        except (ValueError, RecursionError):
            pass  # a text that only begins like JSON
    return _one(mask, value, key)


def _one(mask: Mask, text: str, key: str) -> str:
    try:
        answer: Any = mask(text, key)
    except Exception as error:  # the program's own function
        warn_once(f"the mask failed on {key}: {type(error).__name__}; such values are withheld")
        return WITHHELD
    if isinstance(answer, str):
        return answer
    warn_once(f"the mask returned {type(answer).__name__} for {key}; use a text; such values are withheld")
    return WITHHELD
