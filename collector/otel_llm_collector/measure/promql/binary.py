"""Binary operators: between scalars, between a vector and a scalar, and between vectors with their matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from otel_llm_collector.measure.promql.block import Block, empty, joined, merged, no_histograms, without_name
from otel_llm_collector.measure.promql.check import type_of
from otel_llm_collector.measure.promql.native import Hint, Incompatible, NativeHistogram, difference, total
from otel_llm_collector.measure.promql.native_trim import trimmed
from otel_llm_collector.measure.promql.notes import Notebook
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Flags, Floats, Labels
from otel_llm_collector.measure.promql.syntax import COMPARISONS, SET_OPERATORS, Binary, Matching, Type
from otel_llm_collector.measure.promql.values import QueryError

if TYPE_CHECKING:
    from otel_llm_collector.measure.promql.evaluate import Evaluator

Index = npt.NDArray[np.intp]
Operand = float | NativeHistogram

_ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
_COMPARE: dict[str, Callable[[Floats, Floats], Flags]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


def scalars(op: str, left: Floats, right: Floats) -> Floats:
    """An operator between two scalars."""
    if op in COMPARISONS:
        return _COMPARE[op](left, right).astype(np.float64)
    return _ARITHMETIC[op](left, right)


def evaluate(evaluator: Evaluator, expr: Binary) -> Block:
    """An operator of which at least one side is a vector."""
    left_type, right_type = type_of(expr.left), type_of(expr.right)
    if left_type is Type.SCALAR:
        return _with_scalar(evaluator, expr, evaluator.vector(expr.right), evaluator.scalar(expr.left), swapped=True)
    if right_type is Type.SCALAR:
        return _with_scalar(evaluator, expr, evaluator.vector(expr.left), evaluator.scalar(expr.right), swapped=False)
    left, right = evaluator.vector(expr.left), evaluator.vector(expr.right)
    if expr.op in SET_OPERATORS:
        return _set(expr, left, right)
    return _vectors(evaluator, expr, left, right)


# A vector and a scalar


def _with_scalar(evaluator: Evaluator, expr: Binary, block: Block, scalar: Floats, *, swapped: bool) -> Block:
    number = Block([()] * len(block.labels), np.broadcast_to(scalar, block.values.shape), block.present)
    left, right = (number, block) if swapped else (block, number)
    result = _computed(evaluator, expr, left, right)
    if expr.op in COMPARISONS and swapped and not expr.as_bool:
        result.values, result.histograms = block.values, block.histograms
    result = replace(result, labels=block.labels, unnamed=block.unnamed)
    if expr.as_bool or expr.op in _ARITHMETIC:
        return evaluator.nameless(result)
    return result


# Each sample with each sample


def _computed(evaluator: Evaluator, expr: Binary, left: Block, right: Block) -> Block:
    """Row by row; the labels are the caller's."""
    both = left.present & right.present
    if expr.op in COMPARISONS:
        keep = _COMPARE[expr.op](left.values, right.values)
        values = keep.astype(np.float64) if expr.as_bool else left.values
        present = both if expr.as_bool else both & keep
    elif expr.op in _ARITHMETIC:
        values, present = _ARITHMETIC[expr.op](left.values, right.values), both
    else:
        values, present = left.values, np.zeros_like(both)
        if (both & left.floats & right.floats).any():
            _refuse_types(evaluator.notebook, expr, 1.0, 1.0)
    result = Block(left.labels, values, present)
    if left.histograms is not None or right.histograms is not None:
        _compute_natives(evaluator, expr, left, right, both, result)
    return result


def _compute_natives(evaluator: Evaluator, expr: Binary, left: Block, right: Block, both: Flags, result: Block) -> None:
    natives = [no_histograms(both.shape) if one.histograms is None else one.histograms for one in (left, right)]
    cells = both & (left.natives | right.natives)
    result.values, result.present = result.values.copy(), result.present & ~cells
    result.histograms = no_histograms(both.shape)
    for row, step in np.argwhere(cells).tolist():
        sides: list[Operand] = [
            float(one.values[row, step]) if histograms[row, step] is None else histograms[row, step]
            for one, histograms in zip((left, right), natives, strict=True)
        ]
        evaluator.check_time()
        found = _operate(evaluator.notebook, expr, sides[0], sides[1])
        if found is None:
            continue
        if isinstance(found, NativeHistogram):
            result.histograms[row, step] = found
        else:
            result.values[row, step] = found
        result.present[row, step] = True


