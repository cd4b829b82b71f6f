"""Runs test scripts in the format of Prometheus' own PromQL tests (`promqltest`): load series, evaluate, compare.

load 5m
    requests{job="api"} 0+10x10

eval instant at 50m rate(requests[50m])
    {job="api"} 0.03333333333333333
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from otel_llm_collector.measure.promql import lexer
from otel_llm_collector.measure.promql.evaluate import Options
from otel_llm_collector.measure.promql.native import CUSTOM, Hint, NativeHistogram, is_reset
from otel_llm_collector.measure.promql.notation import Value, name_of, parse_series
from otel_llm_collector.measure.promql.query import instant, parse, range_query
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, MemoryStorage, is_stale, make_labels
from otel_llm_collector.measure.promql.values import Matrix, QueryError, Result, Sample, Scalar, Series, String, Vector

_CLOSE = 1e-6
_SMALLEST = 2.2250738585072014e-308
_INSTANT = re.compile(r"eval(?:_(?P<mode>fail|warn|ordered|info))?\s+instant\s+(?:at\s+(?P<at>\S+)\s+)?(?P<query>.+)")
_RANGE = re.compile(
    r"eval(?:_(?P<mode>fail|warn|info))?\s+range\s+from\s+(?P<start>\S+)\s+to\s+(?P<end>\S+)\s+step\s+(?P<step>\S+)"
    r"\s+(?P<query>.+)"
)
_EXPECT = re.compile(
    r"expect\s+(?P<what>fail|ordered|warn|no_warn|info|no_info)(?:\s+(?P<how>msg|regex):\s*(?P<text>.*))?$"
)
_EXPECT_RANGE = re.compile(r"expect range vector from (?P<start>\S+) to (?P<end>\S+) step (?P<step>\S+)")
_EXPERIMENTAL = "experimental in Prometheus"


class Mismatch(Exception):
    """An evaluation did not come to what the script expects."""


@dataclass(slots=True)
class Evaluation:
    """One `eval` of a script."""

    line: int
    query: str
    start: int
    end: int = 0
    step: int = 0
    ranged: bool = False
    expected: dict[Labels, list[Value]] = field(default_factory=dict)
    scalar: float | None = None
    text: str | None = None
    notes: dict[str, list[re.Pattern[str] | str]] = field(default_factory=dict)
    points: tuple[int, int] | None = None  # start and step of an expected range vector


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one evaluation; `problem` is empty where it came out as expected."""

    evaluation: Evaluation
    problem: str
    experimental: bool = False


def run(text: str, options: Options) -> Iterator[Outcome]:
    """Every evaluation of a script, in order."""
    lines = [_stripped(line) for line in text.split("\n")]
    storage, starts_given = MemoryStorage(), False
    number = 0
    while number < len(lines):
        line = lines[number]
        block = _block(lines, number + 1)
        if not line:
            number += 1
            continue
        if line.lower() == "clear":
            storage, starts_given = MemoryStorage(), False
            number += 1
            continue
        if line.startswith("load"):
            starts_given |= any("@st" in one.split()[0] for one in block)
            _load(storage, line, block)
        elif line.startswith("eval"):
            evaluation = _evaluation(line, number + 1, block)
            yield _outcome(evaluation, storage, options, starts_given=starts_given)
        else:
            raise QueryError(f"line {number + 1}: not a command of a test script: {line!r}")
        number += 1 + len(block)


def _stripped(line: str) -> str:
    line = line.strip()
    return "" if line.startswith("#") else line


def _block(lines: Sequence[str], start: int) -> list[str]:
    found = []
    for line in lines[start:]:
        if not line:
            break
        found.append(line)
    return found


def _milliseconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    token = lexer.tokens(text.lstrip("+-"))[0]
    if token.kind == "duration":
        return sign * lexer.duration_ms(token, text)
    return sign * round(lexer.number(token, text) * 1000)


# load


