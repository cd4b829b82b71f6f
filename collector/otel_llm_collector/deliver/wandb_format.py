"""The file of W&B's offline runs: records in Protobuf, framed as LevelDB frames its log.

    :W&B 0xBEE1 0                       seven bytes: the magic word and the version
    checksum 4, length 2, kind 1, data  a piece of a record, in blocks of 32 KiB; fewer than seven bytes at the end
                                        of a block are zeros. Kind: 1 whole, 2 first, 3 middle, 4 last. The checksum
                                        is CRC-32 of kind and data. All numbers are little-endian.

After wandb 0.31, which publishes neither: the records are those of its `wandb_internal.proto` that a run needs, with
its numbers of fields.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
_BLOCK_BYTES = 32 * 1024
_PIECE = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_INT64, _INT32, _BOOL, _TEXT, _MESSAGE = 3, 5, 8, 9, 11  # kinds of fields, as descriptor.proto numbers them

# Message to its fields: name to number, kind (or message) and whether it repeats.
_MESSAGES: dict[str, dict[str, tuple[int, int | str, bool]]] = {
    "Timestamp": {"seconds": (1, _INT64, False), "nanos": (2, _INT32, False)},
    "VersionInfo": {"producer": (1, _TEXT, False), "min_consumer": (2, _TEXT, False)},
    "HeaderRecord": {"version_info": (1, "VersionInfo", False)},
    "Item": {"key": (1, _TEXT, False), "nested_key": (2, _TEXT, True), "value_json": (16, _TEXT, False)},
    "ConfigRecord": {"update": (1, "Item", True)},
    "SummaryRecord": {"update": (1, "Item", True)},
    "MetricOptions": {"step_sync": (1, _BOOL, False), "hidden": (2, _BOOL, False), "defined": (3, _BOOL, False)},
    "MetricRecord": {
        "name": (1, _TEXT, False),
        "glob_name": (2, _TEXT, False),
        "step_metric": (4, _TEXT, False),
        "options": (6, "MetricOptions", False),
    },
    "HistoryStep": {"num": (1, _INT64, False)},
    "HistoryRecord": {"item": (1, "Item", True), "step": (2, "HistoryStep", False)},
    "RunRecord": {
        "run_id": (1, _TEXT, False),
        "entity": (2, _TEXT, False),
        "project": (3, _TEXT, False),
        "config": (4, "ConfigRecord", False),
        "display_name": (8, _TEXT, False),
        "notes": (9, _TEXT, False),
        "tags": (10, _TEXT, True),
        "start_time": (17, "Timestamp", False),
    },
    "RunExitRecord": {"exit_code": (1, _INT32, False), "runtime": (2, _INT32, False)},
    "Record": {
        "num": (1, _INT64, False),
        "history": (2, "HistoryRecord", False),
        "summary": (3, "SummaryRecord", False),
        "config": (5, "ConfigRecord", False),
        "metric": (12, "MetricRecord", False),
        "run": (17, "RunRecord", False),
        "exit": (18, "RunExitRecord", False),
        "header": (21, "HeaderRecord", False),
    },
}


def _record_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="otel_llm/wandb.proto", package="otel_llm.wandb", syntax="proto3")
    for message, fields in _MESSAGES.items():
        made: Any = file.message_type.add(name=message)
        for name, (number, kind, repeats) in fields.items():
            field = made.field.add(name=name, number=number, label=3 if repeats else 1)
            if isinstance(kind, str):
                field.type, field.type_name = _MESSAGE, f".otel_llm.wandb.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("otel_llm.wandb.Record"))


Record = _record_class()


def framed(record: bytes, position: int) -> bytes:
    """`record` as it stands in a file from `position` on."""
    result = bytearray()
    kind = _FIRST
    while True:
        room = _BLOCK_BYTES - (position + len(result)) % _BLOCK_BYTES
        if room < _PIECE.size:
            result += bytes(room)
            continue
        piece, record = record[: room - _PIECE.size], record[room - _PIECE.size :]
        if not record:
            kind = _WHOLE if kind == _FIRST else _LAST
        result += _PIECE.pack(zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
        if not record:
            return bytes(result)
        kind = _MIDDLE


def records(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The whole records of a file, each with the position behind it; what a crash has cut short ends them."""
    if not data.startswith(HEADER):
        return
    position, record = len(HEADER), b""
    while position + _PIECE.size <= len(data):
        room = _BLOCK_BYTES - position % _BLOCK_BYTES
        if room < _PIECE.size:
            position += room
            continue
        checksum, length, kind = _PIECE.unpack_from(data, position)
        position += _PIECE.size
        piece = data[position : position + length]
        if len(piece) < length or zlib.crc32(bytes([kind]) + piece) != checksum:
            return
        position += length
        record = piece if kind in (_WHOLE, _FIRST) else record + piece
        if kind in (_WHOLE, _LAST):
            yield record, position
