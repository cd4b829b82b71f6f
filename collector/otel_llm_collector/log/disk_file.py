"""The file of the log on disk: SQLite in WAL mode. Blocking code; `disk` runs it in threads.

Format 1. `PRAGMA application_id` is 0x6f6c6c6d ("ollm"), `PRAGMA user_version` the format. Two tables:

    records(offset INTEGER PRIMARY KEY, signal, items, appended_at, crc, payload)
        signal: 0 traces, 1 metrics, 2 logs; appended_at: seconds since the epoch; crc: CRC-32 of the payload;
        payload: one OTLP request in protobuf
    readers(name TEXT PRIMARY KEY, committed)
        everything below `committed` is done for that destination

Invariants:
1. A record is in the file and synced to the disk before `write` returns (synchronous=FULL: the WAL is synced at each
   commit). A transaction holds all requests that arrived while the one before was being written.
2. Offsets grow by one from record to record and are never used twice.
3. `committed` never decreases. It may lag behind what was delivered; the records between are delivered again after a
   crash. Records below every reader's `committed` are deleted.
4. A crash at any moment leaves a prefix of the transactions: SQLite replays its WAL up to the last whole commit.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from otel_llm_collector.contract import Record
from otel_llm_collector.errors import StartError
from otel_llm_collector.log.disk_index import SIGNALS

logger = logging.getLogger(__name__)

NAME = "log.sqlite3"
_APPLICATION_ID = 0x6F6C6C6D
_FORMAT = 1
_PAGE_BYTES = 16384  # measured: 4 KiB costs 2 to 4 times the CPU for large payloads, 64 KiB is slower for small ones
_BUSY_SECONDS = 5.0
_CACHE_KIB = 32 * 1024  # what is deleted was mostly written a moment ago: measured a third less CPU than with 2 MiB
_FETCH_BYTES = 16 << 20  # of a run of offsets read with one statement
_MAX_ITEMS = 1 << 40
_MAX_GAP = 1 << 20  # offsets missing in a row
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _runs(offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Offsets as runs without gaps, from the first to the one after the last."""
    start = end = -1
    for offset in offsets:
        if offset != end:
            if start >= 0:
                yield start, end
            start = offset
        end = offset + 1
    if start >= 0:
        yield start, end


class _Damaged(sqlite3.DatabaseError):
    """SQLite can read the file, but what stands in it cannot be right."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def is_broken(error: Exception) -> bool:
    """Whether `error` says that the file itself is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


