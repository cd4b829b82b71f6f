"""What a query comes to: a scalar, a string, a vector (one moment) or a matrix (a stretch of time)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import Floats, Integers, Labels


class QueryError(ValueError):
    """The query cannot be answered; the sentence says why."""


class ParseError(QueryError):
    """The text is not a query. `position` counts characters from 0."""

    def __init__(self, message: str, text: str, position: int) -> None:
        line = text.count("\n", 0, position) + 1
        column = position - (text.rfind("\n", 0, position) + 1) + 1
        super().__init__(f"{line}:{column}: parse error: {message}")
        self.message = message
        self.position = position


class LimitError(QueryError):
    """The query asks for more than it may: too many samples, or too many points."""


class TimedOut(QueryError):
    """The query took longer than it may."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What Prometheus says beside an answer: `warnings` cast doubt on it, `infos` hint at a mistake in the query."""

    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number without labels."""

    at_ms: int
    value: float
    notes: Notes = Notes()


@dataclass(frozen=True, slots=True)
class String:
    """A string; only a string literal comes to one."""

    at_ms: int
    value: str
    notes: Notes = Notes()


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of a vector; a float unless `histogram` is set."""

    labels: Labels
    value: float
    histogram: NativeHistogram | None = None


@dataclass(frozen=True, slots=True)
class Vector:
    """One sample per series, all at one moment. The order means something after `sort` and `topk` only."""

    at_ms: int
    samples: Sequence[Sample]
    notes: Notes = Notes()


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a matrix; `histograms` is None where all its points are floats."""

    labels: Labels
    times: Integers
    values: Floats
    histograms: Sequence[NativeHistogram | None] | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Points of several series."""

    series: Sequence[Series]
    notes: Notes = Notes()


Result = Scalar | String | Vector | Matrix
