"""Whether and how prompts, answers, documents and queries are recorded. Off unless asked for.

`off` records nothing of them, `metadata` how large they were, `full` the texts. Values are bounded in bytes, and JSON
is still JSON after it was shortened. A helper's `content=` argument overrides the mode for one step.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from opentelemetry.trace import Span
from otel_llm_semconv import attributes as attr

logger = logging.getLogger(__name__)

VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
MAX_VALUE_BYTES = 256 * 1024  # truncate: a longer text is cut and marked
MARK = "…[truncated]"

Mode: TypeAlias = Literal["off", "metadata", "full"]
MODES: tuple[Mode, ...] = get_args(Mode)

# What the variable may say: the values of OpenTelemetry's own instrumentations, those of others, and ours. Content on
# events only is not content on spans.
_SAID: dict[str, Mode] = {
    "": "off",
    "no_content": "off",
    "false": "off",
    "0": "off",
    "off": "off",
    "event_only": "off",
    "metadata": "metadata",
    "span_only": "full",
    "span_and_event": "full",
    "true": "full",
    "1": "full",
    "full": "full",
}

# What `metadata` records instead of the content.
_SIZES = {
    attr.GEN_AI_INPUT_MESSAGES: attr.OTEL_LLM_CONTENT_INPUT_BYTES,
    attr.GEN_AI_OUTPUT_MESSAGES: attr.OTEL_LLM_CONTENT_OUTPUT_BYTES,
    attr.GEN_AI_RETRIEVAL_QUERY_TEXT: attr.OTEL_LLM_CONTENT_QUERY_BYTES,
    attr.GEN_AI_RETRIEVAL_DOCUMENTS: attr.OTEL_LLM_CONTENT_DOCUMENTS_BYTES,
    attr.GEN_AI_TOOL_CALL_ARGUMENTS: attr.OTEL_LLM_CONTENT_INPUT_BYTES,
    attr.GEN_AI_TOOL_CALL_RESULT: attr.OTEL_LLM_CONTENT_OUTPUT_BYTES,
    attr.OTEL_LLM_QUERY_EXPANSION_QUERIES: attr.OTEL_LLM_CONTENT_OUTPUT_BYTES,
}

_SMALLEST_STRING = 32  # a JSON value is first shortened string by string, down to this

_mode: Mode = "off"
_max_bytes = MAX_VALUE_BYTES


def configure(mode: Mode | None, environment: Mapping[str, str], max_bytes: int = MAX_VALUE_BYTES) -> None:
    """Set the mode, or with None what the standard variable says; and the bound of one value."""
    global _mode, _max_bytes  # noqa: PLW0603 - one setting per process
    _mode = mode or from_environment(environment)
    _max_bytes = max_bytes


def override(mode: Mode) -> Mode:
    """Set the mode for tests; returns the one before."""
    global _mode
    before, _mode = _mode, mode
    return before


def from_environment(environment: Mapping[str, str]) -> Mode:
    """What the standard variable says; a value that nobody knows is `off`, and said once."""
    said = environment.get(VARIABLE, "").strip().lower()
    if said not in _SAID:
        logger.warning("otel_llm: %s is %r; use one of %s; content stays off", VARIABLE, said, ", ".join(_SAID)[2:])
    return _SAID.get(said, "off")


def is_official(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own instrumentations understand what the variable says."""
    said = environment.get(VARIABLE, "").strip().lower()
    return said in {"", "no_content", "span_only", "event_only", "span_and_event"}


def mode() -> Mode:
    """The mode of steps that do not say their own."""
    return _mode


def captured() -> bool:
    """Whether texts are recorded."""
    return _mode == "full"


def record(span: Span, key: str, value: Any, mode: Mode) -> None:
    """Put content on a span as `mode` has it: a text as it is, a list of texts too, everything else as JSON."""
    if mode == "off":
        return
    if mode == "metadata":
        text = value if isinstance(value, str) else as_json(value, None)
        span.set_attribute(_SIZES[key], len(text.encode("utf-8", errors="replace")))
    elif isinstance(value, str):
        span.set_attribute(key, cut(value))
    elif key == attr.OTEL_LLM_QUERY_EXPANSION_QUERIES:
        span.set_attribute(key, [cut(one) for one in value])
    else:
        span.set_attribute(key, as_json(value))


def as_json(value: Any, max_bytes: int | None = 0) -> str:
    """`value` as JSON of at most `max_bytes` (0: the configured bound; None: no bound). Never raises.

    What JSON cannot hold becomes its `repr`; NaN and infinities become strings. A value that is too large keeps its
    shape: its longest strings are cut and marked first, then items of its outermost list are left out.
    """
    bound = _max_bytes if max_bytes == 0 else max_bytes
    try:
        text = json.dumps(value, default=repr, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        value = _plain(value)
        text = json.dumps(value, ensure_ascii=False)
    size = len(text.encode("utf-8", errors="replace"))
    if bound is not None and size > bound:
        text = _shortened(json.loads(text), bound, size)
    return _encodable(text)


def cut(text: str, max_bytes: int = 0) -> str:
    """`text` bounded in bytes (0: the configured bound), on a character boundary and with a mark."""
    bound = max_bytes or _max_bytes
    if len(text) * 4 <= bound:
        return _encodable(text)
    encoded = text.encode("utf-8", errors="replace")
    if len(encoded) <= bound:
        return _encodable(text)
    return encoded[:bound].decode("utf-8", errors="ignore") + MARK


def _encodable(text: str) -> str:
    """`text` without lone surrogates: one of them in a span would keep its whole batch from being sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="replace").decode()
    return text


def _shortened(value: Any, bound: int, size: int) -> str:
    """JSON of `value` that fits: strings cut ever shorter, then items left out, then nothing but the size."""
    longest = max(bound // 2, _SMALLEST_STRING)
    while longest >= _SMALLEST_STRING:
        text = json.dumps(_cut_strings(value, longest), ensure_ascii=False)
        if len(text.encode("utf-8", errors="replace")) <= bound:
            return text
        longest //= 2
    value = _cut_strings(value, _SMALLEST_STRING)
    while isinstance(value, list) and len(value) > 1:  # the newest message and the last document say most
        value = value[(len(value) + 1) // 2 :]
        text = json.dumps(value, ensure_ascii=False)
        if len(text.encode("utf-8", errors="replace")) <= bound:
            return text
    return json.dumps([{"truncated": True, "bytes": size}])


def _cut_strings(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return cut(value, longest) if len(value) > longest // 4 else value
    if isinstance(value, list):
        return [_cut_strings(one, longest) for one in value]
    if isinstance(value, dict):
        return {key: _cut_strings(one, longest) for key, one in value.items()}
    return value


_MAX_DEPTH = 40


def _plain(value: Any, depth: int = 0) -> Any:
    """`value` in what JSON has; used only where the fast way failed."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {str(key): _plain(one, depth + 1) for key, one in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, (list, tuple)):
        return [_plain(one, depth + 1) for one in value]
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__} in its repr>"
