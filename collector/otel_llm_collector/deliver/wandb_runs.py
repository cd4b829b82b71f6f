"""W&B's runs: training runs as offline runs, which `wandb sync` sends.

Each run of `otel_llm.experiment` is a folder as W&B's client makes it, `offline-run-TIME-ID/run-ID.wandb`, written
without that client; traces are the business of the destination `wandb`. Ids are computed and what stands in the file is
not written again. Delivery: at least once; synced to the disk before it counts as sent, and a record that a crash has
cut short is removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

from otel_llm_semconv import attributes as attr
from pydantic import Field

from otel_llm_collector import limits
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.durable import sync_folder
from otel_llm_collector.deliver.runs import RUNS, UNUSABLE, Run, runs
from otel_llm_collector.deliver.settings import DestinationSettings
from otel_llm_collector.deliver.wandb_format import HEADER, Record, framed, records
from otel_llm_collector.errors import Retryable

_PRODUCER, _MIN_CONSUMER = "otel-llm-collector", "0.70.0"  # what wandb 0.31 itself asks of readers
_KILLED_CODE = 255
_STEP = "training_step"  # the metric that charts of a run have below them


class WandbRunsSettings(DestinationSettings):
    """W&B's runs, as folders that `wandb sync` sends."""

    takes: ClassVar[frozenset[Signal]] = frozenset({Signal.LOGS})
    log_events: ClassVar[frozenset[str]] = RUNS

    type: Literal["wandb_runs"] = Field(description="wandb_runs")
    path: ConfigPath = Field(description="Folder of the offline runs; made when it is not there.")
    entity: str = Field("", description="Team or user; empty: the default one of whoever syncs.")
    project: str = Field("", description="Project of the runs; empty: one named as their experiment.")
    folder_bytes: int = Field(
        limits.WANDB_FOLDER_BYTES, ge=1024, description="With more in the folder nothing is written, but waits."
    )


