"""Comet's offline archives: what `comet upload` reads, written without Comet's client.

    FOLDER/open/KEY/experiment.json    what the experiment is
    FOLDER/open/KEY/messages.json      what was said of it, a JSON object a line, the newest last
    FOLDER/KEY-000001.zip              the same two files, complete

The format is that of comet_ml 3.58 (its `offline.py` and JSON schemas). Lines are on the disk when a write returns; a
line that a crash has cut short is removed at the next start. An archive is closed by size, by age, when its run is
over, when too many are open, and at shutdown; archives of one experiment carry its key and `get_or_create`, so
uploading adds them together. A crash while one is closed can leave its lines in two archives.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from otel_llm_collector import limits
from otel_llm_collector.deliver.comet_said import Said
from otel_llm_collector.deliver.durable import sync_folder
from otel_llm_collector.errors import Retryable

logger = logging.getLogger(__name__)

_EXPERIMENT, _MESSAGES = "experiment.json", "messages.json"


class Archives:
    """A folder of archives: each up to `max_bytes` and `max_seconds`, all together up to `folder_bytes`."""

    def __init__(self, folder: Path, workspace: str, max_bytes: int, max_seconds: float, folder_bytes: int) -> None:
        self._folder = folder
        self._workspace = workspace
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._folder_bytes = folder_bytes
        self._open: dict[str, _Open] = {}

    def start(self) -> None:
        """Make the folder, and take up what an earlier process left open."""
        (self._folder / "open").mkdir(parents=True, exist_ok=True)
        for path in sorted((self._folder / "open").iterdir()):
            if not (path / _EXPERIMENT).exists():
                shutil.rmtree(path)  # a crash right after it was made: nothing had been said
                continue
            try:
                self._open[path.name] = _Open(path)
            except (ValueError, KeyError) as error:
                aside = self._folder / f"{path.name}.broken"
                logger.error("comet: %s is broken (%s); it is set aside as %s", path, error, aside)  # noqa: TRY400
                path.rename(aside)

    def write(self, said: Said) -> None:
        """Keep what is said of one experiment. Raises `Retryable` when the folder is full or the disk refuses."""
        used = sum(path.stat().st_size for path in self._folder.glob("*.zip"))
        if used > self._folder_bytes:
            msg = f"{self._folder}: {used} bytes of archives, more than {self._folder_bytes}; upload and remove some"
            raise Retryable(msg)
        key = said.place.key
        if key in self._open:
            self._open[key] = self._open.pop(key)  # the one that was written last stands last
        else:
            if len(self._open) >= limits.MAX_OPEN_ARCHIVES:
                self._close(next(iter(self._open)))
            self._open[key] = _Open.made(self._folder / "open" / key, said, self._workspace)
        self._open[key].append(said)
        if said.is_over or self._open[key].size >= self._max_bytes:
            self._close(key)

    def tick(self) -> None:
        """Close what has been open for long."""
        for key, one in list(self._open.items()):
            if time.time() - one.since >= self._max_seconds:
                self._close(key)

    def shutdown(self) -> None:
        """Close all of them."""
        for key in list(self._open):
            self._close(key)

    def _close(self, key: str) -> None:
        numbers = (path.stem.rpartition("-")[2] for path in self._folder.glob(f"{key}-*.zip"))
        number = max((int(one) for one in numbers if one.isdecimal()), default=0) + 1
        self._open[key].close(self._folder / f"{key}-{number:06}.zip")
        del self._open[key]


class _Open:
    """The files of one experiment that are being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._about: dict[str, Any] = json.loads((folder / _EXPERIMENT).read_text(encoding="utf-8"))
        self.since = (folder / _EXPERIMENT).stat().st_mtime
        self._file: IO[bytes] = (folder / _MESSAGES).open("ab", buffering=0)
        written = (folder / _MESSAGES).read_bytes()
        self.size = written.rfind(b"\n") + 1
        self._file.truncate(self.size)
        self._lines = written.count(b"\n")
        self._said: set[tuple[str, str]] = set()  # other words that need not be written again

    @classmethod
    def made(cls, folder: Path, said: Said, workspace: str) -> _Open:
        """New files for an experiment."""
        folder.mkdir(exist_ok=True)
        about = {
            "offline_id": said.place.key,
            "project_name": said.place.project,
            "start_time": said.first_ms,
            "stop_time": said.last_ms,
            "tags": [],
            "workspace": workspace or None,
            "resume_strategy": "get_or_create",
            "customer_error_reported": False,
            "customer_error_message": None,
            "user_provided_experiment_key": True,
            "comet_start_sourced": False,
        }
        _write(folder / _EXPERIMENT, about)
        sync_folder(folder)
        sync_folder(folder.parent)
        return cls(folder)

    def append(self, said: Said) -> None:
        """Add lines, all or none."""
        messages = list(_messages(said, self._lines + 1, self._said))
        block = b"".join(json.dumps(one).encode() + b"\n" for one in messages)
        try:
            written = 0
            while written < len(block):
                written += self._file.write(block[written:])
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self.size)
            raise
        self.size += len(block)
        self._lines += len(messages)
        self._said |= said.others.items()
        tags = [*self._about["tags"], *(tag for tag in said.tags if tag not in self._about["tags"])]
        start, stop = min(self._about["start_time"], said.first_ms), max(self._about["stop_time"], said.last_ms)
        about = {**self._about, "tags": tags, "start_time": start, "stop_time": stop}
        if tags != self._about["tags"]:
            _write(self._folder / _EXPERIMENT, about)
        self._about = about

    def close(self, archive: Path) -> None:
        """Make the archive and remove the files."""
        self._file.close()
        _write(self._folder / _EXPERIMENT, self._about)
        partial = archive.with_suffix(".partial")
        with partial.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
                for name in (_EXPERIMENT, _MESSAGES):
                    packed.write(self._folder / name, name)
            os.fsync(file.fileno())
        partial.rename(archive)
        sync_folder(archive.parent)
        shutil.rmtree(self._folder)


def _messages(said: Said, number: int, written: set[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """The lines of Comet's format, numbered; not the other words that are `written`."""
    for name, value in said.parameters.items():
        parameter = {"paramName": name, "paramValue": value, "step": None, "source": "manual"}
        yield _message("parameter_msg", number, {"param": parameter, "local_timestamp": said.last_ms})
        number += 1
    for key, value in said.others.items() - written:
        yield _message("log_other", number, {"key": key, "value": value})
        number += 1
    for one in said.points:
        metric = {"metricName": one.name, "metricValue": one.number, "step": one.step, "epoch": one.epoch}
        yield _message("metric_msg", number, {"metric": metric, "local_timestamp": one.time_ms})
        number += 1


def _message(kind: str, number: int, payload: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "payload": {**payload, "message_id": number}}


def _write(path: Path, document: Any) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(json.dumps(document, ensure_ascii=False).encode())
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
