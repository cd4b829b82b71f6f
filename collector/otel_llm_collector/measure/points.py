"""Points of OTLP metrics as Prometheus has them: names, labels, values, by OpenTelemetry's rules for Prometheus.

Cumulative sums become counters and gauges; histograms become `_bucket`, `_count` and `_sum`; exponential histograms
native ones; summaries their quantiles. The resource becomes `job`, `instance` and `target_info`, the scope
`otel_scope_name` and `otel_scope_version`. Nothing here remembers anything: what adds up deltas and keeps or sends the
series is `otlp_metrics` for the window, and the destination `prometheus_remote_write`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from otel_llm_semconv import attributes as attr

from otel_llm_collector import limits
from otel_llm_collector.any_value import text
from otel_llm_collector.measure.names import label_name, series_name
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, make_labels

NUMBERS = frozenset({"gauge", "sum"})
EXPONENTIAL = "exponential_histogram"
INFO = "target_info"
_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
_NO_RECORDED_VALUE = 1  # flag of a data point
_NANO_PER_MS = 1_000_000
_MIN_SCALE, _MAX_SCALE = -4, 8  # of Prometheus' native histograms
_JOB, _INSTANCE = "job", "instance"
_SCOPE_NAME, _SCOPE_VERSION = "otel_scope_name", "otel_scope_version"
_BUCKET, _QUANTILE = "le", "quantile"
_IDENTITY = (attr.SERVICE_NAME, attr.SERVICE_NAMESPACE, attr.SERVICE_INSTANCE_ID)


@dataclass(frozen=True, slots=True)
class Form:
    """What a metric is. `shape` is OTLP's word, `kind` Prometheus': counter, gauge, histogram or summary."""

    shape: str
    kind: str
    name: str  # empty where nothing of the metric's own makes a name
    delta: bool

    @property
    def rising(self) -> bool:
        """Whether its values only rise, from 0 at its beginning."""
        return self.kind != "gauge"


def form(metric: Any) -> Form | None:
    """The form of an OTLP metric; None when it has no data."""
    shape = metric.WhichOneof("data")
    if shape is None:
        return None
    data = getattr(metric, shape)
    delta = shape not in ("gauge", "summary") and data.aggregation_temporality == _DELTA
    kind = {"sum": "counter" if shape == "sum" and data.is_monotonic else "gauge", EXPONENTIAL: "histogram"}
    named_as = "sum" if shape == "sum" and not data.is_monotonic else kind.get(shape, shape)
    return Form(shape, kind.get(shape, shape), series_name(metric.name, metric.unit, named_as), delta)


def target(resource: Any, promoted: Collection[str] = ()) -> tuple[Labels, Labels]:
    """The labels of a resource that all its series have, and those of its `target_info` (none when it says no more).

    The attributes named in `promoted` are among the former.
    """
    said = {one.key: label_value(one.value) for one in resource.attributes}
    name, namespace = said.get(attr.SERVICE_NAME, ""), said.get(attr.SERVICE_NAMESPACE, "")
    identity = {
        _JOB: f"{namespace}/{name}" if namespace and name else name,
        _INSTANCE: said.get(attr.SERVICE_INSTANCE_ID, ""),
    }
    rest = [(key, value) for key, value in said.items() if key not in _IDENTITY]
    more = {label_name(key): value for key, value in said.items() if key in promoted}
    info = _merged(rest[: limits.MAX_LABELS])
    if not info or not any(identity.values()):
        return make_labels({**more, **identity}), ()
    return make_labels({**more, **identity}), make_labels({**info, **identity, METRIC_NAME: INFO})


def scope(given: Any) -> Labels:
    """The labels that say which instrumentation measured."""
    return tuple(pair for pair in ((_SCOPE_NAME, given.name), (_SCOPE_VERSION, given.version)) if pair[1])


def labels(point: Any) -> dict[str, str]:
    """The labels of a point's own attributes."""
    return _merged([(one.key, label_value(one.value)) for one in point.attributes])


