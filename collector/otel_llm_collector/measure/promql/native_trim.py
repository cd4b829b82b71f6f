"""`histogram </ limit` and `histogram >/ limit`: what a native histogram holds below or above a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from otel_llm_collector.measure.promql.native import Bucket, NativeHistogram, share_below


def trimmed(one: NativeHistogram, limit: float, *, upper: bool) -> NativeHistogram:
    """The histogram without the observations above (`upper`) or below `limit`; its sum is estimated anew."""
    count, total, changed = 0.0, 0.0, False
    sides: list[dict[int, float]] = []
    for side, sign in ((one.positive, 1.0), (one.negative, -1.0)):
        kept: dict[int, float] = {}
        for index, bucket in _buckets(one, side, sign).items():
            keep, middle = _trim(bucket, limit, upper=upper, positive=sign > 0, linear=one.custom)
            count += keep
            total += middle * keep
            changed |= keep != bucket.count
            if keep:
                kept[index] = keep
        sides.append(kept)
    zero = one.zero_count
    if zero > 0:
        zero, middle = _trim_zero(one, limit, upper=upper)
        changed |= zero != one.zero_count
        count += zero
        total += middle * zero
    if not changed:
        return one
    return replace(one, count=count, sum=total, zero_count=zero, positive=sides[0], negative=sides[1])


def _buckets(one: NativeHistogram, side: Mapping[int, float], sign: float) -> dict[int, Bucket]:
    found = {}
    for index, count in side.items():
        if count:
            lower, upper = one.bounds(index)
            found[index] = Bucket(lower, upper, count) if sign > 0 else Bucket(-upper, -lower, count)
    return found


def _trim(bucket: Bucket, limit: float, *, upper: bool, positive: bool, linear: bool) -> tuple[float, float]:
    """How many observations of the bucket stay, and where they lie on average."""
    if (bucket.upper <= limit) if upper else (bucket.lower >= limit):
        return bucket.count, _middle(bucket.lower, bucket.upper, positive=positive, linear=linear)
    if not ((bucket.lower < limit) if upper else (bucket.upper > limit)):
        return 0.0, 0.0
    if bucket.lower == -math.inf:
        return _trim_lowest(bucket, limit, upper=upper)
    if bucket.upper == math.inf:
        return (0.0, 0.0) if upper else (bucket.count, limit)
    below = bucket.count * share_below(bucket.lower, bucket.upper, limit, linear=linear)
    if upper:
        return below, _middle(bucket.lower, limit, positive=positive, linear=linear)
    return bucket.count - below, _middle(limit, bucket.upper, positive=positive, linear=linear)


def _trim_lowest(bucket: Bucket, limit: float, *, upper: bool) -> tuple[float, float]:
    """The bucket from minus infinity: taken to begin at 0 where it ends above."""
    finite = 0 < bucket.upper < math.inf
    if upper:
        if limit > 0 and finite:
            return bucket.count * limit / bucket.upper, limit / 2
        return (bucket.count, limit) if bucket.upper <= 0 else (0.0, 0.0)
    if limit >= 0 and finite:
        return bucket.count * (1 - limit / bucket.upper), (limit + bucket.upper) / 2
    return 0.0, 0.0


def _middle(lower: float, upper: float, *, positive: bool, linear: bool) -> float:
    if math.isinf(lower):
        return 0.0 if math.isinf(upper) else upper / 2 if upper > 0 else upper
    if math.isinf(upper):
        return lower
    if linear:
        return (lower + upper) / 2
    middle = math.sqrt(abs(lower * upper))
    return middle if positive else -middle


def _trim_zero(one: NativeHistogram, limit: float, *, upper: bool) -> tuple[float, float]:
    negative, positive = any(one.negative.values()), any(one.positive.values())
    low = 0.0 if positive and not negative else -one.zero_threshold
    high = 0.0 if negative and not positive else one.zero_threshold
    if (limit >= high) if upper else (limit <= low):
        return one.zero_count, (low + high) / 2
    if (limit <= low) if upper else (limit >= high):
        return 0.0, 0.0
    kept = (low, limit) if upper else (limit, high)
    return one.zero_count * (kept[1] - kept[0]) / (high - low), sum(kept) / 2