def _operate(  # noqa: PLR0911 - a table of types
    notebook: Notebook, expr: Binary, left: Operand, right: Operand
) -> Operand | None:
    """An operator with at least one histogram; None where there is no result."""
    if isinstance(left, NativeHistogram) and isinstance(right, NativeHistogram):
        if expr.op in ("==", "!="):
            keep = left.same_as(right) == (expr.op == "==")
            return float(keep) if expr.as_bool else left if keep else None
        if expr.op in ("+", "-"):
            return _added(notebook, expr, left, right)
    elif isinstance(left, NativeHistogram) and not isinstance(right, NativeHistogram):
        if expr.op == "*":
            return left.scaled(right)
        if expr.op == "/":
            return left.divided(right)
        if expr.op in ("</", ">/"):
            return trimmed(left, right, upper=expr.op == "</")
    elif isinstance(right, NativeHistogram) and not isinstance(left, NativeHistogram) and expr.op == "*":
        return right.scaled(left)
    _refuse_types(notebook, expr, left, right)
    return None


def _added(notebook: Notebook, expr: Binary, left: NativeHistogram, right: NativeHistogram) -> NativeHistogram | None:
    what = "addition" if expr.op == "+" else "subtraction"
    try:
        found = total([left, right]) if expr.op == "+" else difference(left, right)
    except Incompatible:
        notebook.warn(f"incompatible bucket layout encountered for binary operator {expr.op}", expr)
        return None
    if found.collision:
        notebook.warn(f"conflicting counter resets during histogram {what}", expr)
    elif found.reconciled:
        notebook.info(f"mismatched custom buckets were reconciled during {what}", expr)
    return found.histogram if expr.op == "+" else replace(found.histogram, hint=Hint.GAUGE)


def _refuse_types(notebook: Notebook, expr: Binary, left: Operand, right: Operand) -> None:
    names = ["histogram" if isinstance(side, NativeHistogram) else "float" for side in (left, right)]
    notebook.info(
        f'incompatible sample types encountered for binary operator "{expr.op}": {names[0]} {expr.op} {names[1]}', expr
    )


# Vector matching


@dataclass(frozen=True, slots=True)
class _Signatures:
    """The match group of each row of both sides, numbered."""

    left: Index
    right: Index
    count: int


def _signatures(matching: Matching, left: Sequence[Labels], right: Sequence[Labels]) -> _Signatures:
    names = frozenset(matching.labels)
    numbers: dict[Labels, int] = {}

    def number(labels: Labels) -> int:
        if matching.on:
            key = tuple(pair for pair in labels if pair[0] in names)
        else:
            key = tuple(pair for pair in labels if pair[0] not in names and pair[0] != METRIC_NAME)
        return numbers.setdefault(key, len(numbers))

    left_numbers = np.array([number(labels) for labels in left], np.intp)
    right_numbers = np.array([number(labels) for labels in right], np.intp)
    return _Signatures(left_numbers, right_numbers, len(numbers))


def _counts(groups: Index, present: Flags, count: int) -> npt.NDArray[np.int64]:
    """How many samples each match group has at each step."""
    found = np.zeros((count, present.shape[1]), np.int64)
    np.add.at(found, groups, present)
    return found


def _set(expr: Binary, left: Block, right: Block) -> Block:
    signatures = _signatures(expr.matching, left.labels, right.labels)
    if expr.op == "or":
        taken = _counts(signatures.left, left.present, signatures.count)[signatures.right] > 0
        rest = replace(right, present=right.present & ~taken)
        return merged(joined([left, rest.used()], left.steps))
    there = _counts(signatures.right, right.present, signatures.count)[signatures.left] > 0
    return replace(left, present=left.present & (there if expr.op == "and" else ~there)).used()


