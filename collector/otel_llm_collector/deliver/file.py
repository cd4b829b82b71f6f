"""Files: OTLP JSON lines or protobuf, one file per signal, rotated and compressed.

`traces.jsonl` has one request a line, as OpenTelemetry's file format says; in `traces.pb` each request follows its
length in four bytes, the highest first. A full file is closed as `traces-000001.jsonl` and so on, and compressed; of
those the newest `max_files` stay. A request is with the operating system when it counts as sent, and on the disk with
`sync: true`. Delivery: at least once; a record that a crash has cut short is removed at the next start.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import shutil
from enum import StrEnum
from pathlib import Path
from typing import IO, Literal

import cramjam
from pydantic import Field

from otel_llm_collector import limits
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.otlp import SHAPES
from otel_llm_collector.deliver.otlp_json import to_json
from otel_llm_collector.deliver.settings import DestinationSettings
from otel_llm_collector.errors import Retryable

_LENGTH_BYTES = 4


class Format(StrEnum):
    """How requests are written."""

    JSON = "json"
    PROTOBUF = "protobuf"


class FileCompression(StrEnum):
    """How full files are compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


_ENDINGS = {FileCompression.NONE: "", FileCompression.GZIP: ".gz", FileCompression.ZSTD: ".zst"}


class FileSettings(DestinationSettings):
    """A folder of OTLP files."""

    type: Literal["file"] = Field(description="file")
    path: ConfigPath = Field(description="Folder of the files; made when it is not there.")
    format: Format = Field(Format.JSON, description="json (one request a line) or protobuf (each after its length).")
    compression: FileCompression = Field(FileCompression.NONE, description="none, gzip or zstd; of full files only.")
    max_bytes: int = Field(limits.FILE_BYTES, ge=1024, description="A file of this size is full.")
    max_files: int = Field(limits.FILES, ge=1, description="Full files kept per signal; the oldest are deleted.")
    sync: bool = Field(False, description="true: on the disk before it counts as sent.")


class File:
    """The destination."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._files: dict[Signal, _Rotated] = {}
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Make the folder and open the files."""
        await asyncio.to_thread(self._settings.path.mkdir, parents=True, exist_ok=True)
        for signal in self._settings.signals:
            self._files[signal] = await asyncio.to_thread(_Rotated, self._settings, signal)

    async def shutdown(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files = {}

    async def send(self, parcel: Parcel) -> Receipt:
        """Write one request; see `contract.Destination`."""
        try:
            async with self._writing:
                await asyncio.to_thread(self._files[parcel.signal].write, self._encoded(parcel))
        except OSError as error:
            msg = f"{self._settings.path}: cannot be written: {error.strerror or error}"
            raise Retryable(msg) from error
        return Receipt()

    def _encoded(self, parcel: Parcel) -> bytes:
        if self._settings.format is Format.PROTOBUF:
            return len(parcel.payload).to_bytes(_LENGTH_BYTES, "big") + parcel.payload
        return to_json(SHAPES[parcel.signal].request.FromString(parcel.payload)).encode() + b"\n"


class _Rotated:
    """The current file of one signal, and the full ones beside it."""

    def __init__(self, settings: FileSettings, signal: Signal) -> None:
        self._settings = settings
        self._signal = signal
        self._ending = ".jsonl" if settings.format is Format.JSON else ".pb"
        self._current = settings.path / f"{signal}{self._ending}"
        self._file: IO[bytes] = self._current.open("ab", buffering=0)
        self._size = whole_bytes(self._current, settings.format)
        self._file.truncate(self._size)

    def close(self) -> None:
        self._file.close()

    def write(self, record: bytes) -> None:
        """Append `record` whole or not at all."""
        if self._size and self._size + len(record) > self._settings.max_bytes:
            self._rotate()
        try:
            written = 0
            while written < len(record):
                written += self._file.write(record[written:])
            if self._settings.sync:
                os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(record)

    def _rotate(self) -> None:
        numbers = [number for number, _ in self._full()]
        full = self._settings.path / f"{self._signal}-{max(numbers, default=0) + 1:06}{self._ending}"
        self._file.close()
        self._current.rename(full)
        self._file = self._current.open("ab", buffering=0)
        self._size = 0
        _compress(full, self._settings.compression)
        for _, path in sorted(self._full())[: -self._settings.max_files]:
            path.unlink()

    def _full(self) -> list[tuple[int, Path]]:
        name = re.compile(re.escape(f"{self._signal}-") + r"(\d{6,})" + re.escape(self._ending) + r"(\.gz|\.zst)?")
        matches = ((name.fullmatch(path.name), path) for path in self._settings.path.iterdir())
        return [(int(match[1]), path) for match, path in matches if match]


def whole_bytes(path: Path, how: Format) -> int:
    """Bytes of the whole records at the beginning of a file; after them may come one that a crash has cut short."""
    with path.open("rb") as file:
        whole = 0
        if how is Format.JSON:
            for line in file:
                whole += len(line) if line.endswith(b"\n") else 0
            return whole
        size = path.stat().st_size
        while len(length := file.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
            end = file.seek(int.from_bytes(length, "big"), os.SEEK_CUR)
            if end > size:
                break
            whole = end
        return whole


def _compress(path: Path, how: FileCompression) -> None:
    """Replace `path` by its compressed form."""
    if how is FileCompression.NONE:
        return
    compressed = path.with_name(path.name + _ENDINGS[how])
    partial = path.with_name(path.name + ".partial")
    if how is FileCompression.GZIP:
        with path.open("rb") as plain, gzip.open(partial, "wb") as packed:
            shutil.copyfileobj(plain, packed)
    else:
        partial.write_bytes(bytes(cramjam.zstd.compress(path.read_bytes())))
    partial.rename(compressed)
    path.unlink()
