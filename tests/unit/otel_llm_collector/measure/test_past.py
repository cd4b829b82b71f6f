"""The past keeps what it was given, in its place, within its bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector import limits
from otel_llm_collector.measure.past import NO_SERIES, Past
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import Matcher, make_labels

NOW = 1_700_000_000_000
STEP = 15_000


def named(name: str, **labels: str) -> tuple[tuple[str, str], ...]:
    """Labels of a series."""
    return make_labels({"__name__": name, **labels})


def samples(past: Past, name: str, start: int = NOW - 10**8, end: int = NOW + 10**8) -> list[tuple[int, float]]:
    """What the one series of that name holds."""
    [one] = past.select([Matcher("__name__", "=", name)], start, end)
    return list(zip(one.times.tolist(), one.values.tolist(), strict=True))


def small(**changes: int) -> Past:
    """A store with little room."""
    return Past(**{"seconds": 3600, "resolution_seconds": 15, "max_series": 10, "max_series_per_name": 10, **changes})


def test_samples_come_back_in_order_of_time() -> None:
    """One in order, one late, one twice: three samples, each in its place."""
    past = small()
    for at, value in ((0, 1.0), (2 * STEP, 3.0), (STEP, 2.0), (2 * STEP, 3.0)):
        past.append_one(named("a"), NOW + at, value, NOW + at)
    assert samples(past, "a") == [(NOW, 1.0), (NOW + STEP, 2.0), (NOW + 2 * STEP, 3.0)]


def test_of_several_samples_in_a_slot_the_newest_stays() -> None:
    """Whatever the order in which they come; what lost its place is counted."""
    past = small()
    start = NOW - NOW % STEP
    for at, value in ((5, 1.0), (9, 2.0), (7, 3.0)):
        past.append_one(named("a"), start + at, value, NOW)
    assert samples(past, "a") == [(start + 9, 2.0)]
    assert past.dropped["superseded"] == 1


def test_what_does_not_belong_is_counted() -> None:
    """A sample from next year, one older than the window, one of a series too many."""
    past = small(max_series=2)
    past.append_one(named("a"), NOW + 365 * 86_400_000, 1.0, NOW)
    past.append_one(named("a"), NOW - 3601 * 1000, 1.0, NOW)
    past.append_one(named("b"), NOW, 1.0, NOW)
    past.append_one(named("c"), NOW, 1.0, NOW)
    assert past.number(named("c")) == NO_SERIES
    assert past.dropped == {"future": 1, "too_old": 1, "series_limit": 1}
    assert len(past) == 2


def test_one_name_cannot_take_all_the_room() -> None:
    """Labels that explode reach the bound of their name; other names still find room."""
    past = small(max_series=100, max_series_per_name=20)
    for number in range(1000):
        past.append_one(named("exploding", user=str(number)), NOW, 1.0, NOW)
    past.append_one(named("calm"), NOW, 1.0, NOW)
    assert past.names() == {"exploding": 20, "calm": 1}
    assert past.dropped["series_limit"] == 980


def test_series_that_vanish_make_room() -> None:
    """When its last block leaves the window a series goes, its number is used again, and `epoch` says so."""
    past = small(seconds=1800, max_series=1)
    past.append_one(named("old", a="1"), NOW, 1.0, NOW)
    later = NOW + 3 * 1800 * 1000
    assert past.number(named("new")) == NO_SERIES
    past.prune(later)
    assert past.epoch == 1
    past.append_one(named("new"), later, 2.0, later)
    assert samples(past, "new", later - STEP, later) == [(later, 2.0)]
    assert past.names() == {"new": 1}


def test_a_series_without_a_sample_yet_does_not_leave() -> None:
    """Its number was given out and has to stay good."""
    past = small(seconds=1800)
    past.append_one(named("old"), NOW, 1.0, NOW)
    number = past.number(named("waiting"))
    past.prune(NOW + 3 * 1800 * 1000)
    assert past.number(named("waiting")) == number
    assert past.names() == {"waiting": 1}


def test_the_past_moves_with_the_clock() -> None:
    """After the clock was set by an hour, what was just now is still just now."""
    past = small()
    past.append_one(named("a"), NOW, 1.0, NOW)
    past.shift(3_600_000)
    past.append_one(named("a"), NOW + 3_600_000 + STEP, 2.0, NOW + 3_600_000 + STEP)
    assert samples(past, "a") == [(NOW + 3_600_000, 1.0), (NOW + 3_600_000 + STEP, 2.0)]


def test_series_sampled_together_share_their_times() -> None:
    """The evaluator reads such times once."""
    past = small()
    numbers = np.array([past.number(named("a", i=str(i))) for i in range(3)])
    for turn in range(4):
        at = NOW + turn * STEP
        past.append(numbers, np.full(3, at), np.arange(3.0) + turn, at)
    past.append_one(named("a", i="3"), NOW + 1, 9.0, NOW + 4 * STEP)
    found = past.select([Matcher("__name__", "=", "a")], NOW, NOW + 5 * STEP)
    assert len({id(one.times) for one in found}) == 2
    assert sorted(one.values.tolist() for one in found) == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [9]]


def test_matchers_choose_and_selections_follow_new_series() -> None:
    """A selection that was asked before knows a series that came later; a missing label counts as empty."""
    past = small()
    query = [Matcher("__name__", "=", "a"), Matcher("x", "=~", "1|")]
    past.append_one(named("a", x="1"), NOW, 1.0, NOW)
    assert len(past.select(query, NOW, NOW)) == 1
    past.append_one(named("a"), NOW, 1.0, NOW)
    past.append_one(named("a", x="2"), NOW, 1.0, NOW)
    past.append_one(named("b", x="1"), NOW, 1.0, NOW)
    assert len(past.select(query, NOW, NOW)) == 2
    assert len(past.select([Matcher("x", "=", "1")], NOW, NOW)) == 2


def test_native_histograms_stand_beside_the_values() -> None:
    """A histogram where there is one, None where the sample is a float."""
    past = small()
    histogram = NativeHistogram(count=3, sum=1.5, positive={1: 3.0})
    number = past.number(named("h"))
    past.append_one(named("h"), NOW, 5.0, NOW)
    past.append_histogram(number, NOW + STEP, histogram, NOW + STEP)
    [one] = past.select([Matcher("__name__", "=", "h")], NOW, NOW + STEP)
    assert one.histograms == [None, histogram]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-200, 200), st.floats(allow_nan=False)), max_size=60))
def test_like_a_plain_dictionary(points: list[tuple[int, int, float]]) -> None:
    """Whatever comes in whatever order: each slot holds the newest of its samples, and nothing else is there."""
    past = small(seconds=7200)
    expected: dict[tuple[int, int], tuple[int, float]] = {}
    for series, second, value in points:
        at = NOW + second * 1000
        past.append_one(named("a", i=str(series)), at, value, NOW)
        if second <= limits.MAX_FUTURE_SECONDS and at >= expected.get((series, at // STEP), (0, 0.0))[0]:
            expected[series, at // STEP] = (at, value)
    found = {
        (int(dict(one.labels)["i"]), at // STEP): (at, value)
        for one in past.select([Matcher("__name__", "=", "a")], NOW - 10**7, NOW + 10**7)
        for at, value in zip(one.times.tolist(), one.values.tolist(), strict=True)
    }
    assert found == expected
