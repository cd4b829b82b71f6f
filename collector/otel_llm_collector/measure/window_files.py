"""The window on disk, so that rules with long windows see after a restart what was there before it.

Invariants: a file holds one block of the past, complete in itself, and is replaced as a whole; a block that did not
change is not written again; files of blocks that left the past are removed. All files together stay below a bound,
newest blocks first. A file that cannot be read is set aside as `.unreadable`, said so, and the others are read.

    file    := MAGIC (8 bytes)  length of header (uint32, little endian)  header (JSON)  body (zlib)
    body    := labels (JSON, one object for each row)  offsets (rows x 120)  values (rows x 120, float64)

The header says `format`, `start_ms`, `resolution_ms`, `rows`, `offset_bytes`, `label_bytes`, and native histograms as
[row, slot, fields]. Offsets are as in `past`: 1 more than the milliseconds into the slot, 0 without a sample.
Everything goes back into the past through its front door: what is too old by then, or finds no room, is not taken.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from otel_llm_collector import limits
from otel_llm_collector.measure.blocks import SLOTS, BlockCopy
from otel_llm_collector.measure.past import NO_SERIES, Past
from otel_llm_collector.measure.promql.native import Hint, NativeHistogram
from otel_llm_collector.measure.promql.storage import make_labels

logger = logging.getLogger(__name__)

_MAGIC = b"OTLLMW1\n"
_FORMAT = 1
_LENGTH = struct.Struct("<I")
_ENDING = ".block"
_FAST = 1  # of zlib's levels


class WindowFiles:
    """Keeps `past` in `folder`, or nowhere; reads it at the start, writes it now and then and at the end."""

    def __init__(
        self, past: Past, folder: Path | None, registry: CollectorRegistry, clock: Callable[[], float]
    ) -> None:
        self._past = past
        self._folder = folder
        self._clock = clock
        self._written: dict[Path, tuple[int, int]] = {}  # version of the block, bytes of the file
        self._task: asyncio.Task[None] | None = None
        sentence = "Blocks of the window that were not saved: no room, or they could not be written."
        self._unsaved = Counter("otel_llm_window_unsaved_blocks", sentence, registry=registry)

    async def start(self) -> None:
        """Read what is there; write from now on."""
        if self._folder is None:
            return
        await asyncio.to_thread(self.load)
        self._task = asyncio.create_task(self._run())

    async def shutdown(self) -> None:
        """Write what there is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await asyncio.to_thread(self.save)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(limits.WINDOW_SAVE_SECONDS)
            try:
                await asyncio.to_thread(self.save)
            except Exception:  # whatever it was, the window goes on
                logger.exception("the window could not be saved; it is tried again")

    def save(self) -> None:
        """Write the blocks that changed, newest first, and remove files of those that are gone."""
        if self._folder is None:
            return
        total, current = 0, set()
        for start_ms, version in sorted(self._past.blocks(), reverse=True):
            path = self._folder / f"{start_ms}{_ENDING}"
            if self._written.get(path, (-1, 0))[0] != version and not self._write(path, start_ms, version, total):
                self._unsaved.inc()
                self._written.pop(path, None)
                continue
            total += self._written[path][1]
            current.add(path)
        for path in self._folder.glob(f"*{_ENDING}"):
            if path not in current:
                path.unlink(missing_ok=True)
        self._written = {path: known for path, known in self._written.items() if path in current}

    def _write(self, path: Path, start_ms: int, version: int, before: int) -> bool:
        copy = self._past.block_copy(start_ms)
        if copy is None:
            return False
        data = encode(copy)
        if before + len(data) > limits.MAX_WINDOW_FILE_BYTES:
            return False
        draft = path.with_suffix(".draft")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            logger.warning("%s: cannot be written (%s); it is tried again", path, error)
            return False
        self._written[path] = (version, len(data))
        return True

    def load(self) -> None:
        """Read every file. One that cannot be read is set aside."""
        if self._folder is None:
            return
        now_ms = round(self._clock() * 1000)
        for path in sorted(self._folder.glob(f"*{_ENDING}")):
            try:
                restore(self._past, decode(path.read_bytes()), now_ms)
            except Exception as error:  # whatever stands in a file, the collector starts
                problem = f"{type(error).__name__}: {error}"
                logger.warning("%s: cannot be read (%s); it is set aside, the window begins without it", path, problem)
                try:
                    path.replace(path.with_suffix(".unreadable"))
                except OSError:
                    logger.exception("%s cannot be set aside", path)


