"""The store of series that tests load by hand, and the conditions on labels."""

from __future__ import annotations

import numpy as np
import pytest
from otel_llm_collector.measure.promql.storage import STALE, Matcher, MemoryStorage, is_stale, make_labels

REQUESTS = make_labels({"__name__": "requests", "job": "api"})


def test_a_slice_holds_the_asked_time_both_ends_included() -> None:
    """From 10 to 30 gives the samples at 10, 20 and 30."""
    storage = MemoryStorage()
    storage.extend(REQUESTS, [(at, float(at)) for at in range(0, 50, 10)])
    (found,) = storage.select([Matcher("__name__", "=", "requests")], 10, 30)
    assert found.times.tolist() == [10, 20, 30]
    assert found.values.tolist() == [10.0, 20.0, 30.0]


def test_a_sample_out_of_order_is_refused() -> None:
    """Times rise strictly."""
    storage = MemoryStorage()
    storage.append(REQUESTS, 10, 1.0)
    with pytest.raises(ValueError, match="not after the last sample"):
        storage.append(REQUESTS, 10, 2.0)


@pytest.mark.parametrize(
    ("matcher", "passes"),
    [
        (Matcher("job", "=", "api"), True),
        (Matcher("job", "!=", "api"), False),
        (Matcher("job", "=~", "a.*"), True),
        (Matcher("job", "=~", "a"), False),
        (Matcher("job", "!~", "b.*"), True),
        (Matcher("zone", "=", ""), True),
        (Matcher("zone", "=~", ".+"), False),
    ],
)
def test_matchers(matcher: Matcher, passes: bool) -> None:
    """A regular expression takes the whole value; a missing label is an empty one."""
    storage = MemoryStorage()
    storage.append(REQUESTS, 0, 1.0)
    assert bool(storage.select([matcher], 0, 1)) is passes


def test_the_stale_marker_is_told_from_other_nans() -> None:
    """Its bits, not being a NaN, make it stale."""
    assert is_stale(np.array([STALE, np.nan, 1.0])).tolist() == [True, False, False]
