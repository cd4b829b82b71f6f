"""OTLP requests as OTLP JSON: ids in hexadecimal, enums as numbers, 64-bit integers as text."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def to_json(request: Message) -> str:
    """`request` as one line of OTLP JSON."""
    document = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(_with_hex_ids(document), ensure_ascii=False, separators=(",", ":"))


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: base64.b64decode(one).hex() if key in _IDS and isinstance(one, str) else _with_hex_ids(one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_with_hex_ids(one) for one in value]
    return value
