"""Native histograms: their arithmetic, resets and statistics, by Prometheus' rules.

Buckets are sparse: a mapping from bucket index to a count. With an exponential schema n (-4 to 8) the positive bucket i
covers (b**(i-1), b**i] where b = 2**2**-n. (OTLP counts from one lower: its bucket i is our i + 1.) With the schema
`CUSTOM` the bucket i ends at `custom_values[i]`, the one after the last is open. Negative buckets mirror positive ones.
A histogram is never changed; operations return new ones.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

CUSTOM = -53


class Hint(enum.Enum):
    """What is known about a counter reset between the histogram before and this one."""

    UNKNOWN = "unknown"
    RESET = "reset"
    NOT_RESET = "not_reset"
    GAUGE = "gauge"


class Incompatible(ValueError):
    """One histogram has custom buckets, the other exponential ones."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket as seen on the number line."""

    lower: float
    upper: float
    count: float


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """One native histogram sample, with float counts as PromQL computes."""

    schema: int = 0
    count: float = 0.0
    sum: float = 0.0
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    positive: Mapping[int, float] = field(default_factory=dict)
    negative: Mapping[int, float] = field(default_factory=dict)
    custom_values: tuple[float, ...] = ()
    hint: Hint = Hint.UNKNOWN

    @property
    def custom(self) -> bool:
        """Whether the buckets have bounds of their own."""
        return self.schema == CUSTOM

    def buckets(self) -> Iterator[Bucket]:
        """The buckets from the lowest to the highest; what overlaps the zero bucket is cut at its edge."""
        threshold = self.zero_threshold
        for index in sorted(self.negative, reverse=True):
            lower, upper = self.bounds(index)
            yield Bucket(-upper, -max(lower, threshold) if upper > threshold else -lower, self.negative[index])
        if self.zero_count:
            yield Bucket(-threshold, threshold, self.zero_count)
        for index in sorted(self.positive):
            lower, upper = self.bounds(index)
            cut = not self.custom and lower < threshold < upper
            yield Bucket(threshold if cut else lower, upper, self.positive[index])

    def bounds(self, index: int) -> tuple[float, float]:
        """Lower and upper bound of the positive bucket `index`."""
        if self.custom:
            values = self.custom_values
            lower = values[index - 1] if index else -math.inf
            return lower, values[index] if index < len(values) else math.inf
        return exponential_bound(self.schema, index - 1), exponential_bound(self.schema, index)

    def scaled(self, factor: float) -> NativeHistogram:
        """Every count and the sum times `factor`."""
        hint = Hint.GAUGE if factor < 0 else self.hint
        return self._each(lambda value: value * factor, hint)

    def divided(self, divisor: float) -> NativeHistogram:
        """Every count and the sum over `divisor`; over zero no buckets are left."""
        if divisor == 0:
            none = replace(self, positive={}, negative={})
            return none._each(lambda value: _over_zero(value, divisor), self.hint)  # noqa: SLF001 - our own class
        return self._each(lambda value: value / divisor, Hint.GAUGE if divisor < 0 else self.hint)

    def _each(self, change: Callable[[float], float], hint: Hint) -> NativeHistogram:
        return replace(
            self,
            count=change(self.count),
            sum=change(self.sum),
            zero_count=change(self.zero_count),
            positive={index: change(count) for index, count in self.positive.items()},
            negative={index: change(count) for index, count in self.negative.items()},
            hint=hint,
        )


def _over_zero(value: float, zero: float) -> float:
    if value == 0 or math.isnan(value):
        return math.nan
    return math.copysign(math.inf, value) * math.copysign(1.0, zero)


def exponential_bound(schema: int, index: int) -> float:
    """The upper bound of the exponential bucket `index`."""
    try:
        if schema <= 0:
            return math.ldexp(1.0, index << -schema)
        whole, part = divmod(index, 1 << schema)
        return math.ldexp(2.0 ** (part / (1 << schema)), whole)
    except OverflowError:
        return math.inf
