"""Which traces are held until they are whole, as a pure state: nothing here waits, reads or sends.

A trace is held until no span of it has come for `quiet_seconds`, or `max_seconds` after its first. What is held of it
is where its spans lie in the log, not the spans.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from otel_llm_collector import limits
from otel_llm_collector.deliver.summary import TraceSummary


class WholeTraceSettings(BaseModel):
    """How long a trace is waited for, so that its spans are judged and sent together."""

    model_config = ConfigDict(extra="forbid")

    quiet_seconds: float = Field(
        5.0, gt=0, le=3600, description="A trace is whole when nothing of it came for this long."
    )
    max_seconds: float = Field(60.0, gt=0, le=86400, description="Longest wait for one trace, in seconds.")
    max_traces: int = Field(limits.MAX_HELD_TRACES, ge=1, description="Traces held; over it the oldest goes on early.")
    max_bytes: int = Field(
        limits.MAX_HELD_BYTES, ge=1024, description="Bytes of the log held for them; over it the oldest goes on early."
    )


@dataclass(slots=True)
class HeldTrace:
    """One trace: where its spans lie, as (offset, spans), and what is known of it."""

    trace_id: bytes
    first_at: float
    last_at: float
    parts: list[tuple[int, int]] = field(default_factory=list)
    summary: TraceSummary = field(default_factory=TraceSummary)
    kept: bool | None = None  # decided before: these spans came late


class Traces:
    """The traces that are held. Times are seconds that only grow."""

    def __init__(self, settings: WholeTraceSettings) -> None:
        self._settings = settings
        self._by_age: OrderedDict[bytes, HeldTrace] = OrderedDict()  # the first that came first
        self._by_quiet: OrderedDict[bytes, HeldTrace] = OrderedDict()  # the one longest quiet first
        self._decided: OrderedDict[bytes, bool] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[HeldTrace]:
        return iter(self._by_age.values())

    def add(self, trace_id: bytes, part: tuple[int, int] | None, summary: TraceSummary | None, now: float) -> None:
        """Spans of a trace came; or, without `part`, only news about it."""
        held = self._by_age.get(trace_id)
        if held is None:
            held = HeldTrace(trace_id, now, now, kept=self._decided.get(trace_id))
            self._by_age[trace_id] = self._by_quiet[trace_id] = held
        held.last_at = now
        self._by_quiet.move_to_end(trace_id)
        if part is not None:
            held.parts.append(part)
        if summary is not None:
            held.summary.add(summary)

    def take_due(self, now: float) -> list[HeldTrace]:
        """The traces that are whole by now, the oldest first; they are held no longer."""
        due = []
        while self._by_quiet:
            held = next(iter(self._by_quiet.values()))
            if held.last_at + self._settings.quiet_seconds > now:
                break
            due.append(self._remove(held))
        while self._by_age:
            held = next(iter(self._by_age.values()))
            if held.first_at + self._settings.max_seconds > now:
                break
            due.append(self._remove(held))
        return due

    def take_oldest(self, count: int) -> list[HeldTrace]:
        """The `count` oldest, whole or not; they are held no longer."""
        return [self._remove(next(iter(self._by_age.values()))) for _ in range(min(count, len(self._by_age)))]

    def next_due(self) -> float | None:
        """When `take_due` will find something, if nothing else comes."""
        if not self._by_age:
            return None
        quiet = next(iter(self._by_quiet.values())).last_at + self._settings.quiet_seconds
        return min(quiet, next(iter(self._by_age.values())).first_at + self._settings.max_seconds)

    def decided(self, trace_id: bytes, *, kept: bool) -> None:
        """Remember a verdict for the spans that come late."""
        self._decided[trace_id] = kept
        self._decided.move_to_end(trace_id)
        if len(self._decided) > limits.MAX_DECIDED_TRACES:
            self._decided.popitem(last=False)

    def _remove(self, held: HeldTrace) -> HeldTrace:
        del self._by_age[held.trace_id]
        del self._by_quiet[held.trace_id]
        return held
