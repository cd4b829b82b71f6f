"""Intervals of what services do: calls to models and the newest values of metrics, until their time is over.

An SQLite file, or memory. A call counts once however often it comes, a value replaces the one before, deltas add up.
What comes for an interval that has been told already goes into the one that is now.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from otel_llm_collector import limits
from otel_llm_collector.deliver.comet_said import Call, Place, Point, Said, Value

logger = logging.getLogger(__name__)

_SETTLE_SECONDS = 5.0  # an interval that is over waits so long, and no longer than it lasts, for what is on its way
_TABLES = """
CREATE TABLE IF NOT EXISTS places (key TEXT PRIMARY KEY, name TEXT, project TEXT);
CREATE TABLE IF NOT EXISTS calls (
    interval INTEGER, place TEXT, span BLOB, model TEXT, input INTEGER, output INTEGER, cost REAL, seconds REAL,
    first REAL, failed INTEGER, PRIMARY KEY (place, span)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS points (
    interval INTEGER, place TEXT, name TEXT, time INTEGER, value REAL, PRIMARY KEY (interval, place, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (interval INTEGER PRIMARY KEY);
"""
_QUANTILES = {"p50": 0.5, "p95": 0.95}


def _opened(path: Path | None) -> sqlite3.Connection:
    file = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = FULL")
    file.executescript(_TABLES)
    return file


class Intervals:
    """What is not told yet, by intervals of `seconds`; in memory without a `path`. Time is an argument."""

    def __init__(self, path: Path | None, seconds: int, now: float) -> None:
        self._seconds = seconds
        try:
            self._file = _opened(path)
        except sqlite3.DatabaseError as error:
            if path is None or isinstance(error, sqlite3.OperationalError):  # the disk, not what is on it
                raise
            aside = path.with_name(f"{path.name}.broken")
            logger.error("comet: %s is broken (%s); it is set aside as %s", path, error, aside.name)  # noqa: TRY400
            path.rename(aside)
            self._file = _opened(path)
        self._touched = dict.fromkeys(self._open(), now)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def add(self, calls: Iterable[Call], values: Iterable[Value], now: float) -> None:
        """Keep calls and values; they are on the disk when this returns."""
        told = {one for (one,) in self._file.execute("SELECT interval FROM told")}
        places: set[Place] = set()

        def interval(time_ms: int) -> int:
            found = min(time_ms / 1000, now) // self._seconds
            found = now // self._seconds if found in told else found
            self._touched[int(found)] = now
            return int(found)

        self._file.execute("BEGIN")
        try:
            for call in calls:
                places.add(call.place)
                self._file.execute(
                    "INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        interval(call.time_ms), call.place.key, call.span, call.model, call.input, call.output,
                        call.cost, call.seconds, call.first_seconds, call.failed,
                    ),
                )  # fmt: skip
            for one in values:
                places.add(one.place)
                new = "points.value + excluded.value" if one.adds else "excluded.value"
                self._file.execute(
                    "INSERT INTO points VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"  # noqa: S608 - words of ours
                    f" SET time = excluded.time, value = {new} WHERE excluded.time >= points.time",
                    (interval(one.time_ms), one.place.key, one.name, one.time_ms, one.value),
                )
            rows = [(one.key, one.name, one.project) for one in places]
            self._file.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", rows)
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def due(self, now: float, *, every: bool = False) -> list[int]:
        """The intervals whose time is over, the oldest first; all of them at the end, or when there is too much."""
        (rows,) = self._file.execute("SELECT (SELECT count(*) FROM calls) + (SELECT count(*) FROM points)").fetchone()
        if every or rows > limits.MAX_COMET_ROWS:
            return self._open()
        return [
            one
            for one in self._open()
            if (one + 1) * self._seconds <= now
            and now - self._touched.get(one, 0.0) >= min(_SETTLE_SECONDS, self._seconds)
        ]

    def said(self, interval: int) -> list[Said]:
        """What an interval has to say, for each experiment."""
        end_ms = (interval + 1) * self._seconds * 1000
        found: dict[str, Said] = {}

        def of(key: str) -> Said:
            if key not in found:
                query = "SELECT name, project FROM places WHERE key = ?"
                where = Place(key, *self._file.execute(query, (key,)).fetchone())
                found[key] = Said(where, end_ms, end_ms, others={"Name": where.name})
            return found[key]

        query = (
            "SELECT place, model, count(*), sum(failed), sum(input), sum(output), sum(cost), avg(seconds)"
            " FROM calls WHERE interval = ? GROUP BY place, model"
        )
        for key, model, *sums in self._file.execute(query, (interval,)).fetchall():
            names = ("calls", "errors", "input_tokens", "output_tokens", "cost_usd", "seconds_mean")
            numbers = dict(zip(names, sums, strict=True))
            for column in ("seconds", "first"):
                numbers |= self._quantiles(interval, key, model, column)
            points = ((f"llm/{model}/{name}", value) for name, value in numbers.items() if value is not None)
            of(key).points += [Point(name, float(value), interval, None, end_ms) for name, value in points]
        query = "SELECT place, name, value FROM points WHERE interval = ?"
        for key, name, value in self._file.execute(query, (interval,)).fetchall():
            if value is not None:  # SQLite keeps no NaN
                of(key).points.append(Point(name, value, interval, None, end_ms))
        return list(found.values())

    def told(self, interval: int) -> None:
        """Forget an interval; what comes for it later is of another."""
        self._file.execute("BEGIN")
        self._file.execute("DELETE FROM calls WHERE interval = ?", (interval,))
        self._file.execute("DELETE FROM points WHERE interval = ?", (interval,))
        self._file.execute("INSERT OR IGNORE INTO told VALUES (?)", (interval,))
        remembered = limits.MAX_COMET_INTERVALS
        self._file.execute("DELETE FROM told WHERE interval <= (SELECT max(interval) FROM told) - ?", (remembered,))
        self._file.execute("COMMIT")
        self._touched.pop(interval, None)

    def _open(self) -> list[int]:
        query = "SELECT interval FROM calls UNION SELECT interval FROM points ORDER BY 1"
        return [one for (one,) in self._file.execute(query)]

    def _quantiles(self, interval: int, key: str, model: str, column: str) -> dict[str, float]:
        query = f"SELECT {column} FROM calls WHERE interval = ? AND place = ? AND model = ? AND {column} NOT NULL ORDER BY 1"  # noqa: S608, E501 - words of ours
        found = [one for (one,) in self._file.execute(query, (interval, key, model))]
        name = "first_token_seconds" if column == "first" else column
        return {f"{name}_{which}": found[int(at * (len(found) - 1) + 0.5)] for which, at in _QUANTILES.items() if found}
