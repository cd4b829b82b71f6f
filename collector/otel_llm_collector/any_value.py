"""OTLP's attribute values (`AnyValue`) as plain Python, as text, and back: the one place that reads them.

What becomes of bytes differs with who asks: JSON has no counterpart, and no message of a model is made of them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

MAX_DEPTH = 100  # of nested values: as many levels as Protobuf itself reads
_NESTED = frozenset({"array_value", "kvlist_value"})
_WRITTEN_OUT_BELOW = 1e21  # whole numbers from here on are written with an exponent
_FIELDS: tuple[tuple[type, str], ...] = (
    (bool, "bool_value"),  # before int, which it is too
    (str, "string_value"),
    (int, "int_value"),
    (float, "double_value"),
    (bytes, "bytes_value"),
)


def plain(value: AnyValue, of_bytes: Callable[[bytes], Any] = bytes, levels: int = MAX_DEPTH) -> Any:
    """`value` as None, bool, int, float, str, list or dict, and bytes as what `of_bytes` makes of them.

    What is nested more than `levels` deep becomes None.
    """
    kind = value.WhichOneof("value")
    if kind is None or levels < 0:
        return None
    if kind == "array_value":
        return [plain(one, of_bytes, levels - 1) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {one.key: plain(one.value, of_bytes, levels - 1) for one in value.kvlist_value.values}
    found = getattr(value, kind)
    return of_bytes(found) if kind == "bytes_value" else found


def no_bytes(_: bytes) -> None:
    """For `plain`: bytes are left out."""


def text(value: AnyValue) -> str:
    """`value` as OpenTelemetry writes it where only text goes: numbers as in JSON, bytes in base64, nested as JSON."""
    kind = value.WhichOneof("value")
    if kind in _NESTED:
        return json.dumps(plain(value, _base64), ensure_ascii=False, separators=(",", ":"))
    return _base64(value.bytes_value) if kind == "bytes_value" else scalar_text(value)


def scalar_text(value: AnyValue) -> str:
    """`text` of what is text, a number or a boolean; nothing of the rest."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "double_value":
        number = value.double_value
        return str(int(number)) if number.is_integer() and abs(number) < _WRITTEN_OUT_BELOW else str(number)
    return str(value.int_value) if kind == "int_value" else ""


def put(target: AnyValue, value: Any) -> None:
    """Write a Python value; None leaves `target` empty.

    Raises TypeError for what no attribute can be, ValueError for a whole number beyond 64 bits.
    """
    field = next((field for kind, field in _FIELDS if isinstance(value, kind)), None)
    if field is not None:
        setattr(target, field, value)
    elif isinstance(value, list | tuple):
        target.array_value.SetInParent()
        for one in value:
            put(target.array_value.values.add(), one)
    elif isinstance(value, Mapping):
        target.kvlist_value.SetInParent()
        for key, one in value.items():
            put(target.kvlist_value.values.add(key=key).value, one)
    elif value is not None:
        msg = f"an attribute cannot be of type {type(value).__name__}; use text, numbers, booleans, lists or mappings"
        raise TypeError(msg)


def _base64(given: bytes) -> str:
    return base64.b64encode(given).decode()
