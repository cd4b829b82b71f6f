"""Checks recorded spans against the registry, as `weaver registry live-check` does for those who have Weaver.

A span is given as OTLP's JSON has it (`{"name": …, "kind": …, "attributes": [{"key": …, "value": {…}}]}`). Only names
of ours and of GenAI are judged; what a program adds under other names is its own business. Levels are Weaver's: a
`violation` is wrong, an `improvement` is due, an `information` may be on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from otel_llm_semconv import attributes
from otel_llm_semconv.catalog import ATTRIBUTES, EVENTS, SPANS, KnownSpan

_JUDGED = ("gen_ai.", "otel_llm.")
_KINDS = {0: "unspecified", 1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}
# Kinds that a span of one type may have beside its own: in-process models, remote agents.
_ALSO = {"client": {"internal"}, "internal": {"client"}}
_VALUE_TYPES = {
    "stringValue": "string",
    "intValue": "int",
    "doubleValue": "double",
    "boolValue": "boolean",
    "bytesValue": "bytes",
    "kvlistValue": "map",
    "arrayValue": "array",
}
_MESSAGES = frozenset({attributes.GEN_AI_INPUT_MESSAGES, attributes.GEN_AI_OUTPUT_MESSAGES})
_PART_FIELDS = {
    "text": "content",
    "reasoning": "content",
    "tool_call": "name",
    "tool_call_response": "response",
    "blob": "content",
    "file": "file_id",
    "uri": "uri",
}
# Each subset of tokens with its whole.
_SUBSETS = {
    attributes.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: attributes.GEN_AI_USAGE_INPUT_TOKENS,
    attributes.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: attributes.GEN_AI_USAGE_INPUT_TOKENS,
    attributes.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: attributes.GEN_AI_USAGE_OUTPUT_TOKENS,
}


class Finding(NamedTuple):
    """One thing about one span."""

    id: str
    level: str  # violation, improvement or information
    message: str


def check_span(span: Mapping[str, Any]) -> list[Finding]:
    """What of `span` does not fit the registry; nothing for a span that is not GenAI and carries none of its names."""
    values = _values(span)
    findings = [finding for key, value in values.items() for finding in _attribute(key, value)]
    plain = {key: _plain(value) for key, value in values.items()}
    for name in (attributes.OTEL_LLM_OPERATION_NAME, attributes.GEN_AI_OPERATION_NAME):
        known = SPANS.get(str(plain.get(name)))
        if known is not None:
            findings += _span(known, span, plain)
            break
    findings += _tokens(plain)
    events = span.get("events")
    for event in events if isinstance(events, list) else []:
        if isinstance(event, dict):
            findings += check_event(event)
    return findings


def check_event(event: Mapping[str, Any]) -> list[Finding]:
    """What of an event of a span, or of a log record (its name under `eventName` or `name`), does not fit."""
    name = str(event.get("eventName") or event.get("name") or "")
    values = _values(event)
    findings = [finding for key, value in values.items() for finding in _attribute(key, value)]
    for key, level in EVENTS.get(name, {}).items():
        if level == "required" and key not in values:
            findings.append(Finding("missing_attribute", "violation", f"event {name}: {key} is required; set it"))
    return findings


def _values(item: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    pairs = item.get("attributes")
    found: dict[str, Mapping[str, Any]] = {}
    for pair in pairs if isinstance(pairs, list) else []:
        value = pair.get("value") if isinstance(pair, dict) else None
        if isinstance(value, dict):
            found[str(pair.get("key", ""))] = value
    return found


def _attribute(key: str, value: Mapping[str, Any]) -> Iterator[Finding]:
    known = ATTRIBUTES.get(key)
    if known is None:
        if key.startswith(_JUDGED):
            yield Finding("unknown_attribute", "violation", f"{key}: is no attribute of the registry; use one that is")
        return
    if known.deprecated:
        instead = f"use {known.renamed_to}" if known.renamed_to else "leave it out"
        yield Finding("deprecated_attribute", "improvement", f"{key}: is deprecated; {instead}")
    seen = _type(value)
    if known.type != "any" and not known.type.startswith("template") and seen != known.type:
        if (seen, known.type) != ("int", "double") and seen != "empty[]":
            yield Finding("wrong_type", "violation", f"{key}: is {seen} ({_shown(value)}); write {known.type}")
    elif known.members and _plain(value) not in known.members:
        values = ", ".join(known.members[:5]) + (", …" if len(known.members) > 5 else "")  # noqa: PLR2004
        yield Finding("unknown_value", "information", f"{key}: {_shown(value)} is no known value; known are {values}")
    if key in _MESSAGES:
        yield from _messages(key, _plain(value))


def _span(known: KnownSpan, span: Mapping[str, Any], plain: Mapping[str, Any]) -> Iterator[Finding]:
    for key, level in known.attributes.items():
        if level == "required" and key not in plain:
            yield Finding("missing_attribute", "violation", f"{key}: is required on {known.type}; set it")
    kind = span.get("kind", 0)
    seen = _KINDS.get(kind, str(kind)) if isinstance(kind, int) else str(kind).removeprefix("SPAN_KIND_").lower()
    if seen != known.kind and seen not in _ALSO.get(known.kind, set()):
        yield Finding("span_kind", "improvement", f"kind is {seen}; a span of type {known.type} is {known.kind}")
    operation = str(plain.get(attributes.GEN_AI_OPERATION_NAME) or plain.get(attributes.OTEL_LLM_OPERATION_NAME))
    if not str(span.get("name", "")).startswith(operation):
        yield Finding("span_name", "improvement", f"name is {span.get('name')!r}; begin it with {operation!r}")
    if plain.get(attributes.GEN_AI_CONVERSATION_ID) and span.get("traceId") == plain[attributes.GEN_AI_CONVERSATION_ID]:
        message = f"{attributes.GEN_AI_CONVERSATION_ID}: is the trace id; leave it out where no conversation is known"
        yield Finding("invented_conversation", "improvement", message)


def _tokens(plain: Mapping[str, Any]) -> Iterator[Finding]:
    for part, whole in _SUBSETS.items():
        few, many = plain.get(whole), plain.get(part)
        if isinstance(few, int) and isinstance(many, int) and many > few:
            message = f"{part}: is {many}, more than {whole} ({few}); a part is counted in its whole"
            yield Finding("part_over_whole", "violation", message)


def _messages(key: str, value: object) -> Iterator[Finding]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            yield Finding("broken_messages", "violation", f"{key}: is text that is no JSON; write a list of messages")
            return
    if not isinstance(value, list):
        yield Finding("broken_messages", "violation", f"{key}: is {type(value).__name__}; write a list of messages")
        return
    for index, message in enumerate(value):
        where = f"{key}[{index}]"
        if not isinstance(message, dict) or "role" not in message or not isinstance(message.get("parts"), list):
            yield Finding("broken_messages", "violation", f"{where}: has no role and parts; write both")
            continue
        for number, part in enumerate(message["parts"]):
            field = _PART_FIELDS.get(part.get("type", "")) if isinstance(part, dict) else "type"
            if not isinstance(part, dict) or "type" not in part or (field and field not in part):
                message_ = f"{where}.parts[{number}]: has no {field or 'type'}; add it"
                yield Finding("broken_messages", "violation", message_)


def _type(value: Mapping[str, Any]) -> str:
    field = next(iter(value), "")
    if field != "arrayValue":
        return _VALUE_TYPES.get(field, "empty")
    kinds = {_type(item) for item in _members(value[field])}
    return f"{kinds.pop()}[]" if len(kinds) == 1 else "empty[]" if not kinds else "mixed[]"


def _plain(value: Mapping[str, Any]) -> Any:
    field = next(iter(value), "")
    if field == "intValue":
        text = str(value[field])
        return int(text) if text.removeprefix("-").isdecimal() else text
    if field == "arrayValue":
        return [_plain(item) for item in _members(value[field])]
    if field == "kvlistValue":
        return {str(pair.get("key")): _plain(pair.get("value") or {}) for pair in _members(value[field])}
    return value.get(field)


def _members(collection: object) -> list[Mapping[str, Any]]:
    values = collection.get("values") if isinstance(collection, dict) else None
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _shown(value: Mapping[str, Any]) -> str:
    text = repr(_plain(value))
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004
