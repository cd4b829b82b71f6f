"""Redacting and bounding what people or models wrote, wherever a span or a log record carries it."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.content_keys import content_keys

from otel_llm_collector.any_value import no_bytes, plain
from otel_llm_collector.engine import json_text
from otel_llm_collector.engine.bounds import Bounder
from otel_llm_collector.engine.redact import Redactor
from otel_llm_collector.engine.settings import ProcessorsConfig

logger = logging.getLogger(__name__)

# Text for people that quotes what was sent, beside content: where exceptions and failed calls say why.
QUOTES = frozenset({attr.EXCEPTION_MESSAGE, attr.EXCEPTION_STACKTRACE})
_MAX_DEPTH = 64


class ContentRules:
    """What the configuration asks for, applied to one item at a time."""

    def __init__(self, config: ProcessorsConfig) -> None:
        self._keys = content_keys()
        rules = config.redaction
        self._redactor = Redactor(rules.rows(), rules.action, rules.key()) if rules else None
        bounds = config.content
        bounded = bool(bounds.max_field_bytes) or bounds.blobs == "replace"
        self._bounder = Bounder(bounds.max_field_bytes, blobs=bounds.blobs == "replace") if bounded else None
        self._max = bounds.max_field_bytes

    def span(self, span: Span, found: dict[str, int]) -> bool:
        """Apply the rules to `span`; finds are counted in `found` by detector. True when something changed.

        Where that fails the span goes on without its content: what was not looked at must not be kept.
        """
        try:
            return self._span(span, found)
        except Exception:
            logger.exception("content of a span could not be redacted; it is dropped")
            found["failed"] = found.get("failed", 0) + 1
            self._drop(span.attributes)
            for event in span.events:
                self._drop(event.attributes)
            for link in span.links:
                self._drop(link.attributes)
            return True

    def log(self, record: LogRecord, found: dict[str, int]) -> bool:
        """Apply the rules to a log record: its body whatever it is, and its content attributes. Fails as `span`."""
        try:
            return self._log(record, found)
        except Exception:
            logger.exception("content of a log record could not be redacted; it is dropped")
            found["failed"] = found.get("failed", 0) + 1
            self._drop(record.attributes)
            record.ClearField("body")
            return True

    def _drop(self, attributes: Any) -> None:
        for index in range(len(attributes) - 1, -1, -1):
            if attributes[index].key in self._keys or attributes[index].key in QUOTES:
                del attributes[index]

    def _span(self, span: Span, found: dict[str, int]) -> bool:
        changed = self._attributes(span.attributes, span.attributes, found)
        for event in span.events:
            changed |= self._attributes(event.attributes, event.attributes, found)
        for link in span.links:
            changed |= self._attributes(link.attributes, link.attributes, found)
        if self._redactor is not None and span.status.message:
            redacted = self._redactor.redact(span.status.message, found)
            if redacted != span.status.message:
                span.status.message = redacted
                changed = True
        return changed

    def _log(self, record: LogRecord, found: dict[str, int]) -> bool:
        changed = self._attributes(record.attributes, record.attributes, found)
        if record.HasField("body"):
            changed |= self._redact(record.body, found, 0)
            changed |= self._bound("body", record.body, record.attributes)
        return changed

    def _attributes(self, attributes: Any, marks: Any, found: dict[str, int]) -> bool:
        changed = False
        for one in list(attributes):
            if one.key in self._keys:
                changed |= self._redact(one.value, found, 0)
                changed |= self._bound(one.key, one.value, marks)
            elif one.key in QUOTES:
                changed |= self._redact(one.value, found, 0)
        return changed

    def _redact(self, value: AnyValue, found: dict[str, int], depth: int) -> bool:
        if self._redactor is None or depth > _MAX_DEPTH:
            return False
        kind = value.WhichOneof("value")
        if kind == "string_value":
            redacted = self._redactor.redact(value.string_value, found)
            changed = redacted != value.string_value
            if changed:
                value.string_value = redacted
            return changed
        if kind in ("array_value", "kvlist_value"):
            inner = [pair.value for pair in value.kvlist_value.values] or value.array_value.values
            changed = False
            for one in inner:
                changed |= self._redact(one, found, depth + 1)
            return changed
        if kind == "bytes_value":
            return self._redact_bytes(value, found)
        return kind == "int_value" and self._redact_number(value, found)  # a card number given as a number

    def _redact_bytes(self, value: AnyValue, found: dict[str, int]) -> bool:
        """Text given as bytes; what is no text says nothing to a detector."""
        text = value.bytes_value.decode(errors="ignore")
        redacted = self._redactor.redact(text, found) if self._redactor else text
        if redacted == text:
            return False
        value.bytes_value = redacted.encode()
        return True

    def _redact_number(self, value: AnyValue, found: dict[str, int]) -> bool:
        text = str(value.int_value)
        redacted = self._redactor.redact(text, found) if self._redactor else text
        if redacted == text:
            return False
        value.string_value = redacted
        return True

    def _bound(self, key: str, value: AnyValue, marks: Any) -> bool:
        if self._bounder is None:
            return False
        kind = value.WhichOneof("value")
        if kind == "string_value":
            text = value.string_value
        elif kind in ("array_value", "kvlist_value") and 0 < self._max < value.ByteSize():
            text = json_text.dump(plain(value, no_bytes, _MAX_DEPTH))
        else:
            return False
        bounded = self._bounder.bound(text)
        if not bounded.sha256:
            return False
        value.string_value = bounded.text
        mark = next((one for one in marks if one.key == attr.OTEL_LLM_CONTENT_TRUNCATED), None)
        if mark is None:
            mark = marks.add(key=attr.OTEL_LLM_CONTENT_TRUNCATED)
        mark.value.array_value.values.add(string_value=f"{key} {bounded.size} {bounded.sha256}")
        return True
