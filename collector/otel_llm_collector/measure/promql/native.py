"""Native histograms: their arithmetic, resets and statistics, by Prometheus' rules.

Buckets are sparse: a mapping from bucket index to a count. With an exponential schema n (-4 to 8) the positive bucket i
covers (b**(i-1), b**i] where b = 2**2**-n. (OTLP counts from one lower: its bucket i is our i + 1.) With the schema
`CUSTOM` the bucket i ends at `custom_values[i]`, the one after the last is open. Negative buckets mirror positive ones.
A histogram is never changed; operations return new ones.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

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


@dataclass(frozen=True, slots=True, eq=False)
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

    @property
    def overflows(self) -> bool:
        """Whether something in it is infinite."""
        counts = (*self.positive.values(), *self.negative.values())
        return any(math.isinf(value) for value in (self.count, self.sum, self.zero_count, *counts))

    def same_as(self, other: NativeHistogram) -> bool:
        """Whether both hold the same; NaN equals NaN."""
        mine = (self.schema, self.zero_threshold, self.custom_values, _filled(self.positive), _filled(self.negative))
        others = (
            other.schema,
            other.zero_threshold,
            other.custom_values,
            _filled(other.positive),
            _filled(other.negative),
        )
        numbers = ((self.count, other.count), (self.sum, other.sum), (self.zero_count, other.zero_count))
        return mine == others and all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in numbers)

    def __str__(self) -> str:
        parts = [f"count:{short(self.count)}", f"sum:{short(self.sum)}"]
        for bucket in self.buckets():
            if bucket.count:
                closed = "[" if bucket.lower < 0 and not self.custom else "("
                end = ")" if bucket.upper < 0 and not self.custom else "]"
                parts.append(f"{closed}{short(bucket.lower)},{short(bucket.upper)}{end}:{short(bucket.count)}")
        return "{" + ", ".join(parts) + "}"

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


def _filled(buckets: Mapping[int, float]) -> dict[int, float]:
    return {index: count for index, count in buckets.items() if count}


def short(value: float) -> str:
    """A number as Go's `%g` writes it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    exponent = math.floor(math.log10(abs(value))) if value else 0
    if -4 <= exponent < 21:  # noqa: PLR2004 - Go's bounds for the plain form
        digits = format(Decimal(repr(value)), "f")
        return digits.removesuffix(".0")
    mantissa, power = f"{Decimal(repr(value)):e}".split("e")
    sign, number = power[0], power[1:]
    return f"{mantissa}e{sign}{number.zfill(2)}"


