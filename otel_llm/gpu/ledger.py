"""Shares what this process does on the GPUs among the spans that are in flight.

Spans that overlap share: at each moment a span's part is its weight over the weights of all that are in flight, as in
fair queueing. One virtual clock carries that: it runs at 1 / (total weight), so a span's part of an interval is its
weight times what the clock advanced, and a span costs the same whether it is alone or one of a thousand.

The devices' energy counters decide how much there is to share; they are read at intervals, by `tick`. A span that ends
between two readings is given what the last interval says for its rest. What is shared out and what is left over always
add up to the counters. Pure: time and readings are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Work:
    """One device at one moment. `joules` only grows; `own` is this process' part of what it does, from 0 to 1."""

    device: str
    joules: float
    busy: float | None = 0.0  # None where the device does not tell, as with MIG
    own: float = 1.0
    own_bytes: int = 0


@dataclass(slots=True)
class Used:
    """What a span used, over all devices."""

    joules: float = 0.0
    gpu_seconds: float | None = 0.0  # None once a device that worked for it did not tell
    intervals: int = 0  # readings that its numbers rest on; the rest is carried on from the last of them
    peak_bytes: int = 0  # most memory of this process that a reading saw
    devices: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Share:
    """A span in flight."""

    weight: float
    clock: float  # of the virtual clock, up to which its part is in `used`
    used: Used = field(default_factory=Used)
    ended: bool = False


class Ledger:
    """The spans in flight and the last reading of each device."""

    def __init__(self, now: float) -> None:
        self.shared = 0.0  # joules of this process that went to spans
        self.left: dict[str, float] = {}  # device -> joules of this process that went to none
        self._now = now
        self._read_at = now
        self._clock = 0.0
        self._weight = 0.0
        self._shares: dict[int, Share] = {}
        self._joules: dict[str, float] = {}
        self._watts: dict[str, float] = {}  # of this process, over the last interval
        self._busy: float | None = 0.0  # GPUs that were busy for this process, over the last interval
        self._ended_parts = 0.0  # seconds given to spans that ended since the last reading

    @property
    def in_flight(self) -> int:
        """How many spans share at the moment."""
        return len(self._shares)

    def begin(self, now: float, weight: float = 1.0) -> Share:
        """A span starts."""
        self._advance(now)
        share = Share(weight, self._clock)
        self._shares[id(share)] = share
        self._weight += weight
        return share

    def end(self, share: Share, now: float) -> Used:
        """A span ends; says what it used. A second time it says the same."""
        if share.ended:
            return share.used
        share.ended = True
        self._advance(now)
        part = self._give(share)
        self._ended_parts += part
        self._shares.pop(id(share), None)
        self._weight = self._weight - share.weight if self._shares else 0.0
        return share.used

    def tick(self, now: float, works: Iterable[Work]) -> None:
        """Close an interval: share out what the devices did since the last reading."""
        self._advance(now)
        seconds = now - self._read_at
        if seconds <= 0:
            for work in works:
                self._joules.setdefault(work.device, work.joules)
            return
        before, ended = self._watts, self._ended_parts
        joules: dict[str, float] = {}
        peak = 0
        self._busy = 0.0
        for work in works:
            last = self._joules.get(work.device)
            self._joules[work.device] = work.joules
            if last is not None and work.joules >= last:  # a new driver counts from zero again
                joules[work.device] = (work.joules - last) * work.own
                if work.own > 0:
                    known = self._busy is not None and work.busy is not None
                    self._busy = self._busy + work.busy * work.own if known else None  # type: ignore[operator]
            peak += work.own_bytes
        self._watts = {device: spent / seconds for device, spent in joules.items()}
        self._read_at, self._ended_parts = now, 0.0
        parts = 0.0
        for share in self._shares.values():
            parts += self._give(share)
            share.used.intervals += 1
            share.used.peak_bytes = max(share.used.peak_bytes, peak)
        for device, spent in joules.items():
            given = self._watts[device] * parts + before.get(device, 0.0) * ended
            self.left[device] = self.left.get(device, 0.0) + spent - given
        for device, watts in before.items():
            if device not in joules:  # the device went away after spans had been given of it
                self.left[device] = self.left.get(device, 0.0) - watts * ended

    def _give(self, share: Share) -> float:
        """Give a span its part since the last time, at the last interval's power; says how many seconds that was."""
        part = share.weight * (self._clock - share.clock)
        share.clock = self._clock
        joules = sum(self._watts.values()) * part
        share.used.joules += joules
        if part > 0 and (self._busy is None or share.used.gpu_seconds is None):
            share.used.gpu_seconds = None
        elif self._busy is not None and share.used.gpu_seconds is not None:
            share.used.gpu_seconds += self._busy * part
        share.used.devices.update(device for device, watts in self._watts.items() if watts > 0)
        self.shared += joules
        return part

    def _advance(self, now: float) -> None:
        if self._weight > 0 and now > self._now:
            self._clock += (now - self._now) / self._weight
        self._now = max(self._now, now)
