"""Values of a run, whatever they are given as: flat names, plain numbers, JSON, a file's hash."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from otel_llm.guard import text_of, warn_once

MAX_PARAMETER_CHARACTERS = 2000  # truncate
MAX_TAGS = 100  # drop

_HASH_BLOCK = 1 << 20


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Names with dots for what is nested, and values that JSON has."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, (bool, int, float, str)):
            yield f"{prefix}{name}", value
        elif isinstance(value, (list, tuple, set, frozenset)):
            yield f"{prefix}{name}", [one if isinstance(one, (bool, int, float, str)) else str(one) for one in value]
        else:
            yield f"{prefix}{name}", str(value)[:MAX_PARAMETER_CHARACTERS]


def tags_of(tags: Any) -> list[str]:
    """Tags as texts; one text is one tag."""
    try:
        return [tags] if isinstance(tags, str) else [text_of(tag) for tag in islice(tags, MAX_TAGS)]
    except Exception as error:  # somebody's own iterable
        warn_once(f"experiment: tags cannot be read ({type(error).__name__}); use a list of texts")
        return []


def parameters_of(parameters: Any) -> dict[str, Any]:
    """Parameters as a dict of their own."""
    try:
        return {} if parameters is None else dict(parameters.items())
    except Exception as error:  # no mapping, or somebody's own
        warn_once(f"experiment: parameters cannot be read ({type(error).__name__}); use a dict")
        return {}


def number(name: str, value: Any) -> float | None:
    """A plain number; None, with a warning, for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        warn_once(
            f"experiment: metric {name!r} is no number (seen: {type(value).__name__}); it is left out", f"m {name}"
        )
        return None


def as_json(value: Any) -> str:
    """JSON of a value, infinities as text."""

    def plain(one: Any) -> Any:
        return repr(one) if isinstance(one, float) and not math.isfinite(one) else one

    shown = {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else plain(value)
    return json.dumps(shown, ensure_ascii=False, default=repr)


def sha256_of(path: Path) -> str:
    """A file's hash, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()
