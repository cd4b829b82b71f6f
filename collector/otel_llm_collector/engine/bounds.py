"""Bounding content: a prompt of ten megabytes becomes one of the configured size that still can be read.

A list of messages stays a list of messages: blobs become a description, then messages go from the middle (the first
and the last say most), then the longest texts lose their middle. Other JSON loses the middle of its longest strings,
plain text its own. What was cut is recorded beside it: the original size and its SHA-256, so that a copy kept elsewhere
can be found.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from otel_llm_collector.engine import json_text

# A blob inside a text: a data URL, as browsers and OpenAI's image parts write them.
_DATA_URL = re.compile(
    r"data:([a-z]+/[a-z0-9.+-]+)?(?:;[a-z0-9=-]+)*;base64,([A-Za-z0-9+/=_-]{64,})", re.IGNORECASE | re.ASCII
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{64,}={0,2}")
_MIN_TEXT_BYTES = 64  # a text is not shortened below this
_MAX_ROUNDS = 4  # escapes are not evenly spread, so the first cut may be a little too long


@dataclass(frozen=True, slots=True)
class Bounded:
    """A text within its bound; `sha256` and `size` are the original's, and empty when nothing was cut."""

    text: str
    size: int = 0
    sha256: str = ""


class Bounder:
    """Bounds one field: at most `max_bytes` of UTF-8 (0: no bound); `blobs` says whether base64 is replaced."""

    def __init__(self, max_bytes: int, *, blobs: bool) -> None:
        self._max = max_bytes
        self._blobs = blobs

    def bound(self, text: str) -> Bounded:
        """`text` within the bound."""
        size = len(text.encode())
        if (not self._max or size <= self._max) and not ((self._blobs and "base64" in text) or '"blob"' in text):
            return Bounded(text)
        try:
            cut = self._cut(text)
        except RecursionError:  # nested deeper than it can be written again
            cut = _middle_out(text, self._max) if self._max else text
        if cut == text:
            return Bounded(text)
        return Bounded(cut, size, hashlib.sha256(text.encode()).hexdigest())

    def _cut(self, text: str) -> str:
        value = _parsed(text)
        if value is None:
            without = _DATA_URL.sub(_describe_url, text) if self._blobs else text
            return _middle_out(without, self._max) if self._max else without
        changed = self._blobs and _replace_blobs(value)
        written = json_text.dump(value) if changed else text
        if not self._max or len(written.encode()) <= self._max:
            return written
        fewer = _fewer(value, self._max) if isinstance(value, list) else value
        return _shorter(fewer, self._max) or _nothing_left(value, self._max)


def _parsed(text: str) -> Any:
    """The JSON list or object that `text` is, or None."""
    if text[:1] not in ("[", "{"):
        return None
    try:
        return json_text.parse(text)
    except (ValueError, RecursionError):
        return None


def _replace_blobs(value: Any) -> bool:
    """Replace base64 in `value` in place: the content of blob parts, and data URLs in any string."""
    changed = False
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict) and node.get("type") == "blob" and _is_base64(node.get("content")):
            node["content"] = _describe(node["content"], str(node.get("mime_type") or node.get("modality") or ""))
            changed = True
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in list(items):
            if isinstance(child, str) and "base64," in child:
                node[key] = _DATA_URL.sub(_describe_url, child)
                changed |= node[key] != child
            elif isinstance(child, (dict, list)):
                stack.append(child)
    return changed


def _is_base64(content: Any) -> bool:
    return isinstance(content, str) and _BASE64.fullmatch(content) is not None


def _describe_url(match: re.Match[str]) -> str:
    return _describe(match.group(2), match.group(1) or "")


def _describe(content: str, kind: str) -> str:
    """What stands for a blob: its type, the size it has decoded, the hash of its base64."""
    size = len(content.rstrip("=")) * 3 // 4
    return f"[blob {kind or 'of unknown type'}, {size} bytes, sha256 {hashlib.sha256(content.encode()).hexdigest()}]"


