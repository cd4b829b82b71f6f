"""The syntax tree of a query. Durations and times are milliseconds; `at` counts characters of the query's text."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from otel_llm_collector.measure.promql.storage import METRIC_NAME, Matcher


class Type(enum.Enum):
    """What an expression comes to, in the words of Prometheus' messages."""

    SCALAR = "scalar"
    STRING = "string"
    VECTOR = "instant vector"
    MATRIX = "range vector"


@dataclass(frozen=True, slots=True)
class Number:
    """A number; a duration counts in seconds."""

    value: float
    at: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal."""

    value: str
    at: int


@dataclass(frozen=True, slots=True)
class When:
    """How a selector or subquery is moved in time: `@` (a time, or start() or end() of the query) and `offset`."""

    offset_ms: int = 0
    fixed: int | Literal["start", "end"] | None = None


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant vector selector, or with `range_ms` a range vector selector."""

    matchers: tuple[Matcher, ...]
    at: int
    when: When = When()
    range_ms: int | None = None

    @property
    def metric(self) -> str:
        """The metric's name where exactly one is asked for."""
        return next((one.value for one in self.matchers if one.name == METRIC_NAME and one.op == "="), "")


@dataclass(frozen=True, slots=True)
class Subquery:
    """`expr[range:step]`; without a step the evaluator's default counts."""

    expr: Expr
    range_ms: int
    step_ms: int | None
    at: int
    when: When = When()


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments."""

    name: str
    arguments: tuple[Expr, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`op by|without (labels) (parameter, expr)`."""

    op: str
    expr: Expr
    parameter: Expr | None
    labels: tuple[str, ...]
    without: bool
    at: int


@dataclass(frozen=True, slots=True)
class Matching:
    """How the two sides of a binary operator find each other; `many` is the side with several per group, if any."""

    labels: tuple[str, ...] = ()
    on: bool = False
    many: Literal["left", "right"] | None = None
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`; `as_bool` makes a comparison answer 0 or 1."""

    op: str
    left: Expr
    right: Expr
    matching: Matching
    as_bool: bool
    at: int


@dataclass(frozen=True, slots=True)
class Negation:
    """`-expr`; `+expr` is just the expression, but keeps no name either."""

    expr: Expr
    negative: bool
    at: int


@dataclass(frozen=True, slots=True)
class Parens:
    """An expression in parentheses."""

    expr: Expr
    at: int


Expr = Number | Text | Selector | Subquery | Call | Aggregation | Binary | Negation | Parens

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
SET_OPERATORS = frozenset({"and", "or", "unless"})


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside `expr`, in the order of the text."""
    match expr:
        case Subquery() | Negation() | Parens():
            return (expr.expr,)
        case Call():
            return expr.arguments
        case Aggregation():
            return (expr.expr,) if expr.parameter is None else (expr.parameter, expr.expr)
        case Binary():
            return (expr.left, expr.right)
        case _:
            return ()


def bare(expr: Expr) -> Expr:
    """The expression without the parentheses around it."""
    while isinstance(expr, Parens):
        expr = expr.expr
    return expr


def start_of(expr: Expr) -> int:
    """Where the text of an expression begins; a binary operator's own position is that of the operator."""
    while isinstance(expr, Binary):
        expr = expr.left
    return expr.at