# Arithmetic


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of histograms, and what went on in adding them."""

    histogram: NativeHistogram
    collision: bool  # one said that a counter was reset, another that none was
    reconciled: bool  # custom bounds differed, so only those in common are left


def total(histograms: Sequence[NativeHistogram]) -> Total:
    """The sum of at least one histogram, at the resolution that all of them have. Raises `Incompatible`."""
    parts, reconciled = _aligned(histograms)
    hint, collision = parts[0].hint, False
    for part in parts[1:]:
        hint, collided = _joint_hint(hint, part.hint)
        collision = collision or collided
    return Total(
        replace(
            parts[0],
            count=_sum([part.count for part in parts]),
            sum=_sum([part.sum for part in parts]),
            zero_count=_sum([part.zero_count for part in parts]),
            positive=_sum_buckets([part.positive for part in parts]),
            negative=_sum_buckets([part.negative for part in parts]),
            hint=hint,
        ),
        collision,
        reconciled,
    )


def difference(left: NativeHistogram, right: NativeHistogram) -> Total:
    """`left` less `right`."""
    negated = replace(right.scaled(-1.0), hint=right.hint)
    return total([left, negated])


def mean(histograms: Sequence[NativeHistogram]) -> Total:
    """The average, without overflow where the average itself is finite."""
    count = float(len(histograms))
    found = total(histograms)
    if found.histogram.overflows:
        return total([one.divided(count) for one in histograms])
    return replace(found, histogram=found.histogram.divided(count))


def _sum(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # beyond the largest float; infinities of both signs
        return sum(values)


def _sum_buckets(sides: Sequence[Mapping[int, float]]) -> dict[int, float]:
    counts: dict[int, list[float]] = {}
    for side in sides:
        for index, count in side.items():
            counts.setdefault(index, []).append(count)
    sums = {index: _sum(values) for index, values in counts.items()}
    return {index: sums[index] for index in sorted(sums) if sums[index]}


def _joint_hint(first: Hint, second: Hint) -> tuple[Hint, bool]:
    if first is second:
        return first, False
    if Hint.GAUGE in (first, second):
        return Hint.GAUGE, False
    return Hint.UNKNOWN, Hint.UNKNOWN not in (first, second)


def _aligned(histograms: Sequence[NativeHistogram]) -> tuple[list[NativeHistogram], bool]:
    """The histograms with the same bounds, and whether custom bounds had to be dropped for it."""
    first = histograms[0]
    if any(one.custom != first.custom for one in histograms):
        raise Incompatible("a mix of histograms with exponential and custom buckets")
    if first.custom:
        bounds = set(first.custom_values)
        for one in histograms:
            bounds &= set(one.custom_values)
        common = tuple(sorted(bounds))
        differ = any(one.custom_values != first.custom_values for one in histograms)
        return ([_rebound(one, common) for one in histograms] if differ else list(histograms)), differ
    threshold = max(one.zero_threshold for one in histograms)
    while any((wider := _zero_bucket(one, threshold)[1]) > threshold for one in histograms):
        threshold = wider
    schema = min(one.schema for one in histograms)
    return [reduced(widened(one, threshold), schema) for one in histograms], False


def _rebound(one: NativeHistogram, bounds: tuple[float, ...]) -> NativeHistogram:
    counts: dict[int, float] = {}
    for index, count in one.positive.items():
        target = bisect_left(bounds, one.bounds(index)[1])
        counts[target] = counts.get(target, 0.0) + count
    return replace(one, positive=counts, custom_values=bounds)


def _zero_bucket(one: NativeHistogram, threshold: float) -> tuple[float, float]:
    """The count of a zero bucket of at least `threshold`, and the threshold that cuts no filled bucket."""
    count = one.zero_count
    if threshold <= one.zero_threshold:
        return count, one.zero_threshold
    for side in (one.positive, one.negative):
        for index in sorted(side):
            lower, upper = one.bounds(index)
            if lower >= threshold:
                break
            if upper > threshold and side[index]:
                return _zero_bucket(one, upper)
            count += side[index]
    return count, threshold


def widened(one: NativeHistogram, threshold: float) -> NativeHistogram:
    """The histogram with a wider zero bucket; what falls into it leaves the other buckets."""
    if threshold <= one.zero_threshold:
        return one
    count, threshold = _zero_bucket(one, threshold)
    keep = [{i: c for i, c in side.items() if one.bounds(i)[0] >= threshold} for side in (one.positive, one.negative)]
    return replace(one, zero_count=count, zero_threshold=threshold, positive=keep[0], negative=keep[1])


def reduced(one: NativeHistogram, schema: int) -> NativeHistogram:
    """The histogram at a lower resolution."""
    if schema >= one.schema:
        return one
    shift = one.schema - schema

    def merge(side: Mapping[int, float]) -> dict[int, float]:
        counts: dict[int, float] = {}
        for index, count in side.items():
            target = ((index - 1) >> shift) + 1
            counts[target] = counts.get(target, 0.0) + count
        return counts

    return replace(one, schema=schema, positive=merge(one.positive), negative=merge(one.negative))


def is_reset(current: NativeHistogram, previous: NativeHistogram) -> bool:
    """Whether a counter was reset between the two: something is less than before, or the buckets became finer."""
    if current.hint in (Hint.RESET, Hint.NOT_RESET):
        return current.hint is Hint.RESET
    if current.count < previous.count:
        return True
    if current.custom or previous.custom:
        return _is_custom_reset(current, previous)
    if current.schema > previous.schema or current.zero_threshold < previous.zero_threshold:
        return True
    wide = widened(previous, current.zero_threshold)
    if wide.zero_threshold != current.zero_threshold or current.zero_count < wide.zero_count:
        return True
    before = reduced(wide, current.schema)
    return _lacks(current.positive, before.positive) or _lacks(current.negative, before.negative)


def _is_custom_reset(current: NativeHistogram, previous: NativeHistogram) -> bool:
    if current.custom != previous.custom:
        return True
    (now, before), _ = _aligned([current, previous])
    return _lacks(now.positive, before.positive)


def _lacks(now: Mapping[int, float], before: Mapping[int, float]) -> bool:
    return any(now.get(index, 0.0) < count for index, count in before.items())


# Statistics


def variance(one: NativeHistogram) -> float:
    """The variance of the observations, each taken to lie in the middle of its bucket."""
    if not one.count:
        return math.nan
    average = one.sum / one.count
    terms = []
    for bucket in one.buckets():
        if one.custom:
            middle = (bucket.upper + bucket.lower) / 2
        elif bucket.lower <= 0 <= bucket.upper:
            middle = 0.0
        else:
            middle = math.copysign(math.sqrt(bucket.upper * bucket.lower), bucket.upper)
        if bucket.count:
            terms.append(bucket.count * (middle - average) * (middle - average))
    return _sum(terms) / one.count


def quantile_of(q: float, one: NativeHistogram) -> tuple[float, str]:
    """The `q`-quantile, and "" or what NaN observations did: "result" made it NaN, "skew" made it too high."""
    if math.isnan(q) or not 0 <= q <= 1 or not one.count:
        return (math.nan if math.isnan(q) or 0 <= q <= 1 else math.copysign(math.inf, q)), ""
    from_below = math.isnan(one.sum) or q < 0.5  # noqa: PLR2004 - from the nearer end
    rank = (q if from_below else 1 - q) * one.count
    buckets = list(one.buckets())
    ordered = [bucket for bucket in (buckets if from_below else reversed(buckets)) if bucket.count]
    count, bucket, position = 0.0, Bucket(0.0, 0.0, 0.0), 0
    for position, bucket in enumerate(ordered):  # noqa: B007 - both are used behind the loop
        count += bucket.count
        if count >= rank:
            break
    lower, upper = _natural(one, bucket)
    if one.custom and (bucket.lower == -math.inf and upper <= 0):
        return upper, ""
    if one.custom and bucket.lower != -math.inf and upper == math.inf:
        return lower, ""
    count = min(count, one.count)
    if count < rank:
        return (math.nan, "result") if math.isnan(one.sum) else (upper, "")
    into = rank - (count - bucket.count) if from_below else count - rank
    note = ""
    if math.isnan(one.sum) and count + sum(rest.count for rest in ordered[position + 1 :]) < one.count:
        note = "skew"
    return _interpolated(one, lower, upper, into / bucket.count), note


def _natural(one: NativeHistogram, bucket: Bucket) -> tuple[float, float]:
    """The bucket's bounds, where observations of one sign only keep the zero bucket to its half."""
    lower, upper = bucket.lower, bucket.upper
    if one.custom:
        return (0.0 if lower == -math.inf and upper > 0 else lower), upper
    return _half(one, lower, upper) if lower <= 0 <= upper else (lower, upper)


