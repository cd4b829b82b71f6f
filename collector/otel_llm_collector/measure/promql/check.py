"""Types of expressions: each operator and function gets what it works on, or the query is refused."""

from __future__ import annotations

from typing import NoReturn

from otel_llm_collector.measure.promql.signatures import PARAMETERS, SIGNATURES
from otel_llm_collector.measure.promql.syntax import (
    COMPARISONS,
    SET_OPERATORS,
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
    Type,
    start_of,
)
from otel_llm_collector.measure.promql.values import ParseError

_OPERANDS = (Type.SCALAR, Type.VECTOR)


def check(expr: Expr, text: str) -> Type:
    """The type of `expr`; raises `ParseError` where something in it does not fit."""
    return _Checker(text).check(expr)


def type_of(expr: Expr) -> Type:  # noqa: PLR0911 - a table
    """The type of an expression that was checked."""
    match expr:
        case Number():
            return Type.SCALAR
        case Text():
            return Type.STRING
        case Selector():
            return Type.VECTOR if expr.range_ms is None else Type.MATRIX
        case Subquery():
            return Type.MATRIX
        case Call():
            return SIGNATURES[expr.name].returns
        case Aggregation():
            return Type.VECTOR
        case Binary():
            both = {type_of(expr.left), type_of(expr.right)}
            return Type.SCALAR if both == {Type.SCALAR} else Type.VECTOR
        case Negation() | Parens():
            return type_of(expr.expr)


class _Checker:
    def __init__(self, text: str) -> None:
        self._text = text

    def _refuse(self, message: str, at: int) -> NoReturn:
        raise ParseError(message, self._text, at)

    def _want(self, expr: Expr, wanted: Type, context: str) -> None:
        seen = self.check(expr)
        if seen is not wanted:
            self._refuse(f"expected type {wanted.value} in {context}, got {seen.value}", start_of(expr))

    def check(self, expr: Expr) -> Type:
        match expr:
            case Call():
                self._call(expr)
            case Aggregation():
                self._want(expr.expr, Type.VECTOR, "aggregation expression")
                if expr.parameter is not None:
                    self._want(expr.parameter, PARAMETERS[expr.op], "aggregation parameter")
            case Binary():
                self._binary(expr)
            case Negation():
                if (seen := self.check(expr.expr)) not in _OPERANDS:
                    self._refuse(
                        "unary expression only allowed on expressions of type scalar or instant vector, "
                        f'got "{seen.value}"',
                        expr.at,
                    )
            case Subquery():
                if (seen := self.check(expr.expr)) is not Type.VECTOR:
                    self._refuse(f"subquery is only allowed on instant vector, got {seen.value} instead", expr.at)
            case Parens():
                self.check(expr.expr)
            case _:
                pass
        return type_of(expr)

    def _call(self, call: Call) -> None:
        signature = SIGNATURES[call.name]
        most = len(signature.arguments)
        least = most - signature.optional
        count = len(call.arguments)
        if count < least or (count > most and not signature.repeats):
            how = "" if least == most else "at least " if count < least else "at most "
            wanted = least if count < least else most
            self._refuse(f'expected {how}{wanted} argument(s) in call to "{call.name}", got {count}', call.at)
        for index, argument in enumerate(call.arguments):
            wanted_type = signature.arguments[min(index, most - 1)]
            self._want(argument, wanted_type, f'call to function "{call.name}"')

    def _binary(self, expr: Binary) -> None:
        left, right = self.check(expr.left), self.check(expr.right)
        for operand, seen in ((expr.left, left), (expr.right, right)):
            if seen not in _OPERANDS:
                self._refuse("binary expression must contain only scalar and instant vector types", start_of(operand))
        if expr.as_bool and expr.op not in COMPARISONS:
            self._refuse("bool modifier can only be used on comparison operators", expr.at)
        matching = expr.matching
        twice = next((label for label in matching.labels if matching.on and label in matching.include), None)
        if twice is not None:
            self._refuse(f'label "{twice}" must not occur in ON and GROUP clause at once', expr.at)
        scalars = (left is Type.SCALAR) + (right is Type.SCALAR)
        if scalars == 2 and expr.op in COMPARISONS and not expr.as_bool:  # noqa: PLR2004 - both sides
            self._refuse("comparisons between scalars must use BOOL modifier", expr.at)
        if scalars and expr.op in SET_OPERATORS:
            self._refuse(f'set operator "{expr.op}" not allowed in binary scalar expression', start_of(expr))
        if scalars and matching.labels:
            self._refuse("vector matching only allowed between instant vectors", start_of(expr))
        if expr.op in SET_OPERATORS and matching.many is not None:
            self._refuse(f'no grouping allowed for "{expr.op}" operation', start_of(expr))
