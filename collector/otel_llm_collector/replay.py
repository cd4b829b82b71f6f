"""Sending again what the log still holds, or what lies with the dead letters, to one destination: `replay`.

It reads beside a running collector and changes nothing there: neither positions in the log nor letters. What it sends
passes the same steps as ever - filter, content, split, retry - except that dead letters are neither filtered again nor
written again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from otel_llm_collector.components import EXPORTERS, LOGS
from otel_llm_collector.config import Config
from otel_llm_collector.contract import History, Range, Record, Signal, Standing
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.dead_letters import read
from otel_llm_collector.deliver.reader import Reader
from otel_llm_collector.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Result:
    """What became of it: items by outcome, for example {"sent": 10, "filtered": 2}."""

    items: dict[str, int]

    @property
    def complete(self) -> bool:
        """Whether nothing was lost that the destination should have got."""
        return self.items.keys() <= {"sent", "filtered", "sampled"}


def from_log(config: Config, exporter: str, part: Range) -> Result:
    """Send that part of the log. Raises `ConfigError`, or `StartError` when the log cannot be read."""
    settings = _settings(config, exporter)
    kind = LOGS[config.log.kind]  # type: ignore[attr-defined]
    if kind.history is None:
        right = "replay from dead letters, or set log.kind to disk or kafka"
        problem = Problem("log.kind", "keeps nothing that could be replayed", config.log.kind, right)  # type: ignore[attr-defined]
        raise ConfigError("replay", [problem])
    history = kind.history(config.log)
    try:
        return asyncio.run(_replay(exporter, settings, _Past(history, part)))
    finally:
        history.close()


def from_dead_letters(config: Config, exporter: str, path: Path, complain: Callable[[str], None]) -> Result:
    """Send the dead letters in the file at `path`. Raises `ConfigError`, or `OSError` when there is no such file."""
    settings = _settings(config, exporter).model_copy(update={"filter": None})
    path.open("rb").close()  # whether it is there shows here and not in the middle
    records = (
        Record(offset, parcel.signal, parcel.payload, parcel.items, time.time())
        for offset, parcel in enumerate(read(path, complain))
    )
    return asyncio.run(_replay(exporter, settings, _Letters(records)))


def _settings(config: Config, exporter: str) -> Any:
    settings = config.exporters.get(exporter)
    if settings is None:
        right = "write one of " + (", ".join(config.exporters) or "nothing: no exporters are configured")
        raise ConfigError("replay", [Problem("--exporter", "names no exporter", exporter, right)])
    return settings.model_copy(update={"dead_letters": None})


async def _replay(exporter: str, settings: Any, log: _Past | _Letters) -> Result:
    registry = CollectorRegistry()
    books = Books({exporter: frozenset(settings.signals)}, registry)
    destination = EXPORTERS[settings.type].build(settings)
    reader = Reader(exporter, log, destination, settings, books, shutdown_seconds=None)
    await reader.start()
    await reader.shutdown()
    if reader.failure is not None:
        raise reader.failure
    return Result(_outcome(registry, exporter))


def _outcome(registry: CollectorRegistry, exporter: str) -> dict[str, int]:
    items: dict[str, int] = {}
    for family in registry.collect():
        for sample in family.samples:
            if sample.labels.get("exporter") != exporter or not sample.name.endswith("_total"):
                continue
            if sample.name.startswith("otelcol_exporter_sent_"):
                items["sent"] = items.get("sent", 0) + int(sample.value)
            elif sample.name.startswith("otel_llm_exporter_dropped_"):
                reason = sample.labels["reason"]
                items[reason] = items.get(reason, 0) + int(sample.value)
    return items


class _Past:
    """Part of a log that only reads, as a reader sees a log."""

    durable = False
    shared = False

    def __init__(self, history: History, part: Range) -> None:
        self._history = history
        self._records = history.records(part)
        self._position = 0

    async def start(self) -> None:
        """Nothing to start."""

    async def shutdown(self) -> None:
        """Nothing to stop."""

    def seal(self) -> None:
        """It is sealed: a replay ends where the log ended when it began."""

    async def append(self, signal: Signal, payload: bytes, items: int) -> int:
        """Not here."""
        raise NotImplementedError

    async def read(self, reader: str) -> AsyncIterator[Record]:
        """The records in order."""
        while (records := await asyncio.to_thread(next, self._records, None)) is not None:
            for record in records:
                self._position = record.offset + 1
                yield record

    async def fetch(self, offsets: Sequence[int]) -> list[Record]:
        """These records again."""
        return await asyncio.to_thread(self._history.fetch, offsets)

    async def commit(self, reader: str, offset: int) -> None:
        """Nothing is remembered."""

    def take_lost(self, reader: str) -> dict[Signal, int]:
        """Nothing is lost."""
        return {}

    def backlog(self, reader: str) -> dict[Signal, int]:
        """Not known beforehand."""
        return {}

    def standing(self, reader: str) -> Standing:
        """How far it is."""
        return Standing(self._position, self._position, 0)


class _Letters(_Past):
    """Dead letters as a log."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._letters = records
        self._position = 0

    async def read(self, reader: str) -> AsyncIterator[Record]:
        """The letters in order."""
        for record in self._letters:
            yield record