def _load(storage: MemoryStorage, line: str, block: Sequence[str]) -> None:
    command, gap = line.split()
    step = _milliseconds(gap)
    loaded: dict[Labels, list[tuple[int, Value]]] = {}
    for one in block:
        if one.split()[0].endswith("@st"):
            continue
        labels, values = parse_series(one)
        loaded[labels] = [(place * step, value) for place, value in enumerate(values) if not value.omitted]
    if command == "load_with_nhcb":
        loaded.update(_with_custom_buckets(loaded))
    for labels, samples in loaded.items():
        before: NativeHistogram | None = None
        for at, value in samples:
            before = None if value.histogram is None else _as_stored(value.histogram, before)
            storage.append(labels, at, value.value, before)


def _as_stored(histogram: NativeHistogram, before: NativeHistogram | None) -> NativeHistogram:
    """The histogram as Prometheus' database hands it out: it tells itself whether a counter was reset."""
    if histogram.hint is Hint.GAUGE:
        return histogram
    if before is None or before.hint is Hint.GAUGE:
        return histogram if histogram.hint is Hint.RESET else replace(histogram, hint=Hint.UNKNOWN)
    unknown = histogram if histogram.hint is Hint.RESET else replace(histogram, hint=Hint.UNKNOWN)
    if is_reset(unknown, before):
        return unknown  # a reset that the database found is not told (prometheus/prometheus#15346)
    return replace(histogram, hint=Hint.NOT_RESET)


@dataclass(slots=True)
class _Classic:
    buckets: dict[float, float] = field(default_factory=dict)
    count: float | None = None
    sum: float = 0.0


def _with_custom_buckets(loaded: dict[Labels, list[tuple[int, Value]]]) -> dict[Labels, list[tuple[int, Value]]]:
    """The classic histograms among the series as native ones with custom buckets."""
    found: dict[Labels, dict[int, _Classic]] = {}
    for labels, samples in loaded.items():
        match = re.fullmatch(r"(.*)_(bucket|count|sum)", name_of(labels))
        if match is None:
            continue
        have = dict(labels)
        bound = have.pop("le", "NaN")
        have[METRIC_NAME] = match[1]
        of_series = found.setdefault(make_labels(have), {})
        for at, value in samples:
            classic = of_series.setdefault(at, _Classic())
            if match[2] == "bucket" and not math.isnan(float(bound)):
                classic.buckets[float(bound)] = value.value
            elif match[2] == "count":
                classic.count = value.value
            elif match[2] == "sum":
                classic.sum = value.value
    return {
        labels: [(at, Value(histogram=_custom(classic))) for at, classic in sorted(of_series.items())]
        for labels, of_series in found.items()
        if any(classic.buckets for classic in of_series.values())
    }


def _custom(classic: _Classic) -> NativeHistogram:
    bounds = sorted(bound for bound in classic.buckets if bound != math.inf)
    count = classic.count if classic.count is not None else max(classic.buckets.values(), default=0.0)
    cumulative = [*(classic.buckets[bound] for bound in bounds), classic.buckets.get(math.inf, count)]
    counts = [now - before for before, now in zip([0.0, *cumulative], cumulative, strict=False)]
    return NativeHistogram(
        schema=CUSTOM,
        count=count,
        sum=classic.sum,
        positive={place: value for place, value in enumerate(counts) if value},
        custom_values=tuple(bounds),
    )


# eval


def _evaluation(line: str, number: int, block: Sequence[str]) -> Evaluation:
    ranged = _RANGE.fullmatch(line)
    at_once = _INSTANT.fullmatch(line)
    if ranged:
        start, end, step = (_milliseconds(ranged[name]) for name in ("start", "end", "step"))
        found = Evaluation(number, ranged["query"], start, end, step, ranged=True)
    elif at_once:
        at = _milliseconds(at_once["at"] or "0")
        found = Evaluation(number, at_once["query"], at, at)
    else:
        raise QueryError(f"line {number}: not an evaluation: {line!r}")
    match = ranged or at_once
    if match and match["mode"]:
        found.notes[match["mode"]] = [re.compile("")]
    for one in block:
        _expect(found, one)
    return found


