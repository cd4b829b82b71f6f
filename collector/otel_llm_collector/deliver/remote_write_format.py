"""Prometheus remote write 1.0 and 2.0 as bytes: series of labels, samples, exemplars and native histograms.

Field numbers are those of `prometheus.WriteRequest` (1.0) and `io.prometheus.write.v2.Request` (2.0). In 2.0 every text
stands once in a table of symbols, and each series carries its type, help and unit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import Labels


class Kind(IntEnum):
    """The type of a metric, as both versions number it."""

    COUNTER = 1
    GAUGE = 2
    HISTOGRAM = 3
    SUMMARY = 5


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A measured value with the trace that it comes from."""

    labels: Labels
    value: float
    time_ms: int


@dataclass(slots=True)
class Series:
    """One series of one request."""

    labels: Labels
    kind: Kind
    help: str = ""
    unit: str = ""
    samples: list[tuple[int, float]] = field(default_factory=list)  # milliseconds, value
    exemplars: list[Exemplar] = field(default_factory=list)
    histograms: list[tuple[int, NativeHistogram]] = field(default_factory=list)


def version_1(series: Iterable[Series]) -> bytes:
    """`prometheus.WriteRequest`."""
    out = bytearray()
    for one in series:
        body = bytearray()
        for label in one.labels:
            body += _message(1, _label(label))
        for time_ms, value in one.samples:
            body += _message(2, _sample(time_ms, value))
        for exemplar in one.exemplars:
            labels = b"".join(_message(1, _label(label)) for label in exemplar.labels)
            body += _message(3, labels + _double(2, exemplar.value) + _varint(3, exemplar.time_ms))
        for time_ms, histogram in one.histograms:
            body += _message(4, _histogram(time_ms, histogram))
        out += _message(1, body)
    return bytes(out)


def version_2(series: Iterable[Series]) -> bytes:
    """`io.prometheus.write.v2.Request`."""
    symbols: dict[str, int] = {"": 0}

    def references(labels: Labels) -> bytes:
        numbers = [symbols.setdefault(text, len(symbols)) for label in labels for text in label]
        return _message(1, b"".join(_number(one) for one in numbers))

    out = bytearray()
    for one in series:
        body = bytearray(references(one.labels))
        for time_ms, value in one.samples:
            body += _message(2, _sample(time_ms, value))
        for time_ms, histogram in one.histograms:
            body += _message(3, _histogram(time_ms, histogram))
        for exemplar in one.exemplars:
            body += _message(4, references(exemplar.labels) + _double(2, exemplar.value) + _varint(3, exemplar.time_ms))
        texts = [symbols.setdefault(text, len(symbols)) for text in (one.help, one.unit)]
        body += _message(5, _varint(1, one.kind) + _varint(3, texts[0]) + _varint(4, texts[1]))
        out += _message(5, body)
    return b"".join(_message(4, text.encode()) for text in symbols) + bytes(out)


def _label(label: tuple[str, str]) -> bytes:
    return _message(1, label[0].encode()) + _message(2, label[1].encode())


def _sample(time_ms: int, value: float) -> bytes:
    return _double(1, value) + _varint(2, time_ms)


def _histogram(time_ms: int, one: NativeHistogram) -> bytes:
    out = _varint(1, int(one.count)) + _double(3, one.sum) + _varint(4, _zigzag(one.schema))
    out += _double(5, one.zero_threshold) + _varint(6, int(one.zero_count))
    for spans_field, deltas_field, counts in ((8, 9, one.negative), (11, 12, one.positive)):
        spans, deltas = _spans(counts)
        out += b"".join(
            _message(spans_field, _varint(1, _zigzag(offset)) + _varint(2, length)) for offset, length in spans
        )
        if deltas:
            out += _message(deltas_field, b"".join(_number(_zigzag(one)) for one in deltas))
    return out + _varint(15, time_ms)


def _spans(counts: Mapping[int, float]) -> tuple[list[tuple[int, int]], list[int]]:
    """Runs of neighbouring buckets, each with its distance from the one before, and the differences of their counts."""
    spans: list[tuple[int, int]] = []
    deltas: list[int] = []
    end, previous = 0, 0
    for index in sorted(counts):
        if spans and index == end:
            spans[-1] = spans[-1][0], spans[-1][1] + 1
        else:
            spans.append((index - end, 1))
        count = int(counts[index])
        deltas.append(count - previous)
        previous, end = count, index + 1
    return spans, deltas


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _number(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF  # negative ones as Protobuf has them
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(number: int, value: int) -> bytes:
    return _number(number << 3) + _number(value) if value else b""


def _double(number: int, value: float) -> bytes:
    return _number(number << 3 | 1) + struct.pack("<d", value)


def _message(number: int, body: bytes | bytearray | Sequence[int]) -> bytes:
    return _number(number << 3 | 2) + _number(len(body)) + bytes(body)