def encode(copy: BlockCopy) -> bytes:
    """A block as the bytes of its file."""
    labels = json.dumps([dict(one) for one in copy.labels], separators=(",", ":")).encode()
    header = {
        "format": _FORMAT,
        "start_ms": copy.start_ms,
        "resolution_ms": copy.resolution_ms,
        "rows": len(copy.labels),
        "offset_bytes": copy.offsets.dtype.itemsize,
        "label_bytes": len(labels),
        "histograms": [[row, slot, _plain(one)] for (row, slot), one in copy.histograms.items()],
    }
    head = json.dumps(header, separators=(",", ":")).encode()
    body = zlib.compress(labels + copy.offsets.tobytes() + copy.values.tobytes(), _FAST)
    return _MAGIC + _LENGTH.pack(len(head)) + head + body


def decode(data: bytes) -> BlockCopy:
    """The block in the bytes of a file; raises one or another error where they are no such bytes."""
    if not data.startswith(_MAGIC) or len(data) < len(_MAGIC) + _LENGTH.size:
        msg = "is no file of the window"
        raise ValueError(msg)
    at = len(_MAGIC) + _LENGTH.size
    (length,) = _LENGTH.unpack(data[len(_MAGIC) : at])
    header = json.loads(data[at : at + length])
    if header["format"] != _FORMAT:
        msg = f"is of format {header['format']}, this collector reads {_FORMAT}"
        raise ValueError(msg)
    rows, cells = header["rows"], header["rows"] * SLOTS
    offset_bytes, label_bytes = header["offset_bytes"], header["label_bytes"]
    size = label_bytes + cells * (offset_bytes + 8)
    if size > limits.MAX_WINDOW_BLOCK_BYTES:
        msg = f"claims {size} bytes, more than a block can have"
        raise ValueError(msg)
    unpacked = zlib.decompressobj().decompress(data[at + length :], size + 1)
    if len(unpacked) != size:
        msg = f"has {len(unpacked)} bytes where {size} should be"
        raise ValueError(msg)
    labels = [make_labels(one) for one in json.loads(unpacked[:label_bytes])]
    if len(labels) != rows:
        msg = f"has labels of {len(labels)} series for {rows} rows"
        raise ValueError(msg)
    offsets = np.frombuffer(unpacked, f"<u{offset_bytes}", cells, label_bytes).reshape(rows, SLOTS)
    values = np.frombuffer(unpacked, "<f8", cells, label_bytes + cells * offset_bytes).reshape(rows, SLOTS)
    histograms = {(row, slot): _histogram(fields) for row, slot, fields in header["histograms"]}
    return BlockCopy(header["start_ms"], header["resolution_ms"], labels, offsets, values, histograms)


def restore(past: Past, block: BlockCopy, now_ms: int) -> None:
    """Put the samples of a block into the past."""
    numbers = np.array([past.number(labels) for labels in block.labels], np.int64)
    for slot in range(SLOTS):
        rows = np.flatnonzero(block.offsets[:, slot])
        rows = rows[numbers[rows] != NO_SERIES]
        times = block.start_ms + slot * block.resolution_ms + block.offsets[rows, slot].astype(np.int64) - 1
        past.append(numbers[rows], times, block.values[rows, slot], now_ms)
    for (row, slot), histogram in block.histograms.items():
        time_ms = block.start_ms + slot * block.resolution_ms + int(block.offsets[row, slot]) - 1
        if numbers[row] != NO_SERIES:
            past.append_histogram(int(numbers[row]), time_ms, histogram, now_ms)


def _plain(one: NativeHistogram) -> dict[str, Any]:
    return {**asdict(one), "positive": list(one.positive.items()), "negative": list(one.negative.items()), "hint": 0}


def _histogram(fields: dict[str, Any]) -> NativeHistogram:
    fields = {**fields, "hint": Hint.UNKNOWN, "custom_values": tuple(fields["custom_values"])}
    for side in ("positive", "negative"):
        fields[side] = {int(index): float(count) for index, count in fields[side]}
    return NativeHistogram(**fields)
