"""Prometheus' way of writing a stretch of time: `1h30m`, `5m`, `500ms`, `0`."""

from __future__ import annotations

import re

_UNITS_MS = {
    "y": 365 * 86_400_000,
    "w": 7 * 86_400_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1000,
    "ms": 1,
}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in _UNITS_MS))


def parse_duration(text: str) -> float:
    """Seconds; raises `ValueError`, whose sentence says what would be right."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if match is None or not text:
        msg = f"{text!r} is no duration; write for example 30s, 5m or 1h30m"
        raise ValueError(msg)
    return sum(int(count) * _UNITS_MS[unit] for unit, count in match.groupdict().items() if count) / 1000


def format_duration(seconds: float) -> str:
    """The shortest way to write it, as Prometheus does: `1h30m`; `0s` for nothing."""
    rest = round(seconds * 1000)
    if not rest:
        return "0s"
    written = []
    for unit, size in _UNITS_MS.items():
        # Years, weeks and days only where they come out even, so that nothing turns out as 4w2d.
        if unit in ("y", "w", "d") and rest % size:
            continue
        count, rest = divmod(rest, size)
        if count:
            written.append(f"{count}{unit}")
    return "".join(written)
