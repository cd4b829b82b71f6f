"""The recent past of the series, for rules that look back: snapshots in a bounded ring.

A rule asks for the increase of a counter, or a quantile of a histogram, over its window. The store holds only totals,
so each evaluation keeps a snapshot of the metrics that rules use; what is older than the longest window goes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from otel_llm_collector.measure.series import Point, SeriesStore

LabelSet = tuple[tuple[str, str], ...]

# A window holds about this many snapshots however often it is asked to take one, so it is exact to 1%.
_SNAPSHOTS = 100


@dataclass(frozen=True, slots=True)
class Change:
    """How one series changed over a window: `value` the increase (a histogram's: of its sum), `counts` per bucket."""

    labels: Mapping[str, str]
    value: float
    counts: tuple[int, ...]
    seconds: float


class Window:
    """Snapshots of the metrics named `names` over the last `seconds`."""

    def __init__(self, store: SeriesStore, names: Iterable[str], seconds: float) -> None:
        self._store = store
        self._names = sorted(set(names))
        self._seconds = seconds
        self._snapshots: deque[tuple[float, dict[str, dict[LabelSet, Point]]]] = deque()

    def snapshot(self, now: float) -> None:
        """Remember the series as they stand at `now` (seconds). A clock that went back starts the window anew."""
        if self._snapshots and now <= self._snapshots[-1][0]:
            self._snapshots.clear()
        if len(self._snapshots) > 1 and now - self._snapshots[-2][0] < self._seconds / _SNAPSHOTS:
            self._snapshots.pop()  # the newest is always kept; those close before it need not be
        taken = {
            name: {tuple(sorted(point.labels.items())): point for point in self._store.points(name)}
            for name in self._names
        }
        self._snapshots.append((now, taken))
        # One snapshot older than the window stays: the increase over the window starts from it.
        while len(self._snapshots) > 2 and self._snapshots[1][0] <= now - self._seconds:  # noqa: PLR2004
            self._snapshots.popleft()

    def changes(self, name: str) -> list[Change]:
        """How each series of `name` changed over the window up to the newest snapshot.

        A series that was not there at the start of the window counts from 0: it began inside it. Nothing is known
        before the second snapshot.
        """
        if len(self._snapshots) < 2:  # noqa: PLR2004
            return []
        now, newest = self._snapshots[-1]
        start, oldest = self._snapshots[0]
        for taken_at, taken in self._snapshots:
            if taken_at > now - self._seconds:
                break
            start, oldest = taken_at, taken
        return [_change(point, oldest[name].get(key), now - start) for key, point in newest[name].items()]


def _change(new: Point, old: Point | None, seconds: float) -> Change:
    if old is None or old.value > new.value:  # a series that began, or began again, inside the window
        return Change(new.labels, new.value, new.counts, seconds)
    counts = tuple(later - earlier for later, earlier in zip(new.counts, old.counts, strict=True))
    return Change(new.labels, new.value - old.value, counts, seconds)


def quantile(q: float, boundaries: Sequence[float], counts: Sequence[int]) -> float:
    """The `q`-quantile of a histogram by Prometheus' rule: linear inside a bucket, the highest boundary above it.

    NaN when nothing was observed.
    """
    total = sum(counts)
    if not total:
        return math.nan
    rank = q * total
    below = 0
    for index, count in enumerate(counts):
        if below + count >= rank and count:
            if index == len(boundaries):
                return boundaries[-1]
            lower = boundaries[index - 1] if index else 0.0
            upper = boundaries[index]
            return upper if index == 0 and upper <= 0 else lower + (upper - lower) * (rank - below) / count
        below += count
    return boundaries[-1]
