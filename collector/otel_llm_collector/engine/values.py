"""Attribute values as the engine reads them, coerced to the type that the registry says."""

from __future__ import annotations

import math
import re
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otel_llm_collector import any_value
from otel_llm_collector.engine import json_text
from otel_llm_collector.limits import MAX_ATTRIBUTE_JSON_BYTES

_MAX_DEPTH = 32  # of nested values; deeper ones are cut there
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?")


class NotConvertibleError(Exception):
    """A value that cannot become what is wanted; `reason` is the name of the oddity."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def plain(value: AnyValue) -> Any:
    """`value` as None, bool, int, float, str, list or dict; bytes are nobody's message and become None."""
    return any_value.plain(value, any_value.no_bytes, _MAX_DEPTH)


def parse(text: str) -> Any:
    """The JSON in `text`. Raises `NotConvertibleError`."""
    if len(text) > MAX_ATTRIBUTE_JSON_BYTES:
        raise NotConvertibleError("json_too_large")
    try:
        return json_text.parse(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotConvertibleError("broken_json") from error


def looks_like_json(text: str) -> bool:
    """Whether `text` means to be a JSON object or list."""
    stripped = text.lstrip()
    return stripped[:1] in {"[", "{"}


def dump(value: Any) -> str:
    """`value` as compact JSON."""
    return json_text.dump(value)


def coerce(value: Any, kind: str) -> Any:
    """`value` as the registry's type `kind`. Raises `NotConvertibleError`."""
    if kind.endswith("[]"):
        many = value if isinstance(value, list) else [value]
        return [coerce(one, kind.removesuffix("[]")) for one in many if one is not None]
    result = _COERCE[kind](value)
    if result is None:
        raise NotConvertibleError("wrong_type")
    return result


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _string(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**63 else None
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value) else None
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None


def _double(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    if not isinstance(value, int | float) or abs(value) > 1e300:  # noqa: PLR2004 - an int beyond what a double holds
        return None
    return float(value) if math.isfinite(value) else None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _any(value: Any) -> Any:
    return dump(value) if isinstance(value, list | dict) else value


_COERCE = {"string": _string, "int": _integer, "double": _double, "boolean": _boolean, "any": _any}
