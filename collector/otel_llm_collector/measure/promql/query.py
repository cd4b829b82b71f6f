"""A query from text to answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otel_llm_collector.measure.promql.block import Block, Grid, sample_at
from otel_llm_collector.measure.promql.check import check
from otel_llm_collector.measure.promql.evaluate import Budget, Evaluator, Options, Span
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.notes import Notebook
from otel_llm_collector.measure.promql.parser import parse_expression
from otel_llm_collector.measure.promql.storage import Storage
from otel_llm_collector.measure.promql.syntax import Expr, Type
from otel_llm_collector.measure.promql.values import Matrix, QueryError, Result, Sample, Scalar, Series, String, Vector
from otel_llm_collector.measure.promql.windows import fresh

DEFAULTS = Options()


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was parsed and checked; can be evaluated any number of times, by several threads."""

    text: str
    expr: Expr
    type: Type


def parse(text: str) -> Query:
    """The query that `text` is; raises `ParseError`, which says where."""
    expr = parse_expression(text)
    return Query(text, expr, check(expr, text))


def instant(query: Query, storage: Storage, at_ms: int, options: Options = DEFAULTS) -> Result:
    """The answer at one moment; raises `QueryError`."""
    evaluator = _evaluator(query, storage, Grid(at_ms, 1, 1), Span(at_ms, at_ms), options)
    notebook = evaluator.notebook
    with np.errstate(all="ignore"):
        if query.type is Type.SCALAR:
            value = float(evaluator.scalar(query.expr)[0])
            return Scalar(at_ms, value, notebook.notes())
        if query.type is Type.STRING:
            return String(at_ms, evaluator.text(query.expr), notebook.notes())
        if query.type is Type.MATRIX:
            series = _selected(evaluator, query.expr)
            return Matrix(series, notebook.notes())
        block = evaluator.finished(evaluator.vector(query.expr))
        samples = [_sample(block, row) for row in np.flatnonzero(block.present[:, 0]).tolist()]
        return Vector(at_ms, samples, notebook.notes())


def range_query(
    query: Query, storage: Storage, start_ms: int, end_ms: int, step_ms: int, options: Options = DEFAULTS
) -> Matrix:
    """The answers at each step from start to end, both included; raises `QueryError`."""
    if query.type not in (Type.SCALAR, Type.VECTOR):
        raise QueryError(
            f'invalid expression type "{query.type.value}" for range query, must be Scalar or instant Vector'
        )
    if step_ms <= 0:
        raise QueryError(f"the step of a range query must be above 0 (seen: {step_ms} ms)")
    grid = Grid(start_ms, step_ms, max(0, (end_ms - start_ms) // step_ms + 1))
    if not grid.count:
        return Matrix(())
    evaluator = _evaluator(query, storage, grid, Span(start_ms, end_ms), options)
    evaluator.budget.take(grid.count)
    with np.errstate(all="ignore"):
        if query.type is Type.SCALAR:
            series = [Series((), grid.times, evaluator.scalar(query.expr))]
        else:
            series = _series(evaluator.finished(evaluator.vector(query.expr)), grid)
    return Matrix(sorted(series, key=lambda one: one.labels), evaluator.notebook.notes())


def _evaluator(query: Query, storage: Storage, grid: Grid, span: Span, options: Options) -> Evaluator:
    notebook = Notebook(query.text)
    return Evaluator(storage, grid, span, options, notebook, Budget(options.max_samples))


def _sample(block: Block, row: int) -> Sample:
    found = sample_at(block, row, 0)
    if isinstance(found, NativeHistogram):
        return Sample(block.labels[row], 0.0, found)
    return Sample(block.labels[row], found)


def _series(block: Block, grid: Grid) -> list[Series]:
    found = []
    times = grid.times
    for row, labels in enumerate(block.labels):
        present = block.present[row]
        if not present.any():
            continue
        histograms = None if block.histograms is None else block.histograms[row][present].tolist()
        if histograms is not None and not any(one is not None for one in histograms):
            histograms = None
        if present.all():
            found.append(Series(labels, times, block.values[row], histograms))
        else:
            found.append(Series(labels, times[present], block.values[row][present], histograms))
    return found


def _selected(evaluator: Evaluator, expr: Expr) -> list[Series]:
    """The samples of a range vector as they are."""
    chosen = evaluator.range(expr)
    end = int(chosen.ends[0])
    found = []
    for one in map(fresh, chosen.series):
        low, high = np.searchsorted(one.times, [end - chosen.length_ms, end], side="right").tolist()
        if low < high:
            histograms = None if one.histograms is None else one.histograms[low:high]
            found.append(Series(one.labels, one.times[low:high], one.values[low:high], histograms))
    return sorted(found, key=lambda one: one.labels)