class LogFile:
    """The file in `folder`. `open` first; each of the three groups of methods may be used from one thread at a time."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._clock = clock
        self._lock: IO[str] | None = None
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._checkpointer: sqlite3.Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a file to write to."""
        return self._writer is not None

    # starting and stopping

    def open(self) -> None:
        """Open or create the file; a broken one is set aside. Raises `StartError`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            try:
                self._connect()
            except sqlite3.Error as error:
                if not is_broken(error):
                    raise
                self.set_aside(error)
        except StartError:
            self.close()
            raise
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise StartError(self._sentence("cannot be opened for writing", error)) from error

    def open_to_read(self) -> None:
        """Open the file for `read`, `fetch`, `bounds` and `offset_at` beside whoever writes. Raises `StartError`."""
        try:
            if not self._path.exists():
                raise StartError(self._sentence("holds no log", "name the folder of a log on disk"))
            reader = self._reader = self._connection()
            version = reader.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error as error:
            self.close()
            raise StartError(self._sentence("cannot be read", error)) from error
        if version != _FORMAT:
            self.close()
            raise StartError(self._sentence(f"is of format {version}", f"run the version that wrote it, not {_FORMAT}"))
        reader.execute("PRAGMA query_only = ON")

    def bounds(self) -> tuple[int, int]:
        """The oldest offset kept and the one after the newest."""
        first, last = self._of(self._reader).execute("SELECT min(offset), max(offset) FROM records").fetchone()
        return (first, last + 1) if first is not None else (0, 0)

    def offset_at(self, seconds: float) -> int:
        """The first offset appended at that time or later; past the end when there is none."""
        query = "SELECT min(offset) FROM records WHERE appended_at >= ?"
        found = self._of(self._reader).execute(query, (seconds,)).fetchone()[0]
        return int(found) if found is not None else self.bounds()[1]

    def set_aside(self, error: Exception) -> None:
        """Move the broken file out of the way and begin a new one."""
        self._disconnect()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._clock()))
        target = self._folder / f"{NAME}.broken-{stamp}"
        number = 1
        while target.exists():
            number += 1
            target = self._folder / f"{NAME}.broken-{stamp}-{number}"
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").rename(f"{target}{suffix}")
        logger.error("log.path: %s is broken (%s); it was moved to %s and a new log begins", self._path, error, target)
        self._connect()

    def close(self) -> None:
        """Close the file and let others open it."""
        self._disconnect()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def scan(self) -> Iterator[tuple[int, int, int, float, int]]:
        """(offset, signal, items, appended_at, bytes) of every record, without reading payloads."""
        return iter(
            self._of(self._writer).execute(
                "SELECT offset, signal, items, appended_at, length(payload) FROM records ORDER BY offset"
            )
        )

    def readers(self) -> dict[str, int]:
        """What each reader has committed."""
        return dict(self._of(self._writer).execute("SELECT name, committed FROM readers"))

    def forget(self, names: Sequence[str]) -> None:
        """These readers are gone."""
        self._of(self._writer).executemany("DELETE FROM readers WHERE name = ?", [(name,) for name in names])

    # the writing thread

    def write(self, records: Sequence[Record], committed: Mapping[str, int], delete_below: int | None) -> None:
        """One transaction; when it returns, all of it is on the disk. Raises `sqlite3.Error` and keeps nothing."""
        connection = self._of(self._writer)
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (
                        one.offset,
                        SIGNALS.index(one.signal),
                        one.items,
                        one.appended_at,
                        zlib.crc32(one.payload),
                        one.payload,
                    )
                    for one in records
                ),
            )
            connection.executemany("INSERT OR REPLACE INTO readers VALUES (?, ?)", list(committed.items()))
            if delete_below is not None:
                connection.execute("DELETE FROM records WHERE offset < ?", (delete_below,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def restart_wal(self) -> None:
        """Finish a checkpoint so that the WAL is written from its beginning again."""
        self._of(self._writer).execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    # the checkpointing thread

    def checkpoint(self) -> None:
        """Copy what is in the WAL into the file; nobody waits for it."""
        self._of(self._checkpointer).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    # the reading thread

    def read(self, start: int, end: int, max_bytes: int) -> tuple[list[Record], int]:
        """Records from `start` on, and the offset up to which they were looked for.

        Stops before `end` and after `max_bytes`. Records that are damaged are missing in the list.
        """
        try:
            return self._read(start, end, max_bytes)
        except sqlite3.DatabaseError as error:
            if not is_broken(error):
                raise
            logger.exception("log.path: %s is damaged between offsets %d and %d", self._path, start, end)
        found: list[Record] = []
        for offset in range(start, end):  # one by one, so that only what stands on a damaged page is lost
            try:
                found += self._read(offset, offset + 1, max_bytes)[0]
            except sqlite3.DatabaseError as error:
                if not is_broken(error):
                    raise
        return found, end

    def fetch(self, offsets: Sequence[int]) -> list[Record]:
        """The records at `offsets`, given in growing order, that are there and whole."""
        found: list[Record] = []
        for start, end in _runs(offsets):
            position = start
            while position < end:
                records, position = self.read(position, end, _FETCH_BYTES)
                found += records
        return found

    def _read(self, start: int, end: int, max_bytes: int) -> tuple[list[Record], int]:
        found: list[Record] = []
        total = 0
        with contextlib.closing(
            self._of(self._reader).execute(
                "SELECT offset, signal, items, appended_at, crc, payload FROM records "
                "WHERE offset >= ? AND offset < ? ORDER BY offset",
                (start, end),
            )
        ) as rows:
            for offset, signal, items, at, crc, payload in rows:
                if zlib.crc32(payload) != crc:
                    logger.error("log.path: %s: the record at offset %d is damaged and left out", self._path, offset)
                    continue
                found.append(Record(offset, SIGNALS[signal], payload, items, at))
                total += len(payload)
                if total >= max_bytes:
                    return found, offset + 1
        return found, end

    # inside

    def _connect(self) -> None:
        writer = self._writer = self._connection()
        identity = writer.execute("PRAGMA application_id").fetchone()[0]
        version = writer.execute("PRAGMA user_version").fetchone()[0]
        empty = writer.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if empty:
            self._create(writer)
        elif identity != _APPLICATION_ID or version != _FORMAT:
            wrong = f"is no log of format {_FORMAT} (application {identity:#x}, format {version})"
            raise StartError(self._sentence(wrong, "name another folder, or run the version that wrote it"))
        self._look_through()
        self._reader = self._connection()
        self._checkpointer = self._connection()

    def _look_through(self) -> None:
        """Walk every page but those of large payloads, so that damage shows here and not later."""
        before: int | None = None
        for offset, signal, items, at, size in self.scan():
            plausible = (
                signal in range(len(SIGNALS))
                and isinstance(items, int)
                and 0 <= items < _MAX_ITEMS
                and isinstance(at, float)
                and isinstance(size, int)
                and (before is None or offset - before < _MAX_GAP)
            )
            if not plausible:
                msg = f"the record at offset {offset} cannot be right"
                raise _Damaged(msg)
            before = offset
        for name, committed in self.readers().items():
            if not isinstance(name, str) or not isinstance(committed, int):
                msg = f"the reader {name!r} cannot be right"
                raise _Damaged(msg)

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        try:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _create(self, writer: sqlite3.Connection) -> None:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        writer.execute(f"PRAGMA user_version = {_FORMAT}")
        writer.execute(
            "CREATE TABLE records (offset INTEGER PRIMARY KEY, signal INTEGER NOT NULL, items INTEGER NOT NULL, "
            "appended_at REAL NOT NULL, crc INTEGER NOT NULL, payload BLOB NOT NULL)"
        )
        writer.execute("CREATE TABLE readers (name TEXT PRIMARY KEY, committed INTEGER NOT NULL) WITHOUT ROWID")
        writer.execute("COMMIT")
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _disconnect(self) -> None:
        for connection in (self._checkpointer, self._reader, self._writer):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        self._checkpointer = self._reader = self._writer = None

    def _take_lock(self) -> None:
        lock = (self._folder / "lock").open("a", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise StartError(self._sentence("is in use by another collector", "give each its own folder")) from error
        self._lock = lock

    def _sentence(self, wrong: str, right: object) -> str:
        return f"log.path: {wrong} (seen: {self._folder}): {right}"

    def _of(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:
            msg = "the log file is closed"
            raise sqlite3.ProgrammingError(msg)
        return connection
