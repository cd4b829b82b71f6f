"""Files that a run of an experiment writes on its own machine, with no server: JSON lines, CSV or SQLite, by suffix.

Runs append, so one file holds many of them. A file that cannot be written (a full disk) is said once; training goes on.

- `.jsonl`, `.json`: one JSON object a line: everything the run says, in order; `kind` says what it is.
- `.csv`: metrics only: time, experiment, run, step, epoch, name, value.
- `.sqlite`, `.db`: the tables `runs`, `parameters`, `metrics`, `artifacts`.
"""

from __future__ import annotations

import csv
import json
import math
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

Record = Mapping[str, Any]


class RunFile(Protocol):
    """Takes records: mappings with `kind` (`run`, `parameter`, `metric`, `artifact`), `time` and `run_id`."""

    def write(self, records: list[Record]) -> None:
        """Append records; on disk when it returns."""

    def close(self) -> None:
        """Let go of the file."""


def open_file(path: Path) -> RunFile:
    """The file for a path. Raises `ValueError` for a suffix that says no format, `OSError` where it cannot be made."""
    make = _FORMATS.get(path.suffix)
    if make is None:
        raise ValueError(f"experiment: log_to is {str(path)!r}; use a file that ends in {', '.join(_FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return make(path)


class JsonLines:
    """One object a line; numbers that JSON does not have (NaN, infinities) are strings."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def write(self, records: list[Record]) -> None:
        for record in records:
            plain = {key: _json(value) for key, value in record.items() if value is not None}
            self._file.write(json.dumps(plain, ensure_ascii=False, default=repr) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Csv:
    """Metrics in rows under one header."""

    _COLUMNS = ("time", "experiment", "run_id", "run_name", "step", "epoch", "name", "value")

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file)
        if self._file.tell() == 0:
            self._rows.writerow(self._COLUMNS)
            self._file.flush()

    def write(self, records: list[Record]) -> None:
        for record in records:
            if record["kind"] == "metric":
                self._rows.writerow([record.get(column) for column in self._COLUMNS])
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Sqlite:
    """Four tables; each call is one transaction. NaN is NULL there, as SQLite has none."""

    _TABLES = """
        CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, experiment TEXT, run_name TEXT, status TEXT,
            began REAL, ended REAL, tags TEXT, note TEXT);
        CREATE TABLE IF NOT EXISTS parameters (run_id TEXT, name TEXT, value TEXT, PRIMARY KEY (run_id, name));
        CREATE TABLE IF NOT EXISTS metrics (run_id TEXT, name TEXT, value REAL, step INTEGER, epoch REAL, time REAL);
        CREATE TABLE IF NOT EXISTS artifacts (run_id TEXT, name TEXT, artifact_kind TEXT, uri TEXT, size INTEGER,
            sha256 TEXT, time REAL);
        CREATE INDEX IF NOT EXISTS metrics_by_run ON metrics (run_id, name, step);
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False)
        self._lock = threading.Lock()
        self._connection.executescript(self._TABLES)

    def write(self, records: list[Record]) -> None:
        with self._lock, self._connection:
            for record in records:
                statement, columns = self._STATEMENTS[record["kind"]]
                self._connection.execute(statement, {column: _cell(record.get(column)) for column in columns})

    def close(self) -> None:
        self._connection.close()

    _STATEMENTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
        "run": (
            """INSERT INTO runs (run_id, experiment, run_name, status, began, tags, note)
               VALUES (:run_id, :experiment, :run_name, :status, :time, :tags, :note)
               ON CONFLICT (run_id) DO UPDATE SET status = :status, tags = :tags,
                   note = coalesce(note || char(10) || :note, :note, note),
                   ended = CASE WHEN :status = 'running' THEN NULL ELSE :time END""",
            ("run_id", "experiment", "run_name", "status", "time", "tags", "note"),
        ),
        "parameter": (
            "INSERT OR REPLACE INTO parameters VALUES (:run_id, :name, :value)",
            ("run_id", "name", "value"),
        ),
        "metric": (
            "INSERT INTO metrics VALUES (:run_id, :name, :value, :step, :epoch, :time)",
            ("run_id", "name", "value", "step", "epoch", "time"),
        ),
        "artifact": (
            "INSERT INTO artifacts VALUES (:run_id, :name, :artifact_kind, :uri, :size, :sha256, :time)",
            ("run_id", "name", "artifact_kind", "uri", "size", "sha256", "time"),
        ),
    }


_FORMATS: dict[str, Callable[[Path], RunFile]] = {
    ".jsonl": JsonLines,
    ".json": JsonLines,
    ".csv": Csv,
    ".sqlite": Sqlite,
    ".db": Sqlite,
}


def _json(value: Any) -> Any:
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (int, float, str)):
        return value
    return json.dumps(value, ensure_ascii=False, default=repr)