def _fewer(items: list[Any], max_bytes: int) -> list[Any]:
    """`items` without as many from the middle as it takes to fit, and a marker in their place; two stay at least.

    From the outside in, the end before the beginning: the newest messages, then the oldest, for as long as they fit.
    """
    if len(items) <= 2:  # noqa: PLR2004 - both stay
        return items
    sizes = [len(json_text.dump(item).encode()) + 1 for item in items]
    room = max_bytes - 1 - len(json_text.dump(_marker(len(items), items)).encode()) - 1 - sizes[0] - sizes[-1]
    head = tail = 1
    at_end = True
    while head + tail < len(items):
        size = sizes[-1 - tail] if at_end else sizes[head]
        if size > room:
            break
        room -= size
        head, tail = (head, tail + 1) if at_end else (head + 1, tail)
        at_end = not at_end
    if head + tail >= len(items):
        return items
    return [*items[:head], _marker(len(items) - head - tail, items), *items[-tail:]]


def _marker(count: int, items: list[Any]) -> Any:
    """What stands for `count` of `items` that were left out, in their shape."""
    text = f"[{count} left out]"
    if any(isinstance(item, dict) and "parts" in item for item in items):
        return {"role": "system", "parts": [{"type": "text", "content": text}]}
    return {"left_out": count} if any(isinstance(item, dict) for item in items) else text


def _shorter(value: Any, max_bytes: int) -> str:
    """`value` as JSON with its longest strings shortened to one length at which it fits; "" where none does."""
    written = json_text.dump(value)
    for _ in range(_MAX_ROUNDS):
        if len(written.encode()) <= max_bytes:
            return written
        strings = [(parent, key, len(json_text.dump(parent[key]).encode())) for parent, key in _strings(value)]
        longest = _level([size for _, _, size in strings], max_bytes - len(written.encode()))
        if longest < _MIN_TEXT_BYTES:
            break
        for parent, key, size in strings:
            if size > longest:  # escapes make it longer when written, so it is measured there and cut here
                raw = len(parent[key].encode())
                parent[key] = _middle_out(parent[key], raw * longest // size - 2)
        written = json_text.dump(value)
    return ""


def _level(sizes: list[int], change: int) -> int:
    """The largest size to which the larger of `sizes` are cut so that the sum falls by `-change`."""
    ordered = sorted(sizes, reverse=True)
    total = 0
    for count, size in enumerate(ordered, 1):
        total += size
        below = ordered[count] if count < len(ordered) else 0
        if total - count * below >= -change:
            return (total + change) // count
    return 0


def _nothing_left(value: Any, max_bytes: int) -> str:
    """What stands for a value whose structure alone is too large."""
    marker = json_text.dump([_marker(len(value), value)] if isinstance(value, list) else {"left_out": len(value)})
    return marker if len(marker.encode()) <= max_bytes else "[]" if isinstance(value, list) else "{}"


def _strings(value: Any) -> list[tuple[Any, Any]]:
    """Where strings stand in `value`: (list or dict, index or key)."""
    found = []
    stack = [value]
    while stack:
        node = stack.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in items:
            if isinstance(child, str):
                found.append((node, key))
            elif isinstance(child, (dict, list)):
                stack.append(child)
    return found


def _middle_out(text: str, max_bytes: int) -> str:
    """`text` without its middle, which a marker stands for; cut between characters."""
    data = text.encode()
    if len(data) <= max_bytes:
        return text
    marker = f"…[{len(data)} bytes in all]…"
    room = max_bytes - len(marker.encode())
    if room <= 0:
        return data[:max_bytes].decode(errors="ignore")
    head = data[: room - room // 3].decode(errors="ignore")
    tail = data[len(data) - room // 3 :].decode(errors="ignore") if room >= 3 else ""  # noqa: PLR2004
    return head + marker + tail