def _expect(found: Evaluation, line: str) -> None:
    if line.startswith("expected_fail_message"):
        found.notes["fail"] = [line.removeprefix("expected_fail_message").strip()]
    elif line.startswith("expected_fail_regexp"):
        found.notes["fail"] = [re.compile(line.removeprefix("expected_fail_regexp").strip())]
    elif points := _EXPECT_RANGE.fullmatch(line):
        found.points = _milliseconds(points["start"]), _milliseconds(points["step"])
    elif line.startswith("expect string "):
        literal = line.removeprefix("expect string ")
        found.text = lexer.unquote(lexer.tokens(literal)[0], literal)
    elif line.split(maxsplit=1)[0] == "expect":
        match = _EXPECT.fullmatch(line)
        if match is None:
            raise QueryError(f"line {found.line}: not an expectation: {line!r}")
        text = (match["text"] or "").strip()
        wanted = text if match["how"] == "msg" else re.compile(text)
        found.notes.setdefault(match["what"], []).append(wanted)
    elif re.fullmatch(r"[+-]?(?:[\d.][\w.+-]*|inf|nan)", line, re.IGNORECASE):
        found.scalar = _number(line)
    else:
        labels, values = parse_series(line)
        found.expected[labels] = values


def _number(text: str) -> float:
    return float(int(text, 16)) if text.lower().lstrip("+-").startswith("0x") else float(text)


def _outcome(evaluation: Evaluation, storage: MemoryStorage, options: Options, *, starts_given: bool) -> Outcome:
    try:
        _check(evaluation, storage, options)
    except Mismatch as error:
        return Outcome(evaluation, str(error), experimental=starts_given or _EXPERIMENTAL in str(error))
    return Outcome(evaluation, "", experimental=starts_given)


def _check(evaluation: Evaluation, storage: MemoryStorage, options: Options) -> None:
    try:
        query = parse(evaluation.query)
        result: Result
        if evaluation.ranged:
            result = range_query(query, storage, evaluation.start, evaluation.end, evaluation.step, options)
        else:
            result = instant(query, storage, evaluation.start, options)
    except QueryError as error:
        if _EXPERIMENTAL in str(error) and str(error) not in evaluation.notes.get("fail", []):
            raise Mismatch(str(error)) from error
        if "fail" not in evaluation.notes:
            raise Mismatch(f"failed: {error}") from error
        if not any(_says(wanted, str(error)) for wanted in evaluation.notes["fail"]):
            raise Mismatch(f"failed with {error}, not with {evaluation.notes['fail'][0]}") from error
        return
    if "fail" in evaluation.notes:
        raise Mismatch("did not fail")
    _check_notes(evaluation, "warn", result.notes.warnings)
    _check_notes(evaluation, "info", result.notes.infos)
    _compare(evaluation, result)


def _says(wanted: re.Pattern[str] | str, text: str) -> bool:
    return wanted == text if isinstance(wanted, str) else wanted.search(text) is not None


def _check_notes(evaluation: Evaluation, kind: str, seen: Sequence[str]) -> None:
    wanted = evaluation.notes.get(kind, [])
    if f"no_{kind}" in evaluation.notes and seen:
        raise Mismatch(f"unexpected {kind}: {seen}")
    for one in wanted:
        if not any(_says(one, text) for text in seen):
            raise Mismatch(f"no {kind} like {one}: {seen}")
    for text in seen:
        if wanted and not any(_says(one, text) for one in wanted):
            raise Mismatch(f"unexpected {kind}: {text}")


def _compare(evaluation: Evaluation, result: Result) -> None:
    if isinstance(result, String):
        if result.value != evaluation.text:
            raise Mismatch(f"{result.value!r}, not {evaluation.text!r}")
    elif isinstance(result, Scalar):
        if evaluation.scalar is None or not almost(result.value, evaluation.scalar):
            raise Mismatch(f"scalar {result.value}, not {evaluation.scalar}")
    elif isinstance(result, Vector):
        _compare_vector(evaluation, result.samples)
    else:
        _compare_matrix(evaluation, result)