def _vectors(evaluator: Evaluator, expr: Binary, left: Block, right: Block) -> Block:
    matching = expr.matching
    signatures = _signatures(matching, left.labels, right.labels)
    many, one = (right, left) if matching.many == "right" else (left, right)
    many_of, one_of = (
        (signatures.right, signatures.left) if matching.many == "right" else (signatures.left, signatures.right)
    )
    _refuse_twins(expr, many, one, one_of, signatures.count)
    sizes = (np.bincount(groups, minlength=signatures.count) for groups in (many_of, one_of))
    evaluator.budget.take(int(np.prod(list(sizes), axis=0).sum()) * evaluator.grid.count)
    many_rows, one_rows = _pairs(many_of, one_of)
    if not len(many_rows):
        return empty(evaluator.grid.count)
    many_side, one_side = many.rows(many_rows), one.rows(one_rows)
    sides = (one_side, many_side) if matching.many == "right" else (many_side, one_side)
    result = _computed(evaluator, expr, *sides)
    drop = expr.op in _ARITHMETIC or (expr.as_bool and not evaluator.options.late_names)
    result.labels = [
        _result_labels(matching, of_many, of_one, drop=drop)
        for of_many, of_one in zip(many_side.labels, one_side.labels, strict=True)
    ]
    result.unnamed = many_side.unnamed
    if evaluator.options.late_names:
        result.unnamed = np.full(len(result.labels), expr.as_bool)
    _refuse_ambiguity(matching, result.labels, many_of[many_rows], many_side.present & one_side.present)
    return merged(result.used())


def _pairs(many_of: Index, one_of: Index) -> tuple[Index, Index]:
    """Every row of the many side with every row of the one side in its match group."""
    by_group: dict[int, list[int]] = {}
    for row, group in enumerate(one_of.tolist()):
        by_group.setdefault(group, []).append(row)
    pairs = [(row, other) for row, group in enumerate(many_of.tolist()) for other in by_group.get(group, ())]
    if not pairs:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    found = np.array(pairs, np.intp)
    return found[:, 0], found[:, 1]


def _refuse_twins(expr: Binary, many: Block, one: Block, one_of: Index, count: int) -> None:
    """The one side has at most one sample per match group and step."""
    if len(np.unique(one_of)) == len(one_of):
        return
    twins = (_counts(one_of, one.present, count) > 1) & many.present.any(axis=0)
    if not twins.any():
        return
    group, step = np.argwhere(twins)[0].tolist()
    rows = [row for row in np.flatnonzero(one_of == group).tolist() if one.present[row, step]][:2]
    names = frozenset(expr.matching.labels)
    labels = one.labels[rows[0]]
    matched = [pair for pair in labels if (pair[0] in names) == expr.matching.on and pair[0] != METRIC_NAME]
    side = "left" if expr.matching.many == "right" else "right"
    series = sorted(written(one.labels[row]) for row in rows)
    raise QueryError(
        f"found duplicate series for the match group {written(tuple(matched))} on the {side} hand-side of the "
        f"operation: [{', '.join(series)}];many-to-many matching not allowed: "
        "matching labels must be unique on one side"
    )


def _refuse_ambiguity(matching: Matching, labels: Sequence[Labels], groups: Index, present: Flags) -> None:
    """One result per match group and step, or with `group_left`/`group_right` one per result labels."""
    keys: dict[object, list[int]] = {}
    for row, group in enumerate(groups.tolist()):
        keys.setdefault(group if matching.many is None else (group, labels[row]), []).append(row)
    for rows in keys.values():
        if len(rows) > 1 and (present[rows].sum(axis=0) > 1).any():
            if matching.many is None:
                raise QueryError(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                )
            raise QueryError("multiple matches for labels: grouping labels must ensure unique matches")


def _result_labels(matching: Matching, many: Labels, one: Labels, *, drop: bool) -> Labels:
    labels = without_name(many) if drop else many
    if matching.many is None and (matching.on or matching.labels):
        labels = tuple(pair for pair in labels if (pair[0] in matching.labels) == matching.on)
    if matching.include:
        have = dict(one)
        kept = [pair for pair in labels if pair[0] not in matching.include]
        kept += [(name, have[name]) for name in dict.fromkeys(matching.include) if have.get(name)]
        labels = tuple(sorted(kept))
    return labels


def written(labels: Labels) -> str:
    """The labels as Prometheus writes them in messages."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"
