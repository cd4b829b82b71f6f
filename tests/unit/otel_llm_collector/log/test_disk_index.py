"""The index of the log on disk agrees with a plain list, whatever is added and dropped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.contract import Signal
from otel_llm_collector.log.disk_index import SIGNALS, Index

RECORDS = st.lists(st.tuples(st.sampled_from(SIGNALS), st.integers(0, 10**9), st.integers(0, 500)), max_size=80)


@given(RECORDS, st.integers(0, 1000), st.integers(0, 40), st.integers(0, 1100), st.integers(0, 1100))
def test_items_between_two_offsets(
    records: list[tuple[Signal, int, int]], start: int, pops: int, first: int, last: int
) -> None:
    """After any number of dropped blocks, items between any two offsets are those of the records kept there."""
    index = Index(start, max_block_bytes=600)
    for signal, items, size in records:
        index.add(signal, items, size, 0.0)
    for _ in range(pops):
        if index.oldest_block is not None:
            index.pop()
    kept = list(enumerate(records, start))[index.first - start :]
    assert index.next == start + len(records)
    assert index.bytes == sum(size for _, (_, _, size) in kept)
    expected = {
        signal: sum(items for offset, (one, items, _) in kept if one is signal and first <= offset < last)
        for signal in SIGNALS
    }
    assert index.items(first, last) == {signal: items for signal, items in expected.items() if items}


def test_blocks_are_bounded_in_bytes_and_records() -> None:
    """A block ends at 256 records, or before it would pass its bytes; a record larger than that stands alone."""
    index = Index(0, max_block_bytes=1000)
    for size in [*[0] * 256, *[0] * 10, 900, 200, 5000, 1]:
        index.add(Signal.LOGS, 1, size, 0.0)
    ends = []
    while index.oldest_block is not None:
        ends.append(index.pop().end)
    assert ends == [256, 267, 268, 269, 270]


def test_unreadable_offsets_count_as_empty() -> None:
    """A gap in the file leaves offsets in their places and adds no items."""
    index = Index(5, 1000)
    index.add(Signal.TRACES, 3, 10, 1.0)
    index.skip_to(9)
    index.add(Signal.TRACES, 4, 10, 1.0)
    assert index.next == 10
    assert index.items(0, 9) == {Signal.TRACES: 3}
    assert index.items(6, 10) == {Signal.TRACES: 4}