def _compare_vector(evaluation: Evaluation, samples: Sequence[Sample]) -> None:
    if evaluation.scalar is not None:
        raise Mismatch("a vector, not a scalar")
    if "ordered" in evaluation.notes:
        order = [sample.labels for sample in samples]
        if order != list(evaluation.expected):
            raise Mismatch(f"order {order}, not {list(evaluation.expected)}")
    for sample in samples:
        if sample.labels not in evaluation.expected:
            raise Mismatch(f"unexpected series {dict(sample.labels)} with {sample.histogram or sample.value}")
        _compare_value(sample.labels, sample.value, sample.histogram, evaluation.expected[sample.labels][0])
    missing = set(evaluation.expected) - {sample.labels for sample in samples}
    if missing:
        raise Mismatch(f"missing series {[dict(labels) for labels in missing]}")


def _compare_matrix(evaluation: Evaluation, matrix: Matrix) -> None:
    start, step = evaluation.points or (evaluation.start, evaluation.step)
    for series in matrix.series:
        if series.labels not in evaluation.expected:
            raise Mismatch(f"unexpected series {dict(series.labels)}: {series.values}")
        wanted = {
            start + place * step: value
            for place, value in enumerate(evaluation.expected[series.labels])
            if not value.omitted
        }
        _compare_points(series, wanted)
    missing = set(evaluation.expected) - {series.labels for series in matrix.series}
    if missing:
        raise Mismatch(f"missing series {[dict(labels) for labels in missing]}")


def _compare_points(series: Series, wanted: dict[int, Value]) -> None:
    times = series.times.tolist()
    if times != list(wanted):
        raise Mismatch(f"{dict(series.labels)} has points at {times}, not {list(wanted)}: {series.values}")
    for place, value in enumerate(wanted.values()):
        histogram = None if series.histograms is None else series.histograms[place]
        _compare_value(series.labels, float(series.values[place]), histogram, value)


def _compare_value(labels: Labels, value: float, histogram: NativeHistogram | None, wanted: Value) -> None:
    if (histogram is None) != (wanted.histogram is None):
        raise Mismatch(f"{dict(labels)}: {histogram or value}, not {wanted}")
    if histogram is None or wanted.histogram is None:
        if not almost(value, wanted.value):
            raise Mismatch(f"{dict(labels)}: {value}, not {wanted.value}")
    elif not _same_native(histogram, wanted):
        raise Mismatch(f"{dict(labels)}: {histogram!r}, not {wanted.histogram!r}")


def _same_native(seen: NativeHistogram, wanted: Value) -> bool:
    expected = wanted.histogram
    if expected is None or (wanted.hint_given and seen.hint is not expected.hint):
        return False
    same = (seen.schema, seen.zero_threshold, seen.custom_values) == (
        expected.schema,
        expected.zero_threshold,
        expected.custom_values,
    )
    numbers = [(seen.count, expected.count), (seen.sum, expected.sum), (seen.zero_count, expected.zero_count)]
    for mine, theirs in ((seen.positive, expected.positive), (seen.negative, expected.negative)):
        filled = [{index: count for index, count in side.items() if count} for side in (mine, theirs)]
        same = same and filled[0].keys() == filled[1].keys()
        numbers += [(filled[0].get(index, 0.0), count) for index, count in filled[1].items()]
    return same and all(almost(a, b) for a, b in numbers)


def almost(a: float, b: float) -> bool:
    """Whether two numbers are the same but for a millionth; NaN equals NaN."""
    if math.isnan(a) or math.isnan(b):
        stale = is_stale_number(a) == is_stale_number(b)
        return math.isnan(a) and math.isnan(b) and stale
    if a == b:
        return True
    difference, size = abs(a - b), abs(a) + abs(b)
    if a == 0 or b == 0 or size < _SMALLEST:
        return difference < _CLOSE * _SMALLEST
    return difference / min(size, 1.7976931348623157e308) < _CLOSE


def is_stale_number(value: float) -> bool:
    """Whether it is the stale marker."""
    return bool(is_stale(np.array([value]))[0])
