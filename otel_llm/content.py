"""Whether prompts, answers, documents and queries are recorded. Off unless asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MAX_VALUE_BYTES = 256 * 1024  # truncate: a longer text is cut and marked

_ON = frozenset({"true", "1", "full", "span_only", "span_and_event"})

_captured = False


def configure(mode: str | None, environment: Mapping[str, str]) -> None:
    """Set the mode: `off`, `full`, or None for what the standard variable says."""
    global _captured  # noqa: PLW0603 - one setting per process
    _captured = mode == "full" if mode else environment.get(VARIABLE, "").lower() in _ON


def captured() -> bool:
    """Whether content is recorded."""
    return _captured


def as_json(value: Any) -> str:
    """`value` as JSON for a span attribute; what JSON cannot hold becomes its `repr`. Never raises."""
    try:
        text = json.dumps(value, default=repr, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(repr(value))
    return text


def cut(text: str) -> str:
    """`text` bounded to `MAX_VALUE_BYTES`, on a character boundary and with a mark."""
    encoded = text.encode("utf-8", errors="replace")
    if len(encoded) <= MAX_VALUE_BYTES:
        return text
    return encoded[:MAX_VALUE_BYTES].decode("utf-8", errors="ignore") + "…[truncated]"
