"""Random lives of a log against a model of it: appends, readers, commits, overflow, restarts, crashes."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from otel_llm_collector.contract import Record, Signal
from otel_llm_collector.log.disk import DiskLog, DiskLogConfig
from otel_llm_collector.log.disk_file import NAME
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig

READERS = ("a", "b")
SIGNALS = st.sampled_from(list(Signal))


class Life(RuleBasedStateMachine):
    """The model: all records ever acknowledged, and for each reader what it has read, lost and committed in this life.

    In each life and for each reader: what stood in the log at its start plus what was appended = read + lost + waiting.
    """

    log: Any
    max_bytes: int

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="log-machine-"))
        self.records: dict[int, tuple[Signal, bytes, int]] = {}
        self.committed = dict.fromkeys(READERS, 0)  # over all lives
        self.begin_counting()

    def begin_counting(self) -> None:
        self.streams: dict[str, Any] = {}
        self.read: dict[str, list[int]] = {name: [] for name in READERS}
        self.items_read = dict.fromkeys(READERS, 0)
        self.items_lost = dict.fromkeys(READERS, 0)
        self.items_put = dict.fromkeys(READERS, 0)

    def make(self) -> Any:
        raise NotImplementedError

    @initialize(max_bytes=st.sampled_from([64 * 1024, 1 << 20]))
    def begin(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.open()

    def open(self) -> None:
        self.log = self.make()
        self.loop.run_until_complete(self.log.start())
        for name in READERS:
            self.items_put[name] = sum(self.log.backlog(name).values())

    @rule(size=st.sampled_from([0, 1, 500, 3000, 20_000]), items=st.integers(1, 9), signal=SIGNALS)
    def append(self, size: int, items: int, signal: Signal) -> None:
        payload = bytes([len(self.records) % 256]) * size
        offset = self.loop.run_until_complete(self.log.append(signal, payload, items))
        assert offset == max(self.records, default=-1) + 1
        self.records[offset] = (signal, payload, items)
        for name in READERS:
            self.items_put[name] += items

    @rule(name=st.sampled_from(READERS), count=st.integers(1, 8))
    def take(self, name: str, count: int) -> None:
        stream = self.streams.setdefault(name, self.log.read(name))
        for _ in range(count):
            if self.next_of(name) > max(self.records, default=-1):
                return
            record: Record = self.loop.run_until_complete(asyncio.wait_for(anext(stream), 5))
            assert (record.signal, record.payload, record.items) == self.records[record.offset]
            assert not self.read[name] or record.offset > self.read[name][-1]
            self.read[name].append(record.offset)
            self.items_read[name] += record.items

    def next_of(self, name: str) -> int:
        """The offset that the reader would read now; the models of both logs have it under one name."""
        return int(self.log._readers[name].position)

    @rule(name=st.sampled_from(READERS), back=st.integers(0, 3))
    def commit(self, name: str, back: int) -> None:
        if len(self.read[name]) > back:
            offset = self.read[name][-1 - back] + 1
            self.loop.run_until_complete(self.log.commit(name, offset))
            self.committed[name] = max(self.committed[name], offset)

    @rule()
    def pause(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "log"):
            return
        for name in READERS:
            lost = sum(self.log.take_lost(name).values())
            self.items_lost[name] += lost
            waiting = sum(self.log.backlog(name).values())
            assert self.items_put[name] == self.items_read[name] + self.items_lost[name] + waiting

    def end_life(self) -> None:
        for stream in self.streams.values():
            self.loop.run_until_complete(stream.aclose())
        self.loop.run_until_complete(self.log.shutdown())

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.books_balance()
            for name in READERS:  # everything that is left can be read
                self.take(name, len(self.records) + 1)
                assert not any(self.log.backlog(name).values())
            self.books_balance()
            self.end_life()
        self.loop.close()
        shutil.rmtree(self.folder)


class MemoryLife(Life):
    """The log in memory has one life."""

    def make(self) -> Any:
        return MemoryLog(MemoryLogConfig(max_bytes=self.max_bytes), READERS)


class DiskLife(Life):
    """The log on disk goes on after a stop, and after being killed at any moment."""

    lives = 0
    gone = 0  # offsets below this had to make room, delivered or not

    def make(self) -> Any:
        return DiskLog(DiskLogConfig(path=self.folder / str(self.lives), max_bytes=self.max_bytes), READERS)

    def next_life(self, *, exact: bool) -> None:
        """Open what is on the disk. A reader goes on between what it had committed and that with some lag."""
        self.begin_counting()
        self.open()
        for name in READERS:
            position = self.next_of(name)
            assert position <= max(self.committed[name], self.gone)
            assert position >= self.committed[name] or not exact
            self.committed[name] = position

    @precondition(lambda self: hasattr(self, "log"))
    @rule()
    def restart(self) -> None:
        self.books_balance()
        self.gone = self.log._index.first
        self.end_life()
        self.next_life(exact=True)

    @precondition(lambda self: hasattr(self, "log"))
    @rule(torn=st.integers(0, 3000), seed=st.integers(0, 9))
    def crash(self, torn: int, seed: int) -> None:
        """What the files hold between two transactions, with the beginning of one more that was never finished."""
        self.books_balance()
        self.gone = self.log._index.first
        old, self.lives = self.folder / str(self.lives), self.lives + 1
        new = self.folder / str(self.lives)
        new.mkdir()

        def copy() -> None:
            for name in (NAME, f"{NAME}-wal"):
                shutil.copyfile(old / name, new / name)

        self.log._threads["write"].submit(copy).result()  # in that thread: no transaction is half written
        with (new / f"{NAME}-wal").open("ab") as wal:
            wal.write(random.Random(seed).randbytes(torn))
        self.end_life()
        self.next_life(exact=False)


TestMemoryLife = MemoryLife.TestCase
TestMemoryLife.__doc__ = "The log in memory behaves like its model in random lives."
TestMemoryLife.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestDiskLife = DiskLife.TestCase
TestDiskLife.__doc__ = "The log on disk behaves like its model in random lives with restarts and crashes."
TestDiskLife.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
