"""What was spent, in SQLite: sums by budget, period and group, and the spans that are in them.

Sums and spans change in one transaction, which ends before the sender is answered: after a crash a span is in both or
in neither, and the sender sends again what was in neither. Money is integer nano-USD.

    spent(budget, period, grp, nano)        period: when it began, in seconds since the epoch
    counted(span, seen)                     trace id and span id; when it was counted
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from otel_llm_collector import limits

logger = logging.getLogger(__name__)

_TABLES = """
CREATE TABLE IF NOT EXISTS spent (
    budget TEXT, period REAL, grp TEXT, nano INTEGER, PRIMARY KEY (budget, period, grp)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counted (seen REAL, span BLOB UNIQUE);
"""
_OVERFLOW = "(other)"
_TIDY_EVERY = 10_000  # spans


@dataclass(frozen=True, slots=True)
class Spent:
    """An amount that goes to one sum."""

    budget: str
    period: float
    group: str
    nano: int


class Spend:
    """The file in `folder`, or memory without one; safe for threads.

    At most `MAX_COUNTED_SPANS` spans are remembered, the newest; one that comes again after that counts again.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._groups: dict[tuple[str, float], dict[str, int]] = {}
        self._since_tidy = 0
        self.dropped: Counter[str] = Counter()

    async def start(self) -> None:
        """Open the file. One that is no database is set aside, and counting begins anew."""
        if self._folder is None:
            self._database = _opened(":memory:")
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "spend.db"
        try:
            self._database = _opened(str(path))
        except sqlite3.DatabaseError:
            logger.exception("%s: cannot be read; it is kept as spend.unreadable, and spending is counted anew", path)
            path.replace(path.with_suffix(".unreadable"))
            self._database = _opened(str(path))

    async def shutdown(self) -> None:
        """Close it."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def add(self, spans: Sequence[tuple[bytes, Sequence[Spent]]], now: float) -> None:
        """Count spans that were not counted before."""
        with self._lock:
            if self._database is None:
                return
            fresh = Counter[tuple[str, float, str]]()
            with self._database as transaction:
                for span, amounts in spans:
                    added = transaction.execute("INSERT OR IGNORE INTO counted VALUES (?, ?)", (now, span))
                    if not added.rowcount:
                        self.dropped["counted_before"] += 1
                        continue
                    for one in amounts:
                        fresh[one.budget, one.period, self._bounded(one)] += one.nano
                transaction.executemany(
                    "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET nano = nano + excluded.nano",
                    [(*key, nano) for key, nano in fresh.items()],
                )
            for (budget, period, group), nano in fresh.items():
                sums = self._sums(budget, period)
                sums[group] = sums.get(group, 0) + nano
            self._tidy(len(spans))

    def sums(self, budget: str, period: float) -> dict[str, int]:
        """Nano-USD by group."""
        with self._lock:
            return dict(self._sums(budget, period))

    def _sums(self, budget: str, period: float) -> dict[str, int]:
        found = self._groups.get((budget, period))
        if found is None:
            if len(self._groups) > limits.MAX_BUDGET_GROUPS:  # of periods that are over
                self._groups.clear()
            rows = (
                self._database.execute("SELECT grp, nano FROM spent WHERE budget = ? AND period = ?", (budget, period))
                if self._database is not None
                else ()
            )
            found = self._groups[budget, period] = dict(rows)
        return found

    def _bounded(self, one: Spent) -> str:
        known = self._sums(one.budget, one.period)
        if one.group in known or len(known) < limits.MAX_BUDGET_GROUPS:
            known.setdefault(one.group, 0)
            return one.group
        self.dropped["group_limit"] += 1
        return _OVERFLOW

    def _tidy(self, added: int) -> None:
        self._since_tidy += added
        if self._since_tidy < _TIDY_EVERY or self._database is None:
            return
        self._since_tidy = 0
        with self._database as transaction:
            transaction.execute(
                "DELETE FROM counted WHERE rowid <= (SELECT max(rowid) FROM counted) - ?", (limits.MAX_COUNTED_SPANS,)
            )


def _opened(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_TABLES)
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database
