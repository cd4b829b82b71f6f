"""Aggregations: many series become one per group of labels, at every step at once.

Sums are compensated: a tree of two-sums, as exact as the running compensated sum of Prometheus and without its loop.
Groups with native histograms are added up sample by sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from otel_llm_collector.measure.promql import over_time, quantiles
from otel_llm_collector.measure.promql.block import Block, empty, is_label_name, merged, no_histograms, shown
from otel_llm_collector.measure.promql.native import Hint, Incompatible, NativeHistogram, Total, mean, total
from otel_llm_collector.measure.promql.notes import Notebook
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Flags, Floats, Labels, Rows
from otel_llm_collector.measure.promql.syntax import Aggregation
from otel_llm_collector.measure.promql.values import QueryError

if TYPE_CHECKING:
    from otel_llm_collector.measure.promql.evaluate import Evaluator

Index = npt.NDArray[np.intp]
_MOST = 2.0**63


@dataclass(frozen=True, slots=True)
class Groups:
    """Which rows belong together: `order` puts those of a group side by side, `starts` says where each group begins."""

    labels: list[Labels]
    order: Index
    starts: Index
    of_row: Index

    def rows(self, group: int) -> Index:
        """The rows of one group."""
        stop = self.starts[group + 1] if group + 1 < len(self.starts) else len(self.order)
        return self.order[self.starts[group] : stop]


def evaluate(evaluator: Evaluator, expr: Aggregation) -> Block:
    """The samples of an aggregation."""
    if expr.op == "count_values":
        return _count_values(evaluator, expr)
    parameter = None if expr.parameter is None else evaluator.scalar(expr.parameter)
    block = evaluator.vector(expr.expr)
    groups = _groups(block.labels, expr)
    if expr.op in ("topk", "bottomk"):
        return _best(evaluator, expr, block, groups, _how_many(parameter, len(block.labels)))
    if not block.labels:
        return empty(evaluator.grid.count)
    return _reduced(evaluator, expr, block, groups, parameter)


def _groups(labels: list[Labels], expr: Aggregation) -> Groups:
    def grouped() -> Groups:
        return _grouped([_key(one, expr.labels, without=expr.without) for one in labels])

    if isinstance(labels, Rows):
        return labels.remembered((_groups, expr.without, tuple(expr.labels)), grouped)
    return grouped()


def _key(labels: Labels, names: Sequence[str], *, without: bool) -> Labels:
    if without:
        return tuple(pair for pair in labels if pair[0] not in names and pair[0] != METRIC_NAME)
    return tuple(pair for pair in labels if pair[0] in names)


def _grouped(keys: Sequence[Labels]) -> Groups:
    numbers: dict[Labels, int] = {}
    of_row = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)
    order = np.argsort(of_row, kind="stable")
    starts = np.searchsorted(of_row[order], np.arange(len(numbers)))
    return Groups(list(numbers), order, starts, of_row)


# One number per group


def _reduced(evaluator: Evaluator, expr: Aggregation, block: Block, groups: Groups, parameter: Floats | None) -> Block:
    counts_natives = expr.op in ("count", "group", "sum", "avg")
    floats = block.floats
    present = np.add.reduceat((block.present if counts_natives else floats)[groups.order], groups.starts, axis=0) > 0
    if expr.op == "quantile" and parameter is not None:
        quantiles.warn_of_quantiles(evaluator.notebook, parameter, expr.parameter or expr)
        values = _quantiles(block.values, floats, groups, parameter)
    elif expr.op in ("count", "group"):
        counts = np.add.reduceat(block.present[groups.order].astype(np.float64), groups.starts, axis=0)
        values = counts if expr.op == "count" else np.ones_like(counts)
    else:
        values = _REDUCTIONS[expr.op](block.values, floats, groups)
    unnamed = None
    if block.unnamed is not None:
        unnamed = np.logical_or.reduceat(block.unnamed[groups.order], groups.starts)
    result = Block(groups.labels, values, present, None, unnamed)
    if block.histograms is not None and block.natives.any():
        if expr.op in ("sum", "avg"):
            _add_natives(evaluator, expr, block, groups, result)
        elif not counts_natives:
            evaluator.notebook.info(f"ignored histogram in {expr.op} aggregation", expr.expr)
    return result.used()


def _sums(values: Floats, there: Flags, groups: Groups) -> tuple[Floats, Floats]:
    """The sum of each group and its compensation: neighbours of a group are added in pairs until one is left."""
    sums = np.where(there, values, 0.0)[groups.order]
    rest = np.zeros_like(sums)
    group = groups.of_row[groups.order]
    rank = np.arange(len(group)) - groups.starts[group]
    while rank.size and rank.max() > 0:
        left = np.flatnonzero(rank % 2 == 0)
        right = np.minimum(left + 1, len(group) - 1)
        paired = ((group[right] == group[left]) & (right != left))[:, None]
        added = np.where(paired, sums[right], 0.0)
        rest = rest[left] + np.where(paired, rest[right], 0.0)
        sums, rest = over_time.add(sums[left], rest, added)
        group, rank = group[left], rank[left] // 2
    return sums, rest


def _sum(values: Floats, there: Flags, groups: Groups) -> Floats:
    sums, rest = _sums(values, there, groups)
    return sums + rest


def _avg(values: Floats, there: Flags, groups: Groups) -> Floats:
    sums, rest = _sums(values, there, groups)
    counts = np.maximum(np.add.reduceat(there[groups.order].astype(np.float64), groups.starts, axis=0), 1.0)
    averages = sums / counts + rest / counts
    if np.isfinite(sums).all():
        return averages
    # The sum does not fit where the average may: divide first.
    shares, rest = _sums(values / counts[groups.of_row], there, groups)
    return np.where(np.isfinite(sums), averages, shares + rest)


def _variance(values: Floats, there: Flags, groups: Groups) -> Floats:
    averages = _avg(values, there, groups)
    away = values - averages[groups.of_row]
    return _avg(away * away, there, groups)


def _least(values: Floats, there: Flags, groups: Groups) -> Floats:
    return np.fmin.reduceat(np.where(there, values, np.nan)[groups.order], groups.starts, axis=0)


def _greatest(values: Floats, there: Flags, groups: Groups) -> Floats:
    return np.fmax.reduceat(np.where(there, values, np.nan)[groups.order], groups.starts, axis=0)


_REDUCTIONS: dict[str, Callable[[Floats, Flags, Groups], Floats]] = {
    "sum": _sum,
    "avg": _avg,
    "min": _least,
    "max": _greatest,
    "stdvar": _variance,
    "stddev": lambda values, there, groups: np.sqrt(_variance(values, there, groups)),
}


def _quantiles(values: Floats, there: Flags, groups: Groups, q: Floats) -> Floats:
    found = np.empty((len(groups.labels), values.shape[1]))
    for group in range(len(groups.labels)):
        rows = groups.rows(group)
        found[group] = over_time.quantile(values[rows].T, there[rows].T, q)
    return found


def _add_natives(evaluator: Evaluator, expr: Aggregation, block: Block, groups: Groups, result: Block) -> None:
    notebook = evaluator.notebook
    result.histograms = no_histograms(result.values.shape)
    natives = block.natives
    with_natives = np.logical_or.reduceat(natives[groups.order], groups.starts, axis=0)
    for group, step in np.argwhere(with_natives).tolist():
        evaluator.check_time()
        rows = groups.rows(group)
        present = rows[block.present[rows, step]]
        found = None
        if not natives[present, step].all():
            notebook.warn("encountered a mix of histograms and floats for aggregation", expr.expr)
        else:
            found = _added(notebook, expr, block, present, step)
        result.histograms[group, step] = found
        result.present[group, step] = found is not None


def _added(notebook: Notebook, expr: Aggregation, block: Block, rows: Index, step: int) -> NativeHistogram | None:
    if block.histograms is None:
        return None
    natives: list[NativeHistogram] = block.histograms[rows, step].tolist()
    combine: Callable[[Sequence[NativeHistogram]], Total] = total if expr.op == "sum" else mean
    try:
        found = combine(natives)
    except Incompatible:
        metric = dict(block.labels[int(rows[0])]).get(METRIC_NAME, "")
        message = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name"
        notebook.warn(f'{message} "{metric}"', expr.expr)
        return None
    if found.reconciled:
        notebook.info("mismatched custom buckets were reconciled during aggregation", expr.expr)
    if {Hint.RESET, Hint.NOT_RESET} <= {one.hint for one in natives}:
        notebook.warn("conflicting counter resets during histogram aggregation", expr.expr)
    return found.histogram


# Some series of each group


def _best(evaluator: Evaluator, expr: Aggregation, block: Block, groups: Groups, k: npt.NDArray[np.int64]) -> Block:
    floats = block.floats
    if block.histograms is not None and block.natives.any() and (k > 0).any():
        evaluator.notebook.info(f"ignored histogram in {expr.op} aggregation", expr)
    chosen = np.zeros_like(floats)
    order: list[int] = []
    for group in range(len(groups.labels)):
        rows = groups.rows(group)
        values = block.values[rows]
        keys = -values if expr.op == "topk" else values
        rank_of = np.where(floats[rows], np.where(np.isnan(values), 1, 0), 2)
        by_step = np.lexsort((keys, rank_of), axis=0)
        position = np.argsort(by_step, axis=0, kind="stable")
        chosen[rows] = floats[rows] & (position < k)
        order += rows[by_step[:, 0]].tolist()
    result = replace(block, present=chosen, histograms=None)
    return result.rows(order).used()


def _how_many(parameter: Floats | None, most: int) -> npt.NDArray[np.int64]:
    if parameter is None:
        raise QueryError("no parameter")
    if not len(parameter) or parameter.max() < 1:
        return np.zeros(len(parameter), np.int64)
    if np.isnan(parameter).any():
        raise QueryError("Parameter value is NaN")
    if parameter.min() <= -_MOST:
        raise QueryError(f"Scalar value {parameter.min():g} underflows int64")
    if parameter.max() >= _MOST:
        raise QueryError(f"Scalar value {parameter.max():g} overflows int64")
    return np.minimum(parameter.astype(np.int64), most)


# One series per value


def _count_values(evaluator: Evaluator, expr: Aggregation) -> Block:
    if expr.parameter is None:
        raise QueryError("no parameter")
    label = evaluator.text(expr.parameter)
    if not is_label_name(label):
        raise QueryError(f'invalid label name "{shown(label)}"')
    names = expr.labels if expr.without else (*expr.labels, label)
    block = evaluator.vector(expr.expr)
    counts: dict[Labels, Floats] = {}
    for row, labels in enumerate(block.labels):
        evaluator.check_time()
        for value, steps in _values(block, row).items():
            named = tuple(sorted([*(pair for pair in labels if pair[0] != label), (label, value)]))
            found = counts.setdefault(_key(named, names, without=expr.without), np.zeros(block.steps))
            found[steps] += 1
    if not counts:
        return empty(evaluator.grid.count)
    values = np.array(list(counts.values()))
    return merged(Block(list(counts), values, values > 0))


def _values(block: Block, row: int) -> dict[str, list[int]]:
    """The values of a series as text, each with the steps where it has it."""
    found: dict[str, list[int]] = {}
    for step in np.flatnonzero(block.present[row]).tolist():
        native = None if block.histograms is None else block.histograms[row, step]
        text = plain(float(block.values[row, step])) if native is None else str(native)
        found.setdefault(text, []).append(step)
    return found


def plain(value: float) -> str:
    """A float without an exponent, as short as it can be."""
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "+Inf" if value > 0 else "-Inf"
    digits = format(Decimal(repr(value)), "f")
    return digits.removesuffix(".0")
