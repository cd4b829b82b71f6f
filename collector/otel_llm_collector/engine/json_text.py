"""JSON in attributes: read and written so that what comes out can always stand in a protobuf string."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

# JSON can name half of a surrogate pair, which is no character and no UTF-8. Browsers write it where text was cut.
_LONE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"


def parse(text: str, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """The value that `text` is, half characters replaced by U+FFFD. Raises `ValueError`, `RecursionError`."""
    value = json.loads(text, strict=False, parse_constant=parse_constant)
    return mended(value) if "\\ud" in text or "\\uD" in text else value


def mended(value: Any) -> Any:
    """`value` with half characters in its strings replaced."""
    if isinstance(value, str):
        return _LONE.sub(_REPLACEMENT, value)
    if isinstance(value, list):
        return [mended(one) for one in value]
    if isinstance(value, dict):
        return {mended(key): mended(one) for key, one in value.items()}
    return value


def dump(value: Any) -> str:
    """`value` as compact JSON in plain characters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
