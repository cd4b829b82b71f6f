"""Answers of queries as Prometheus' HTTP API writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from prometheus_client.samples import Exemplar

from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import Labels
from otel_llm_collector.measure.promql.values import Matrix, Notes, Result, Scalar, Series, String, Vector

_NO_NOTES = Notes()
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e16  # between these Python writes a float without an exponent
_EXPONENT_BELOW, _EXPONENT_FROM = 1e-6, 1e21  # outside of these Prometheus writes it with one


def success(data: Any, notes: Notes = _NO_NOTES) -> bytes:
    """The body of an answer."""
    body: dict[str, Any] = {"status": "success", "data": data}
    if notes.warnings:
        body["warnings"] = list(notes.warnings)
    if notes.infos:
        body["infos"] = list(notes.infos)
    return _encode(body)


def failure(kind: str, message: str) -> bytes:
    """The body of an error of that kind (Prometheus' `errorType`)."""
    return _encode({"status": "error", "errorType": kind, "error": message})


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def query_data(result: Result) -> dict[str, Any]:
    """The `data` of a query."""
    match result:
        case Scalar():
            return {"resultType": "scalar", "result": [seconds(result.at_ms), number(result.value)]}
        case String():
            return {"resultType": "string", "result": [seconds(result.at_ms), result.value]}
        case Vector():
            return {"resultType": "vector", "result": _vector(result)}
        case Matrix():
            return {"resultType": "matrix", "result": [_series(one) for one in result.series]}


def _vector(vector: Vector) -> list[dict[str, Any]]:
    at = seconds(vector.at_ms)
    return [
        {"metric": dict(one.labels), "value": [at, number(one.value)]}
        if one.histogram is None
        else {"metric": dict(one.labels), "histogram": [at, histogram(one.histogram)]}
        for one in vector.samples
    ]


def _series(series: Series) -> dict[str, Any]:
    found: dict[str, Any] = {"metric": dict(series.labels)}
    times = map(seconds, series.times.tolist())
    if series.histograms is None:
        found["values"] = [[at, number(value)] for at, value in zip(times, series.values.tolist(), strict=True)]
        return found
    points = list(zip(times, series.values.tolist(), series.histograms, strict=True))
    floats = [[at, number(value)] for at, value, native in points if native is None]
    natives = [[at, histogram(native)] for at, _, native in points if native is not None]
    return found | ({"values": floats} if floats else {}) | ({"histograms": natives} if natives else {})


def seconds(milliseconds: int) -> int | float:
    """A time as seconds."""
    whole, rest = divmod(milliseconds, 1000)
    return whole + rest / 1000 if rest else whole


def number(value: float) -> str:
    """A float as text: plain, or with an exponent where that is much shorter."""
    size = abs(value)
    if _PLAIN_FROM <= size < _PLAIN_TO or value == 0:
        return repr(value).removesuffix(".0")
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if _EXPONENT_BELOW <= size < _EXPONENT_FROM:
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return repr(value).replace(".0e", "e")


def histogram(one: NativeHistogram) -> dict[str, Any]:
    """A native histogram; a bucket is which ends belong to it (0: upper, 1: lower, 3: both), its bounds, its count."""
    found: dict[str, Any] = {"count": number(one.count), "sum": number(one.sum)}
    buckets = [
        [
            _closed(bucket.lower, bucket.upper, custom=one.custom),
            *map(number, (bucket.lower, bucket.upper, bucket.count)),
        ]
        for bucket in one.buckets()
        if bucket.count
    ]
    return found | ({"buckets": buckets} if buckets else {})


def _closed(lower: float, upper: float, *, custom: bool) -> int:
    if custom or lower >= 0:
        return 0
    return 1 if upper <= 0 else 3


def exemplars_data(found: Mapping[Labels, Iterable[Exemplar]]) -> list[dict[str, Any]]:
    """Exemplars by their series."""
    return [
        {
            "seriesLabels": dict(labels),
            "exemplars": [
                {"labels": dict(one.labels), "value": number(one.value), "timestamp": float(one.timestamp or 0.0)}
                for one in exemplars
            ],
        }
        for labels, exemplars in sorted(found.items())
    ]


def labels_data(found: Iterable[tuple[tuple[str, str], ...]]) -> list[dict[str, str]]:
    """Series by their labels alone."""
    return [dict(labels) for labels in found]
