"""Queries that mean harm or make no sense: each is refused quickly, with a sentence and a place."""

from __future__ import annotations

import contextlib
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from otel_llm_collector.measure.promql import Options, instant, parse, range_query
from otel_llm_collector.measure.promql.storage import MemoryStorage, make_labels
from otel_llm_collector.measure.promql.values import LimitError, ParseError, QueryError, TimedOut


def storage(series: int = 3) -> MemoryStorage:
    """A few series of one sample."""
    found = MemoryStorage()
    for number in range(series):
        found.append(make_labels({"__name__": "x", "n": str(number)}), 0, float(number))
    return found


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("sum(x", 1, 6, "unexpected end of input"),
        ("sum(\n  rate(x[5m)\n)", 2, 12, 'unexpected ")"'),
        ("x{a=~'('}", 1, 6, "error parsing regexp"),
        ("nosuch(x)", 1, 1, "unknown function with name 'nosuch'"),
        ("rate(x)", 1, 6, "expected type range vector in call to function"),
        ("x offset 5m offset 5m", 1, 13, "offset may not be set multiple times"),
        ("1 + 'a'", 1, 5, "must contain only scalar and instant vector"),
        ("x and 1", 1, 1, 'set operator "and" not allowed'),
        ("x[5m] + 1", 1, 1, "must contain only scalar and instant vector"),
        ("{}", 1, 1, "at least one non-empty matcher"),
        ("x == ", 1, 6, "unexpected end of input"),
        ("x[0s]", 1, 3, "duration must be greater than 0"),
        ("x[5m] smoothed", 1, 7, "the modifier smoothed is experimental"),
        ("info(x)", 1, 1, "the function info() is experimental"),
        ("x + fill(0) x", 1, 5, "the modifier fill is experimental"),
        ("x[5m + 1m]", 1, 3, "duration expressions are experimental"),
        ("x y", 1, 3, "unexpected word 'y'"),
        ("'abc", 1, 1, "unterminated quoted string"),
        ("x $", 1, 3, "unexpected character: '$'"),
        ("topk(x)", 1, 1, "wrong number of arguments for aggregate expression"),
        ("sum by (a b) (x)", 1, 11, "unexpected word 'b' in grouping opts"),
        ("a * on(b) group_left(b) c", 1, 3, 'label "b" must not occur in ON and GROUP'),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, line: int, column: int, message: str) -> None:
    """Line, column and what is wrong."""
    with pytest.raises(ParseError, match=f"^{line}:{column}: parse error: ") as caught:
        parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text", ["(" * 5000 + "1" + ")" * 5000, "1" + "+1" * 5000, "-" * 5000 + "1", "x" + "[1m:]" * 5000]
)
def test_deep_queries_are_refused(text: str) -> None:
    """No query is so deep that it breaks the interpreter's stack."""
    with pytest.raises(ParseError, match=r"deep|only allowed"):
        parse(text)


def test_a_pattern_cannot_hold_the_process() -> None:
    """A regular expression that others take for ever with takes no time."""
    query = parse('x{n!~"(a+)+$"}')
    assert len(instant(query, storage(), 0).samples) == 3  # type: ignore[union-attr]
    hostile = MemoryStorage()
    hostile.append(make_labels({"__name__": "x", "n": "a" * 50 + "!"}), 0, 1.0)
    assert instant(query, hostile, 0).samples  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "count_over_time(vector(1)[36500d:1ms])",
        "sum(x * on() group_left x) or count_over_time(time()[1000y:1s])".replace("time()", "vector(time())"),
        "label_join(" * 20 + "x" + ", 'a', 'aaaaaaaaaa', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a')" * 20,
    ],
)
def test_queries_that_want_too_much_are_given_up(text: str) -> None:
    """Before the memory is taken."""
    with pytest.raises(QueryError):
        instant(parse(text), storage(), 0)


def test_a_range_query_of_a_billion_steps_is_refused() -> None:
    """The steps alone are too many."""
    with pytest.raises(LimitError):
        range_query(parse("1"), storage(), 0, 10**12, 1)


def test_matching_many_with_many_is_refused_before_it_is_tried() -> None:
    """Three thousand series on both sides, all in one match group."""
    with pytest.raises(QueryError, match="many-to-many matching not allowed"):
        instant(parse("x + on() x"), storage(3000), 0)


def test_a_query_past_its_time_is_given_up() -> None:
    """`expired` is asked before each part."""
    with pytest.raises(TimedOut):
        instant(parse("sum(x)"), storage(), 0, Options(expired=lambda: True))


PIECES = st.sampled_from(
    [
        *(
            "x",
            "sum",
            "by",
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            "5m",
            ":",
            "1",
            "+",
            "-",
            "^",
            "==",
            "bool",
            "on",
            "and",
            "@",
        ),
        *(
            "offset",
            "rate",
            "'a'",
            ",",
            "=",
            "=~",
            "group_left",
            "inf",
            " ",
            "start()",
            "topk",
            "label_replace",
            "\n",
            "#",
        ),
        *("0x1f", "é"),
    ]
)


@given(st.lists(PIECES, max_size=30).map(" ".join) | st.text(max_size=40))
@example("x @ inf")
@example("x @ 1e300")
@example("x offset 1e300")
@example("x[1e300]")
@example("'\\xff\\ud800'")
@example('{"\\xff"="\\xff"}')
@example('x{a=~"\\xff"}')
def test_any_text_is_a_query_or_a_parse_error(text: str) -> None:
    """Nothing else ever comes out of parsing, and what parses can be evaluated or fails as a query."""
    with contextlib.suppress(QueryError):
        instant(parse(text), storage(), 0, Options(max_samples=100_000))


@given(st.lists(PIECES, max_size=30).map(" ".join))
def test_the_place_of_a_mistake_is_in_the_text(text: str) -> None:
    """However wrong the text."""
    with contextlib.suppress(ParseError):
        parse(text)
        return
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert 0 <= caught.value.position <= len(text)


def test_long_windows_at_many_steps_are_looked_at_in_parts() -> None:
    """11,000 steps with 1,440 samples in each window: the answer comes, in bounded memory."""
    found = MemoryStorage()
    found.extend(make_labels({"__name__": "x"}), ((at * 15_000, float(at % 7)) for at in range(3000)))
    query = parse("quantile_over_time(0.5, x[6h])")
    steps = 11_000
    tracemalloc.start()
    try:
        (series,) = range_query(query, found, 21_600_000, 21_600_000 + 2000 * (steps - 1), 2000).series
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert series.values.tolist() == [3.0] * steps
    assert most < 256 * 1024 * 1024
