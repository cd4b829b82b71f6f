"""The evaluator: walks the syntax tree once and computes every step of the query at the same time.

A scalar expression comes to one number per step, a vector expression to a `Block`. What does not depend on the step
(`@`) is computed once. Functions, operators and aggregations have their own modules; this one knows selectors,
subqueries, time, limits, and the two ways metric names are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from otel_llm_collector import limits
from otel_llm_collector.measure.promql import aggregate, binary, functions
from otel_llm_collector.measure.promql.block import Block, Grid, merged, no_histograms, without_name, without_names
from otel_llm_collector.measure.promql.native import Hint
from otel_llm_collector.measure.promql.notes import Notebook
from otel_llm_collector.measure.promql.storage import Floats, Integers, SeriesSlice, Storage, Together, is_stale
from otel_llm_collector.measure.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Expr,
    Negation,
    Number,
    Parens,
    Selector,
    Subquery,
    Text,
    When,
    bare,
    children,
)
from otel_llm_collector.measure.promql.values import LimitError, QueryError, TimedOut
from otel_llm_collector.measure.promql.windows import as_series, bunches, labels_of, newest, pick

# Functions whose answer changes with the step though what they are given does not.
_MOVES_WITH_TIME = frozenset(
    {
        *("day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"),
        *("predict_linear", "time", "timestamp"),
    }
)


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Options:
    """How a query is evaluated, and how much it may take.

    `expired` is asked now and then; a query is given up once it says yes. `late_names` drops metric names at the end of
    the query instead of at each function, as Prometheus does with `promql-delayed-name-removal`.
    """

    lookback_ms: int = 300_000
    subquery_step_ms: int = 60_000
    max_samples: int = limits.MAX_QUERY_SAMPLES
    expired: Callable[[], bool] = _never
    late_names: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Start and end of the whole query: what `@ start()` and `@ end()` mean."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Range:
    """A range vector: at each step the samples of `series` in (end - length_ms, end]."""

    series: Sequence[SeriesSlice]
    ends: Integers
    length_ms: int
    unnamed: list[bool] | None = None  # which series lose their name at the end of the query


class Budget:
    """Counts the samples that a query reads and makes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0

    def take(self, samples: int) -> None:
        """Count `samples`; an error where the query has had too many."""
        self._used += samples
        if self._used > self._most:
            raise LimitError(
                f"query processing would load too many samples into memory in query execution (limit: {self._most})"
            )


