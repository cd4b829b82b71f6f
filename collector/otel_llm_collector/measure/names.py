"""OpenTelemetry names as Prometheus names, by OpenTelemetry's compatibility rules.

Dots become underscores; the unit becomes a suffix (`s` -> `_seconds`) unless it stands in braces; counters end in
`_total`, which the exposition adds.
"""

from __future__ import annotations

import re

# UCUM unit -> the word Prometheus names end in
_UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "By": "bytes",
    "J": "joules",
    "W": "watts",
    "Cel": "celsius",
    "1": "ratio",
}
_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_]")


def metric_name(name: str, unit: str) -> str:
    """The Prometheus name of a metric, without `_total`."""
    base = _NOT_ALLOWED.sub("_", name)
    suffix = _UNITS.get(unit, "")
    return f"{base}_{suffix}" if suffix and not base.endswith(f"_{suffix}") else base


def label_name(key: str) -> str:
    """The Prometheus label of an attribute."""
    return _NOT_ALLOWED.sub("_", key)
