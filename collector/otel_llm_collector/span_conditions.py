"""Conditions on single spans, and the spans that meet one: what the engine and the rules about spans agree on.

The engine notices, in its pass, spans that meet any condition; what a rule makes of them is its own matter.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NoticedSpan:
    """A GenAI span that met a condition, as the engine measured it."""

    trace_id: bytes
    span_id: bytes
    service: str
    operation: str
    provider: str
    model: str
    error: bool
    seconds: float
    cost: float | None  # USD
    input_tokens: int | None
    output_tokens: int | None
    time_to_first_token: float | None


@dataclass(frozen=True, slots=True)
class SpanCondition:
    """`what` of a span compared with `bound`."""

    what: str
    sign: str
    bound: float

    def measure(self, span: NoticedSpan) -> float | None:
        """The span's value when it meets the condition."""
        value = MEASURES[self.what](span)
        return value if value is not None and SIGNS[self.sign](value, self.bound) else None


ERROR = SpanCondition("error", "==", 1.0)

SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
MEASURES: dict[str, Callable[[NoticedSpan], float | None]] = {
    "error": lambda span: 1.0 if span.error else None,
    "cost": lambda span: span.cost,
    "duration": lambda span: span.seconds,
    "input_tokens": lambda span: span.input_tokens,
    "output_tokens": lambda span: span.output_tokens,
    "time_to_first_token": lambda span: span.time_to_first_token,
}


def meets_any(conditions: Iterable[SpanCondition], span: NoticedSpan) -> bool:
    """Whether `span` meets one of `conditions`."""
    return any(one.measure(span) is not None for one in conditions)