def label_value(value: Any) -> str:
    """An attribute value as a label has it, bounded."""
    return text(value)[: limits.MAX_SERIES_LABEL_CHARS].replace("\x00", "�")


def _merged(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Label values by label; keys that become the same label have their values joined in the order of the keys."""
    found: dict[str, str] = {}
    for key, value in sorted(pairs):
        name = label_name(key)
        found[name] = f"{found[name]};{value}" if name in found else value
    return found


def parts(form: Form, point: Any) -> Iterator[dict[str, str]]:
    """Name and further label of each series of a point, in the order of `values`."""
    if form.shape == "histogram":
        for bound in (*point.explicit_bounds, math.inf):
            yield {METRIC_NAME: f"{form.name}_bucket", _BUCKET: go_float(bound)}
    elif form.shape == "summary":
        for one in point.quantile_values:
            yield {METRIC_NAME: form.name, _QUANTILE: go_float(one.quantile)}
    else:
        yield {METRIC_NAME: form.name}
        return
    yield {METRIC_NAME: f"{form.name}_count"}
    yield {METRIC_NAME: f"{form.name}_sum"}


def values(form: Form, point: Any) -> list[float] | None:
    """The values of a point that is no exponential histogram; None when its buckets do not fit its bounds.

    A histogram that has no sum, because what it counts may be negative, is one shorter than its `parts`.
    """
    if form.shape in NUMBERS:
        return [number(point)]
    if form.shape == "summary":
        return [*(one.value for one in point.quantile_values), float(point.count), point.sum]
    counts: list[float] = []
    if point.bucket_counts or point.explicit_bounds:
        if len(point.bucket_counts) != len(point.explicit_bounds) + 1:
            return None
        total = 0
        for count in point.bucket_counts:
            total += count
            counts.append(float(total))
    ends = [float(point.count), point.sum] if point.HasField("sum") else [float(point.count)]
    return [*(counts or [float(point.count)]), *ends]


def number(point: Any) -> float:
    """The value of a point of numbers, or of an exemplar."""
    return float(point.as_double or point.as_int)


def native(point: Any) -> NativeHistogram | None:
    """The point as a native histogram; None when it is coarser than Prometheus has, a finer one is made coarser."""
    if point.scale < _MIN_SCALE:
        return None
    scale = min(point.scale, _MAX_SCALE)
    return NativeHistogram(
        schema=scale,
        count=float(point.count),
        sum=point.sum,
        zero_threshold=point.zero_threshold,
        zero_count=float(point.zero_count),
        positive=_buckets(point.positive, point.scale - scale),
        negative=_buckets(point.negative, point.scale - scale),
    )


def _buckets(buckets: Any, coarser: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for index, count in enumerate(buckets.bucket_counts, buckets.offset):
        if count:
            where = (index >> coarser) + 1  # OTLP counts from one lower
            found[where] = found.get(where, 0.0) + count
    return found


def added(before: NativeHistogram | None, more: NativeHistogram) -> NativeHistogram:
    """Both together; when their resolutions differ, a new beginning with the later one."""
    if before is None or (before.schema, before.zero_threshold) != (more.schema, more.zero_threshold):
        return more
    return replace(
        more,
        count=before.count + more.count,
        sum=before.sum + more.sum,
        zero_count=before.zero_count + more.zero_count,
        positive=Counter(before.positive) + Counter(more.positive),
        negative=Counter(before.negative) + Counter(more.negative),
    )


def ended(point: Any) -> bool:
    """Whether a point says that its series have no value any more."""
    return bool(point.flags & _NO_RECORDED_VALUE)


def finite(values: Iterable[float]) -> bool:
    """Whether all of `values` can be added up."""
    return all(map(math.isfinite, values))


def milliseconds(nanoseconds: int) -> int:
    """Prometheus' time."""
    return nanoseconds // _NANO_PER_MS


def go_float(value: float) -> str:
    """A bound as Prometheus writes it: without an exponent, without a trailing `.0`."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")
