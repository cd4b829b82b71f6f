"""What the window is written as can be read again; what is broken costs only itself."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import pytest
from otel_llm_collector.measure.blocks import SLOTS
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql.native import NativeHistogram
from otel_llm_collector.measure.promql.storage import STALE, Matcher, make_labels
from otel_llm_collector.measure.window_files import decode, encode, restore

NOW = 1_700_000_000_000
STEP = 15_000
ALL = [Matcher("__name__", "!=", "")]


def past(resolution: float = 15) -> Past:
    return Past(seconds=6 * 3600, resolution_seconds=resolution, max_series=100, max_series_per_name=100)


def filled() -> Past:
    """Three series over more than one block, one of them with gaps and its end, and a native histogram."""
    made = past()
    for step in range(2 * SLOTS + 7):
        at = NOW + step * STEP + step % 3
        made.append_one(make_labels({"__name__": "a", "x": "ünï\n"}), at, float(step), at)
        if step % 5:
            made.append_one(make_labels({"__name__": "b"}), at, float("inf") if step % 2 else STALE, at)
        native = NativeHistogram(schema=3, count=step, sum=1.5, positive={-2: 1.0, 7: float(step)})
        made.append_one(make_labels({"__name__": "h"}), at, 0.0, at, native)
    return made


def content(of: Past) -> dict[object, tuple[list[int], bytes, list[str]]]:
    """Everything in it, values by their bits."""
    return {
        one.labels: (one.times.tolist(), np.asarray(one.values).tobytes(), [str(each) for each in one.histograms or ()])
        for one in of.select(ALL, 0, 2**60)
    }


def test_a_window_comes_back_as_it_was() -> None:
    """Samples, gaps, stale markers and native histograms."""
    before, after = filled(), past()
    now = NOW + 3 * SLOTS * STEP
    for start, _ in before.blocks():
        copy = before.block_copy(start)
        assert copy is not None
        restore(after, decode(encode(copy)), now)
    assert content(after) == content(before)
    assert len(before.blocks()) == 3


def test_what_is_too_old_or_has_no_room_is_left_out() -> None:
    """The front door: another resolution, a smaller store, hours later."""
    before = filled()
    starts = [start for start, _ in before.blocks()]
    after = Past(seconds=3600, resolution_seconds=60, max_series=2, max_series_per_name=100)
    now = NOW + 3600_000 + SLOTS * STEP
    for start in starts:
        copy = before.block_copy(start)
        assert copy is not None
        restore(after, copy, now)
    found = after.select(ALL, 0, 2**60)
    assert len(found) == 2
    assert all(one.times[0] >= now - 3600_000 for one in found)


def test_a_change_is_a_new_version() -> None:
    """Only what changed is written again."""
    made = filled()
    before = dict(made.blocks())
    made.append_one(make_labels({"__name__": "late"}), NOW + 1, 1.0, NOW + 1)
    changed = [start for start, version in made.blocks() if before[start] != version]
    assert len(changed) == 1


@pytest.mark.parametrize(
    "broken",
    [
        lambda data: data[:-9],
        lambda data: data[:-200] + bytes([data[-200] ^ 0xFF]) + data[-199:],
        lambda _: b"",
        lambda data: b"SQLite format 3" + data,
        lambda data: data.replace(b'"format":1', b'"format":9'),
        lambda data: data.replace(b'"rows":3', b'"rows":2'),
        lambda data: data.replace(b'"rows":3', b'"rows":9'),
        lambda data: data.replace(b'"offset_bytes":2', b'"offset_bytes":3'),
    ],
)
def test_what_is_broken_is_refused(broken: Callable[[bytes], bytes]) -> None:
    """A file that is cut short, changed or somebody else's is an error, and never half a block."""
    made = filled()
    copy = made.block_copy(made.blocks()[0][0])
    assert copy is not None
    with pytest.raises((ValueError, TypeError, zlib.error)):
        decode(broken(encode(copy)))


def test_no_memory_is_taken_for_what_a_file_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that claims more than a block can have is refused before anything is unpacked."""
    made = filled()
    copy = made.block_copy(made.blocks()[0][0])
    assert copy is not None
    monkeypatch.setattr("otel_llm_collector.limits.MAX_WINDOW_BLOCK_BYTES", 1000)
    with pytest.raises(ValueError, match="more than a block can have"):
        decode(encode(copy))
