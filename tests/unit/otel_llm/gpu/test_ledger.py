"""Shares of energy: fair, complete, and the same however spans overlap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llm.gpu.ledger import Ledger, Share, Work


def tick(ledger: Ledger, now: float, joules: float, busy: float = 1.0, own: float = 1.0) -> None:
    """A reading of one device."""
    ledger.tick(now, [Work("GPU-a", joules, busy, own, 100)])


def test_a_span_alone_gets_what_the_counter_says() -> None:
    """One span over two readings is given the counter's difference and the busy time."""
    ledger = Ledger(0.0)
    tick(ledger, 1.0, 100.0)
    share = ledger.begin(1.0)
    tick(ledger, 2.0, 400.0, busy=0.5)
    tick(ledger, 3.0, 500.0, busy=0.25)
    used = ledger.end(share, 3.0)
    assert used.joules == pytest.approx(400)
    assert used.gpu_seconds == pytest.approx(0.75)
    assert used.intervals == 2
    assert used.devices == {"GPU-a"}
    assert used.peak_bytes == 100


def test_spans_that_overlap_share_by_time_in_flight() -> None:
    """While two are in flight each gets half; while one is, it gets all."""
    ledger = Ledger(0.0)
    tick(ledger, 1.0, 0.0)
    long = ledger.begin(1.0)
    tick(ledger, 2.0, 100.0)
    short = ledger.begin(2.0)
    tick(ledger, 3.0, 200.0)
    assert ledger.end(short, 3.0).joules == pytest.approx(50)
    tick(ledger, 4.0, 300.0)
    assert ledger.end(long, 4.0).joules == pytest.approx(100 + 50 + 100)


def test_weights_shift_the_share() -> None:
    """A span of weight 3 gets three times what one of weight 1 gets."""
    ledger = Ledger(0.0)
    tick(ledger, 1.0, 0.0)
    heavy, light = ledger.begin(1.0, weight=3.0), ledger.begin(1.0, weight=1.0)
    tick(ledger, 2.0, 80.0)
    assert ledger.end(heavy, 2.0).joules == pytest.approx(60)
    assert ledger.end(light, 2.0).joules == pytest.approx(20)


def test_other_processes_keep_their_part() -> None:
    """Of a device that we use a quarter of, spans get a quarter."""
    ledger = Ledger(0.0)
    tick(ledger, 1.0, 0.0)
    share = ledger.begin(1.0)
    tick(ledger, 2.0, 100.0, busy=0.8, own=0.25)
    used = ledger.end(share, 2.0)
    assert (used.joules, used.gpu_seconds) == (pytest.approx(25), pytest.approx(0.2))


def test_time_without_a_span_is_left_over() -> None:
    """Energy of time in which nothing is in flight goes to no span and is counted as left."""
    ledger = Ledger(0.0)
    tick(ledger, 1.0, 0.0)
    tick(ledger, 2.0, 70.0)
    share = ledger.begin(2.0)
    tick(ledger, 3.0, 170.0)
    assert ledger.end(share, 3.0).joules == pytest.approx(100)
    assert ledger.left == {"GPU-a": pytest.approx(70)}


def test_a_span_that_ends_between_readings_is_given_the_last_power() -> None:
    """Its rest is carried on from the last interval; the difference to the counter appears as left."""
    ledger = Ledger(0.0)
    tick(ledger, 1.0, 0.0)
    share = ledger.begin(1.0)
    tick(ledger, 2.0, 100.0)
    assert ledger.end(share, 2.05).joules == pytest.approx(105)
    tick(ledger, 3.0, 120.0)
    assert ledger.left == {"GPU-a": pytest.approx(15)}


def test_ending_twice_changes_nothing() -> None:
    """A second end says the same and takes no weight away."""
    ledger = Ledger(0.0)
    tick(ledger, 1.0, 0.0)
    one, other = ledger.begin(1.0), ledger.begin(1.0)
    tick(ledger, 2.0, 100.0)
    assert ledger.end(one, 2.0).joules == ledger.end(one, 2.5).joules == pytest.approx(50)
    tick(ledger, 3.0, 200.0)
    assert ledger.end(other, 3.0).joules == pytest.approx(150)


def test_a_reloaded_driver_counts_from_zero() -> None:
    """A counter that went back adds nothing for that interval, and the next ones count again."""
    ledger = Ledger(0.0)
    tick(ledger, 1.0, 1000.0)
    share = ledger.begin(1.0)
    tick(ledger, 2.0, 5.0)
    tick(ledger, 3.0, 25.0)
    assert ledger.end(share, 3.0).joules == pytest.approx(20)


@given(
    st.lists(
        st.tuples(st.floats(0.001, 2.0), st.sampled_from(["begin", "end", "tick"]), st.floats(0.0, 500.0)),
        max_size=60,
    )
)
def test_shared_and_left_add_up_to_the_counters(steps: list[tuple[float, str, float]]) -> None:
    """Whatever begins, ends and is read in whatever order: no joule is lost, none is given twice."""
    ledger, now, first, second = Ledger(0.0), 0.0, 0.0, 50.0
    shares: list[Share] = []
    ended = []
    ledger.tick(0.001, [Work("a", first), Work("b", second, own=0.5)])
    start = first + 0.5 * second
    now = 0.001
    for passed, what, joules in [*steps, (0.1, "tick", 3.0)]:
        now += passed
        if what == "begin":
            shares.append(ledger.begin(now, weight=1.0 + joules))
        elif what == "end" and shares:
            ended.append(ledger.end(shares.pop(int(joules) % len(shares)), now))
        elif what == "tick":
            first, second = first + joules, second + joules / 3
            ledger.tick(now, [Work("a", first), Work("b", second, own=0.5)])
    given_out = sum(one.joules for one in ended) + sum(one.used.joules for one in shares)
    assert given_out == pytest.approx(ledger.shared, abs=1e-6)
    assert given_out + sum(ledger.left.values()) == pytest.approx(first + 0.5 * second - start, abs=1e-6)