def _half(one: NativeHistogram, lower: float, upper: float) -> tuple[float, float]:
    if not one.negative and one.positive:
        return 0.0, upper
    return (lower, 0.0) if not one.positive and one.negative else (lower, upper)


def _interpolated(one: NativeHistogram, lower: float, upper: float, share: float) -> float:
    if one.custom or lower <= 0 <= upper:
        return lower + (upper - lower) * share
    low, high = math.log2(abs(lower)), math.log2(abs(upper))
    if lower > 0:
        return float(2 ** (low + (high - low) * share))
    return -float(2 ** (high + (low - high) * (1 - share)))


def fraction_of(lower: float, upper: float, one: NativeHistogram) -> tuple[float, bool]:
    """Which part of the observations lies between the bounds, and whether there were NaN ones, which do not count."""
    if not one.count or math.isnan(lower) or math.isnan(upper):
        return math.nan, False
    if lower >= upper:
        return 0.0, False
    buckets = list(one.buckets())
    counted = sum(bucket.count for bucket in buckets)
    nans = math.isnan(one.sum) and counted < one.count
    most = counted if math.isnan(one.sum) else one.count
    below = [min(_below(one, buckets, edge, most), most) for edge in (lower, upper)]
    return (below[1] - below[0]) / one.count, nans


def _below(one: NativeHistogram, buckets: Sequence[Bucket], edge: float, everything: float) -> float:
    """How many observations lie below `edge`."""
    rank = 0.0
    for bucket in buckets:
        low, high = bucket.lower, bucket.upper
        if low <= 0 <= high:
            low, high = _half(one, low, high)
        if low >= edge:
            return rank
        if high > edge:
            if low == -math.inf:
                return bucket.count
            return rank + bucket.count * share_below(low, high, edge, linear=one.custom or low <= 0 <= high)
        rank += bucket.count
    return everything


def share_below(lower: float, upper: float, edge: float, *, linear: bool) -> float:
    """Which part of a bucket lies below `edge`."""
    if linear:
        return (edge - lower) / (upper - lower)
    low, high, at = (math.log2(abs(value)) for value in (lower, upper, edge))
    return (at - low) / (high - low) if edge > 0 else 1 - (at - high) / (low - high)
