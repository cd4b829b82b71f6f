"""Series written down: `name{label="value"} 1 2+3x4 _ stale {{schema:1 buckets:[5 10]}}`.

The notation of promtool's unit tests and of Prometheus' own test scripts. `2+3x4` is 2 and then four more, each 3
higher; `7x4` is five times 7; `_` is no sample, `_x3` three times none; `stale` ends the series.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from otel_llm_collector.measure.promql.native import CUSTOM, Hint, NativeHistogram, difference, total
from otel_llm_collector.measure.promql.parser import parse_expression
from otel_llm_collector.measure.promql.storage import METRIC_NAME, STALE, Labels, make_labels
from otel_llm_collector.measure.promql.syntax import Selector
from otel_llm_collector.measure.promql.values import QueryError

_NUMBER = r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[Ii]nf|[Nn]a[Nn])"
_FLOATS = re.compile(rf"(?P<base>{_NUMBER})(?P<step>[+-]{_NUMBER})?(?:x(?P<times>\d+))?", re.IGNORECASE)
_NATIVE = re.compile(r"\{\{(?P<first>[^}]*)\}\}(?:(?P<sign>[+-])\{\{(?P<second>[^}]*)\}\})?(?:x(?P<times>\d+))?")
_NONE = re.compile(r"_(?:x(?P<times>\d+))?")
_FIELD = re.compile(r"\s*(?P<key>\w+):(?P<value>\[[^\]]*\]|\S+)")
_MOST = 1_000_000  # reject: more values than this in one series


@dataclass(frozen=True, slots=True)
class Value:
    """One place of a series: a float, a histogram, or nothing. `hint_given` says that the histogram's was written."""

    value: float = 0.0
    histogram: NativeHistogram | None = None
    omitted: bool = False
    hint_given: bool = False


def parse_series(text: str) -> tuple[Labels, list[Value]]:
    """The labels and the values of one line; raises `QueryError`."""
    end = _end_of_labels(text)
    return parse_labels(text[:end].strip()), parse_values(text[end:])


def parse_labels(text: str) -> Labels:
    """The labels of `name{label="value"}`; a name of its own is a label too."""
    if text.strip() in ("", "{}"):
        return ()
    # Written like a selector, so read like one; a matcher beside it lets any labels through.
    probe = text if "{" in text else f"{text}{{}}"
    expr = parse_expression(re.sub(r"\{\s*", '{__probe__="1",', probe, count=1))
    if not isinstance(expr, Selector) or any(one.op != "=" for one in expr.matchers):
        raise QueryError(f"not the labels of a series: {text!r}")
    return make_labels({one.name: one.value for one in expr.matchers if one.name != "__probe__"})


def _end_of_labels(text: str) -> int:
    """Where the labels end: at the brace that closes them, or at the first blank."""
    quote, depth = "", 0
    position = 0
    while position < len(text):
        character = text[position]
        if quote:
            position += character == "\\" and quote != "`"
            quote = "" if character == quote else quote
        elif character in "\"'`":
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                return position + 1
        elif character.isspace() and not depth:
            rest = text[position:].lstrip()
            if not rest.startswith("{") or rest.startswith("{{"):
                return position
        position += 1
    return position


def parse_values(text: str) -> list[Value]:
    """The values of a series in order."""
    found: list[Value] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match, values = _item(text, position)
        if len(found) + _times(match) > _MOST:
            raise QueryError(f"more than {_MOST} values in one series")
        found += values
        position = match.end()
    return found


def _times(match: re.Match[str]) -> int:
    return int(match.groupdict().get("times") or 0)


def _item(text: str, position: int) -> tuple[re.Match[str], Iterator[Value] | list[Value]]:
    stale = re.compile(r"stale(?:x(?P<times>\d+))?").match(text, position)
    if stale:
        return stale, [Value(STALE)] * (_times(stale) + 1)
    none = _NONE.match(text, position)
    if none:
        return none, [Value(omitted=True)] * (int(none["times"]) if none["times"] else 1)
    native = _NATIVE.match(text, position)
    if native:
        return native, _natives(native)
    floats = _FLOATS.match(text, position)
    ends = floats is not None and (floats.end() == len(text) or text[floats.end()].isspace())
    if floats is None or not ends:
        raise QueryError(f"not a value of a series: {text[position:].split(maxsplit=1)[0]!r}")
    return floats, _floats(floats)


def _floats(match: re.Match[str]) -> Iterator[Value]:
    value = float(match["base"])
    step = float(match["step"]) if match["step"] else 0.0
    for _ in range(_times(match) + 1):
        yield Value(value)
        value += step


def _natives(match: re.Match[str]) -> Iterator[Value]:
    histogram, given = parse_native(match["first"])
    step, step_given = parse_native(match["second"] or "")
    given = step_given if match["second"] is not None else given
    for _ in range(_times(match) + 1):
        yield Value(histogram=histogram, hint_given=given)
        if match["second"] is not None:
            combine = total([histogram, step]) if match["sign"] == "+" else difference(histogram, step)
            histogram = combine.histogram


def parse_native(text: str) -> tuple[NativeHistogram, bool]:
    """The histogram inside `{{…}}`, and whether its counter reset hint is written."""
    fields: dict[str, str] = {}
    position = 0
    while text[position:].strip():
        match = _FIELD.match(text, position)
        if match is None:
            raise QueryError(f"not a part of a native histogram: {text[position:].strip()!r}")
        if match["key"] in fields:
            raise QueryError(f"twice in one native histogram: {match['key']}")
        fields[match["key"]] = match["value"]
        position = match.end()
    unknown = set(fields) - _KEYS
    if unknown:
        raise QueryError(f"unknown in a native histogram: {', '.join(sorted(unknown))}")
    found = NativeHistogram(
        schema=int(fields.get("schema", "0")),
        count=float(fields.get("count", "0")),
        sum=float(fields.get("sum", "0")),
        zero_threshold=float(fields.get("z_bucket_w", "0")),
        zero_count=float(fields.get("z_bucket", "0")),
        positive=_buckets(fields, "buckets", "offset"),
        negative=_buckets(fields, "n_buckets", "n_offset"),
        custom_values=tuple(_list(fields.get("custom_values", "[]"))),
        hint=Hint(fields.get("counter_reset_hint", "unknown")),
    )
    return replace(found, schema=CUSTOM) if found.custom_values else found, "counter_reset_hint" in fields


_KEYS = {
    *("schema", "count", "sum", "z_bucket", "z_bucket_w", "custom_values", "counter_reset_hint"),
    *("buckets", "offset", "n_buckets", "n_offset"),
}


def _list(text: str) -> list[float]:
    return [float(part) for part in text.strip("[]").split()]


def _buckets(fields: dict[str, str], counts: str, offset: str) -> dict[int, float]:
    first = int(fields.get(offset, "0"))
    return {first + place: count for place, count in enumerate(_list(fields.get(counts, "[]"))) if count}


def name_of(labels: Labels) -> str:
    """The metric's name."""
    return dict(labels).get(METRIC_NAME, "")
