"""Salvage: what of a request can be kept when protobuf refuses the whole of it.

Protobuf gives up a request for one string that is not UTF-8. This walks the wire format two levels down without a
schema, offers each span (metric, log record) to protobuf alone, and rebuilds the request without those it refuses.
Field numbers are OTLP's: 1 is the resource level, 2 in it the scope level, 2 in that the items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from otel_llm_collector.errors import MalformedRequest

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_RESOURCE_LEVEL = 1
_SCOPE_LEVEL = 2
_ITEM = 2
_MAX_VARINT_BYTES = 10


def salvage(
    request: bytes, readable: Callable[[bytes], bool], envelope_readable: Callable[[bytes], bool]
) -> tuple[bytes, int]:
    """`request` without the items that `readable` refuses, and how many those were.

    `envelope_readable` says whether a resource level emptied of its scopes can be read; if not, or if the outer levels
    are themselves broken, `MalformedRequest` is raised.
    """
    dropped = 0
    kept: list[bytes] = []
    for number, field in fields(request):
        if number != _RESOURCE_LEVEL:
            kept.append(field)
            continue
        resource, count = _without_bad_items(payload(field), readable)
        dropped += count
        if not envelope_readable(resource):
            msg = "body: a resource or scope holds text that is not UTF-8; send UTF-8"
            raise MalformedRequest(msg)
        kept.append(_length_delimited(_RESOURCE_LEVEL, resource))
    return b"".join(kept), dropped


def _without_bad_items(resource: bytes, readable: Callable[[bytes], bool]) -> tuple[bytes, int]:
    dropped = 0
    kept: list[bytes] = []
    for number, field in fields(resource):
        if number != _SCOPE_LEVEL:
            kept.append(field)
            continue
        items: list[bytes] = []
        for item_number, item in fields(payload(field)):
            if item_number == _ITEM and not readable(payload(item)):
                dropped += 1
            else:
                items.append(item)
        kept.append(_length_delimited(_SCOPE_LEVEL, b"".join(items)))
    return b"".join(kept), dropped


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of `message` in order: number, and the bytes with their tag. Raises `MalformedRequest`."""
    position, end = 0, len(message)
    while position < end:
        start = position
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == _VARINT:
            _, position = _varint(message, position)
        elif kind == _FIXED64:
            position += 8
        elif kind == _FIXED32:
            position += 4
        elif kind == _BYTES:
            length, position = _varint(message, position)
            if kind == _BYTES and length > end - position:
                raise MalformedRequest(_broken(f"a field of {length} bytes runs past the end at byte {start}"))
            position += length
        else:
            raise MalformedRequest(_broken(f"wire type {kind} at byte {start} does not occur in OTLP"))
        if position > end or tag >> 3 == 0:
            raise MalformedRequest(_broken(f"the field at byte {start} is broken"))
        yield tag >> 3, message[start:position]


def payload(field: bytes) -> bytes:
    """The content of a length-delimited field without tag and length. Raises `MalformedRequest` for other fields."""
    tag, position = _varint(field, 0)
    if tag & 7 != _BYTES:
        raise MalformedRequest(_broken(f"field {tag >> 3} is no message"))
    _, position = _varint(field, position)
    return field[position:]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    for byte in message[position : position + _MAX_VARINT_BYTES]:
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, position
        shift += 7
    raise MalformedRequest(_broken(f"the number at byte {position} does not end"))


def _length_delimited(number: int, content: bytes) -> bytes:
    length, encoded = len(content), bytearray()
    while length > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes([number << 3 | _BYTES]) + bytes(encoded) + content


def _broken(what: str) -> str:
    return f"body: is not an OTLP request: {what}; send protobuf"
