"""OpenTelemetry names as Prometheus names, by OpenTelemetry's compatibility rules.

What is no letter, digit, underscore or colon becomes one underscore; the unit becomes a suffix (`s` -> `_seconds`,
`By/s` -> `_bytes_per_second`) unless it stands in braces or in the name already; a gauge of unit `1` ends in `_ratio`;
counters end in `_total`, which `series_name` adds and `metric_name` leaves to the exposition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

# UCUM unit -> the word Prometheus names end in
_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
    "1": "",
}
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")


@lru_cache(maxsize=4096)
def metric_name(name: str, unit: str) -> str:
    """The Prometheus name of a metric, without `_total`."""
    return _joined([*_words(name), *_unit_words(name, unit)])


@lru_cache(maxsize=4096)
def series_name(name: str, unit: str, kind: str) -> str:
    """The Prometheus name of a `counter`, `gauge`, `histogram` or `summary` as a server stores it."""
    words = [*_words(name), *_unit_words(name, unit)]
    if kind == "counter":
        words = [*(word for word in words if word != "total"), "total"]
    elif kind == "gauge" and unit == "1":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    return _joined(words)


def _words(name: str) -> list[str]:
    return [word for word in _NOT_IN_NAMES.split(name) if word]


def _unit_words(name: str, unit: str) -> list[str]:
    """The words of a unit that the name does not say already."""
    above, _, below = unit.strip().partition("/")
    said = _words(name)
    words = []
    if above and "{" not in above:
        words += [word for word in _words(_UNITS.get(above, above)) if word not in said]
    if below and "{" not in below:
        word = _PER.get(below, below)
        words += ["per", *_words(word)] if word not in said else []
    return words


def _joined(words: Iterable[str]) -> str:
    joined = "_".join(words)
    return f"_{joined}" if joined[:1].isdigit() else joined


@lru_cache(maxsize=4096)
def label_name(key: str) -> str:
    """The Prometheus label of an attribute."""
    name = _NOT_IN_LABELS.sub("_", key)
    return f"key_{name}" if name[:1].isdigit() else name