class WandbRuns:
    """The destination."""

    def __init__(self, settings: WandbRunsSettings) -> None:
        self._settings = settings
        self._files: dict[str, _RunFile] = {}
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Make the folder."""
        await asyncio.to_thread(self._settings.path.mkdir, parents=True, exist_ok=True)

    async def shutdown(self) -> None:
        """Nothing is open between two requests."""
        self._files.clear()

    async def send(self, parcel: Parcel) -> Receipt:
        """Write what a parcel says of runs; see `contract.Destination`."""
        found, unusable = runs(parcel)
        try:
            async with self._writing:
                await asyncio.to_thread(self._write, found)
        except OSError as error:
            self._files.clear()  # read them again
            msg = f"{self._settings.path}: cannot be written: {error.strerror or error}"
            raise Retryable(msg) from error
        return Receipt(unusable, UNUSABLE if unusable else "")

    def _write(self, found: list[Run]) -> None:
        folder = self._settings.path
        used = sum(path.stat().st_size for path in folder.glob("offline-run-*/run-*.wandb"))
        if used > self._settings.folder_bytes:
            msg = f"{folder}: {used} bytes of runs, more than {self._settings.folder_bytes}; sync and remove some"
            raise Retryable(msg)
        for run in found:
            key = hashlib.sha256(f"{run.experiment}\0{run.run_id}".encode()).hexdigest()[:16]
            file = self._files.pop(key, None) or _RunFile.of(folder, key, run)
            self._files[key] = file
            file.write(run, self._settings.entity, self._settings.project or run.experiment)
            while len(self._files) > limits.MAX_OPEN_RUNS:
                del self._files[next(iter(self._files))]


class _RunFile:
    """One run's file, and what stands in it."""

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key
        self._count = 0
        self._end = 0
        self._points: dict[tuple[int, str], None] = {}
        self._config: dict[str, str] = {}
        self._about: tuple[str, str, tuple[str, ...]] | None = None  # name, notes, tags
        self._over = False
        self._rows = 0
        self._step = 0  # the newest
        if path.exists():
            for record, end in records(path.read_bytes()):
                self._note(Record.FromString(record))
                self._end = end
            os.truncate(path, self._end)  # what a crash has cut short

    @classmethod
    def of(cls, folder: Path, key: str, run: Run) -> _RunFile:
        """The file of a run, which may be there from an earlier start."""
        found = sorted(folder.glob(f"offline-run-*-{key}"))
        begun = datetime.fromtimestamp(run.first_ms / 1000, UTC).strftime("%Y%m%d_%H%M%S")
        place = found[0] if found else folder / f"offline-run-{begun}-{key}"
        (place / "files").mkdir(parents=True, exist_ok=True)
        return cls(place / f"run-{key}.wandb", key)

    def write(self, run: Run, entity: str, project: str) -> None:
        """Append what is new, all of it or nothing."""
        new = list(self._new(run, entity, project))
        if not new:
            return
        block = b"" if self._end else HEADER
        for number, record in enumerate(new, self._count + 1):
            record.num = number
            block += framed(record.SerializeToString(), self._end + len(block))
        with self._path.open("ab") as file:
            file.truncate(self._end)
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if not self._end:
            sync_folder(self._path.parent)
            sync_folder(self._path.parent.parent)
        self._end += len(block)
        for record in new:
            self._note(record)

    def _new(self, run: Run, entity: str, project: str) -> Iterator[Any]:
        if not self._count:
            yield Record(header={"version_info": {"producer": _PRODUCER, "min_consumer": _MIN_CONSUMER}})
        config = {name: json.dumps(value) for name, value in run.parameters.items()}
        config |= {f"artifact.{one.name}": json.dumps(one.details) for one in run.artifacts}
        config[attr.OTEL_LLM_EXPERIMENT_RUN_ID] = json.dumps(run.run_id)
        update = [{"key": key, "value_json": value} for key, value in config.items() if self._config.get(key) != value]
        name, notes, tags = self._about or ("", "", ())
        notes = "\n\n".join([notes] * bool(notes) + [note for note in run.notes if note not in notes])
        about = (run.name or name or run.run_id, notes, (*tags, *(tag for tag in run.tags if tag not in tags)))
        if about != self._about:
            began = {"seconds": run.first_ms // 1000, "nanos": run.first_ms % 1000 * 1_000_000}
            words = {"display_name": about[0], "notes": about[1], "tags": about[2], "start_time": began}
            of = {"run_id": self._key, "entity": entity, "project": project, "config": {"update": update}}
            yield Record(run={**of, **words})
            if self._about is None:
                yield Record(metric={"name": _STEP, "options": {"hidden": True, "defined": True}})
                of_all = {"glob_name": "*", "step_metric": _STEP}
                yield Record(metric={**of_all, "options": {"step_sync": True, "defined": True}})
        elif update:
            yield Record(config={"update": update})
        yield from self._history(run)
        if run.is_over and not self._over:
            code = {"finished": 0, "failed": 1}.get(run.status, _KILLED_CODE)
            yield Record(exit={"exit_code": code, "runtime": max(0, run.last_ms - run.first_ms) // 1000})

    def _history(self, run: Run) -> Iterator[Any]:
        """A row for each step, with the newest values as the run's summary.

        W&B numbers rows upwards, so that the number of a row is no step; a metric of the row says which step it is.
        """
        rows: dict[int, dict[str, float]] = {}
        newest = self._step
        for one in run.metrics:
            newest = max(newest, one.step or 0)
            step = newest if one.step is None else one.step
            if (step, one.name) not in self._points:
                row = rows.setdefault(step, {"_timestamp": one.time_ms / 1000, _STEP: step})
                row |= {one.name: one.value} | ({"epoch": one.epoch} if one.epoch is not None else {})
        for number, (_, row) in enumerate(sorted(rows.items()), self._rows):
            values = {**row, "_step": number}
            items = [{"nested_key": [name], "value_json": json.dumps(value)} for name, value in values.items()]
            yield Record(history={"item": items, "step": {"num": number}})
            yield Record(summary={"update": items})

    def _note(self, record: Any) -> None:
        """Remember what a record says that stands in the file."""
        self._count = record.num
        kind = next(field.name for field, _ in record.ListFields() if field.name != "num")
        if kind == "history":
            self._rows += 1
            step = next(
                (int(json.loads(item.value_json)) for item in record.history.item if item.nested_key == [_STEP]), 0
            )
            self._step = max(self._step, step)
            for item in record.history.item:
                self._points[step, item.nested_key[0]] = None
            while len(self._points) > limits.MAX_REMEMBERED_POINTS:
                del self._points[next(iter(self._points))]
        elif kind in ("run", "config"):
            update = record.run.config.update if kind == "run" else record.config.update
            self._config |= {item.key: item.value_json for item in update}
        if kind == "run":
            self._about = (record.run.display_name, record.run.notes, tuple(record.run.tags))
        self._over = self._over or kind == "exit"