class Evaluator:
    """Evaluates expressions on one grid of steps."""

    def __init__(
        self, storage: Storage, grid: Grid, span: Span, options: Options, notebook: Notebook, budget: Budget
    ) -> None:
        self._storage = storage
        self.grid: Grid = grid
        self._span = span
        self.options = options
        self.notebook = notebook
        self.budget = budget

    def on(self, grid: Grid) -> Evaluator:
        """The same evaluator for other moments."""
        return Evaluator(self._storage, grid, self._span, self.options, self.notebook, self.budget)

    # Expressions by type

    def scalar(self, expr: Expr) -> Floats:
        """The value of a scalar expression at every step."""
        self.check_time()
        match expr:
            case Number():
                return np.full(self.grid.count, expr.value)
            case Parens():
                return self.scalar(expr.expr)
            case Negation():
                value = self.scalar(expr.expr)
                return -value if expr.negative else value
            case Binary():
                return binary.scalars(expr.op, self.scalar(expr.left), self.scalar(expr.right))
            case Call():
                return functions.SCALARS[expr.name](self, expr)
            case _:
                raise QueryError(f"not a scalar: {expr}")

    def text(self, expr: Expr) -> str:
        """The value of a string expression."""
        found = bare(expr)
        if not isinstance(found, Text):
            raise QueryError(f"not a string: {expr}")
        return found.value

    def vector(self, expr: Expr) -> Block:
        """The samples of a vector expression at every step."""
        self.check_time()
        if self.grid.count > 1 and steady(expr):
            return self.on(self.grid.first).vector(expr).repeated(self.grid.count)
        match expr:
            case Parens():
                return self.vector(expr.expr)
            case Selector():
                found = self._instant(expr)
            case Negation():
                found = self._negated(expr)
            case Binary():
                found = binary.evaluate(self, expr)
            case Aggregation():
                found = aggregate.evaluate(self, expr)
            case Call():
                found = functions.evaluate(self, expr)
            case _:
                raise QueryError(f"not a vector: {expr}")
        self.budget.take(found.present.size)
        return found

    def _negated(self, expr: Negation) -> Block:
        found = self.vector(expr.expr)
        if not expr.negative:
            return found
        histograms = found.histograms
        if histograms is not None:
            histograms = no_histograms(found.values.shape)
            natives = found.natives
            histograms[natives] = [one.scaled(-1.0) for one in found.histograms[natives]]  # type: ignore[index]
        return self.nameless(replace(found, values=-found.values, histograms=histograms))

    def nameless(self, block: Block) -> Block:
        """The block without metric names; series that are then the same become one, if no step has them both."""
        if self.options.late_names:
            return replace(block, unnamed=np.ones(len(block.labels), np.bool_))
        return merged(replace(block, labels=without_names(block.labels)))

    def finished(self, block: Block) -> Block:
        """The block as an answer: without the names that were still to be dropped."""
        if block.unnamed is None or not block.unnamed.any():
            return block
        labels = [
            without_name(labels) if unnamed else labels
            for labels, unnamed in zip(block.labels, block.unnamed.tolist(), strict=True)
        ]
        return merged(replace(block, labels=labels, unnamed=None))

    # Selectors

    def moments(self, when: When) -> Integers:
        """The moments that a selector moved by `when` looks at, one per step."""
        if when.fixed is None:
            return self.grid.times - when.offset_ms
        return np.full(self.grid.count, self._fixed(when) - when.offset_ms, np.int64)

    def _fixed(self, when: When) -> int:
        if when.fixed == "start":
            return self._span.start
        if when.fixed == "end":
            return self._span.end
        return int(when.fixed or 0)

    def series(self, expr: Selector, before_ms: int) -> Sequence[SeriesSlice]:
        """The series of a selector with all samples that its windows of `before_ms` reach."""
        ends = self.moments(expr.when)
        start, end = int(ends.min()) - before_ms, int(ends.max())
        chosen = self._storage.select(expr.matchers, start, end)
        if isinstance(chosen, Together):
            self.budget.take(chosen.values.size)
            return chosen
        found = [one for one in chosen if len(one.times)]
        self.budget.take(sum(len(one.times) for one in found))
        return found

    def _instant(self, expr: Selector) -> Block:
        return self.last_samples(expr)[0]

    def last_samples(self, expr: Selector) -> tuple[Block, Integers]:
        """The newest sample of each series at each step, and its time."""
        series = self.series(expr, self.options.lookback_ms)
        ends = self.moments(expr.when)
        steps = self.grid.count
        shape = (len(series), steps)
        values, present = np.empty(shape), np.empty(shape, np.bool_)
        times = np.empty(shape, np.int64)
        plain = isinstance(series, Together) or all(one.histograms is None for one in series)
        histograms = None if plain else no_histograms(shape)
        for bunch in bunches(series):
            there, index = newest(bunch, ends, self.options.lookback_ms)
            index = np.maximum(index, 0)
            rows = bunch.rows
            values[rows] = pick(bunch.values, index)
            times[rows] = pick(bunch.times, index)
            present[rows] = there
            if histograms is not None and bunch.histograms is not None:
                histograms[rows] = pick(bunch.histograms, index)
        present &= ~is_stale(values)
        if histograms is not None:
            histograms[~present] = None
        block = Block(labels_of(series), values, present, histograms)
        used = np.flatnonzero(present.any(axis=1))
        return (block, times) if len(used) == len(series) else (block.rows(used), times[used])

    def range(self, expr: Expr) -> Range:
        """What a range vector selects."""
        found = bare(expr)
        if isinstance(found, Subquery):
            return self._subquery(found)
        if not isinstance(found, Selector) or found.range_ms is None:
            raise QueryError(f"not a range vector: {expr}")
        return Range(self.series(found, found.range_ms), self.moments(found.when), found.range_ms)

    def _subquery(self, expr: Subquery) -> Range:
        ends = self.moments(expr.when)
        step = expr.step_ms or self.options.subquery_step_ms
        before = int(ends.min()) - expr.range_ms
        start = (before // step + 1) * step
        count = (int(ends.max()) - start) // step + 1
        if count <= 0:
            return Range([], ends, expr.range_ms)
        self.budget.take(count)  # before anything of that length is made
        inner = self.on(Grid(start, step, count))
        block = inner.vector(expr.expr).used()
        _forget_hints(block)
        unnamed = None if block.unnamed is None else block.unnamed.tolist()
        return Range(as_series(block, inner.grid.times), ends, expr.range_ms, unnamed)

    def check_time(self) -> None:
        """Give the query up where its time is over; long loops ask now and then."""
        if self.options.expired():
            raise TimedOut("query timed out in expression evaluation")


def _forget_hints(block: Block) -> None:
    """A subquery may skip samples or repeat them, so that what they say about resets is not true of its result."""
    if block.histograms is None:
        return
    natives = block.natives
    block.histograms[natives] = [
        replace(one, hint=Hint.UNKNOWN) if one.hint in (Hint.RESET, Hint.NOT_RESET) else one
        for one in block.histograms[natives]
    ]


def steady(expr: Expr) -> bool:
    """Whether the expression comes to the same at every step."""
    if isinstance(expr, (Selector, Subquery)):
        return expr.when.fixed is not None
    if isinstance(expr, Call) and expr.name in _MOVES_WITH_TIME:
        return False
    return all(steady(child) for child in children(expr))
