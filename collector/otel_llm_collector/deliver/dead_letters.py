"""Dead letters: what a destination will never take, kept in a file with the reason, for people and for `replay`.

One JSON object a line, synced to the disk before the item counts as dropped:

    {"at": "2026-01-31T12:00:00Z", "exporter": "jaeger", "reason": "refused", "error": "answered 400: …",
     "signal": "traces", "items": 1, "first": "chat gpt-4o", "request": "…base64 of an OTLP request…"}

`first` names the first item for the reader's eye. When the file would grow over `max_bytes` it becomes `FILE.1`, what
was `FILE.1` becomes `FILE.2` and so on; of more than `max_files` the oldest goes (drop_oldest). A letter is written
after the content policy of its destination: where prompts may not go, they do not lie in this file either.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from pydantic import BaseModel, ConfigDict, Field

from otel_llm_collector import limits
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.otlp import SHAPES, walk

logger = logging.getLogger(__name__)

_MAX_NAME_CHARS = 120


class DeadLetterSettings(BaseModel):
    """Where items are kept that the destination will never take."""

    model_config = ConfigDict(extra="forbid")

    path: ConfigPath = Field(description="The file, one for each destination; its folder is made.")
    max_bytes: int = Field(limits.DEAD_LETTER_BYTES, ge=1024, description="Size from which a new file is begun.")
    max_files: int = Field(limits.DEAD_LETTER_FILES, ge=1, le=1000, description="Files kept; the oldest goes.")


class DeadLetters:
    """Writes the letters of one destination."""

    def __init__(self, exporter: str, settings: DeadLetterSettings, now: Callable[[], datetime] | None = None) -> None:
        self._exporter = exporter
        self._settings = settings
        self._now = now or (lambda: datetime.now(UTC))
        self._turn = asyncio.Lock()

    async def write(self, parcel: Parcel, reason: str, error: str) -> bool:
        """Keep `parcel`; False when the disk does not take it. Never raises: a full disk must not hold delivery up."""
        letter = {
            "at": self._now().isoformat(timespec="seconds").replace("+00:00", "Z"),
            "exporter": self._exporter,
            "reason": reason,
            "error": error,
            "signal": parcel.signal.value,
            "items": parcel.items,
            "first": _first(parcel),
            "request": base64.b64encode(parcel.payload).decode(),
        }
        line = json.dumps(letter, ensure_ascii=False).encode() + b"\n"
        async with self._turn:
            try:
                await asyncio.to_thread(self._append, line)
            except OSError as failure:
                logger.error(  # noqa: TRY400 - one line
                    "exporters.%s.dead_letters: cannot write to %s: %s", self._exporter, self._settings.path, failure
                )
                return False
        return True

    def _append(self, line: bytes) -> None:
        path = self._settings.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size + len(line) > self._settings.max_bytes:
            self._rotate()
        with path.open("a+b") as file:
            if file.tell() and _last_byte(file) != b"\n":  # a crash left half a line
                file.write(b"\n")
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _rotate(self) -> None:
        path = self._settings.path
        if self._settings.max_files == 1:
            path.unlink()
            return
        for number in range(self._settings.max_files - 2, 0, -1):
            older = _numbered(path, number)
            if older.exists():
                older.replace(_numbered(path, number + 1))
        path.replace(_numbered(path, 1))


def read(path: Path, complain: Callable[[str], None]) -> Iterator[Parcel]:
    """The parcels in a file of dead letters. A line that is none is complained about and passed by."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                letter = json.loads(line)
                signal = Signal(letter["signal"])
                payload = base64.b64decode(letter["request"], validate=True)
                items, shape = int(letter["items"]), SHAPES[signal]
                shape.request.FromString(payload)
            except (ValueError, KeyError, TypeError, RecursionError, DecodeError) as error:
                complain(f"{path}:{number}: is no dead letter ({type(error).__name__}: {error}); passed by")
                continue
            yield Parcel(signal, payload, items)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    last: bytes = file.read(1)
    return last


def _first(parcel: Parcel) -> str:
    """The name of the first item: of a span or metric, or of a log record's event."""
    shape = SHAPES[parcel.signal]
    for _, _, item in walk(shape.request.FromString(parcel.payload), shape):
        name: str = item.event_name if parcel.signal is Signal.LOGS else item.name
        return name[:_MAX_NAME_CHARS]
    return ""
