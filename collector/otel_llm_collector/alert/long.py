"""A coarse memory beside the past, for the few series that are looked at over days: those that rules record for SLOs.

They are written to both, and read from here where a query reaches further back than the past does. The coarse part is
saved beside the alerts, so that a restart does not make an error budget whole again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from otel_llm_collector import limits
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, Matcher, SeriesSlice, make_labels

logger = logging.getLogger(__name__)


class Long:
    """The store that rules use: `past`, and a coarse one for the names in `kept_long`."""

    def __init__(self, past: Past, kept_long: frozenset[str], folder: Path | None) -> None:
        self._past = past
        self._kept_long = kept_long
        self._path = folder / "long.json" if folder is not None else None
        self._coarse = Past(limits.LONG_SECONDS, limits.LONG_RESOLUTION_SECONDS, limits.MAX_LONG_SERIES)
        self._newest_ms = 0

    def keep(self, names: frozenset[str]) -> None:
        """Keep these names from now on; those that are kept already stay."""
        self._kept_long |= names

    def has(self, labels: Labels) -> bool:
        """Whether there is such a series."""
        return self._past.has(labels)

    def append_one(
        self, labels: Labels, time_ms: int, value: float, now_ms: int, histogram: NativeHistogram | None = None
    ) -> bool:
        """Add one sample; whether there was room for its series."""
        self._newest_ms = max(self._newest_ms, now_ms)
        if histogram is None and value == value and _name(labels) in self._kept_long:  # noqa: PLR0124 - no NaN
            self._coarse.append_one(labels, time_ms, value, now_ms)
        return self._past.append_one(labels, time_ms, value, now_ms, histogram)

    def select(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> Sequence[SeriesSlice]:
        """See `Storage`."""
        name = next((one.value for one in matchers if one.name == METRIC_NAME and one.op == "="), "")
        if name in self._kept_long and start_ms < self._newest_ms - self._past.window_ms:
            return self._coarse.select(matchers, start_ms, end_ms)
        return self._past.select(matchers, start_ms, end_ms)

    def shift(self, milliseconds: int) -> None:
        """The clock was set by so much; see `Past.shift`."""
        self._past.shift(milliseconds)
        self._coarse.shift(milliseconds)
        self._newest_ms += milliseconds

    def save(self, now_ms: int) -> None:
        """Write the coarse part to its file."""
        self._coarse.prune(now_ms)
        if self._path is None or not self._kept_long:
            return
        series = [
            [dict(one.labels), one.times.tolist(), one.values.tolist()]
            for name in self._kept_long
            for one in self._coarse.select([Matcher(METRIC_NAME, "=", name)], 0, now_ms)
        ]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".draft")
            draft.write_text(json.dumps(series), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            logger.warning("%s: cannot be written (%s); it is tried again", self._path, error)

    def load(self, now_ms: int) -> None:
        """Read it after a start. What cannot be read is left where it is and written over later."""
        if self._path is None or not self._kept_long or not self._path.exists():
            return
        try:
            for labels, times, values in json.loads(self._path.read_text(encoding="utf-8")):
                number = self._coarse.number(make_labels(labels))
                numbers = np.full(len(times), number, np.int64)
                self._coarse.append(numbers, np.array(times, np.int64), np.array(values, np.float64), now_ms)
        except (OSError, ValueError, TypeError) as error:
            logger.warning("%s: cannot be read (%s); objectives look back anew", self._path, error)
        self._newest_ms = now_ms


def _name(labels: Labels) -> str:
    return next((value for name, value in labels if name == METRIC_NAME), "")
