"""The file of W&B's offline runs: what is framed is read back, and a cut costs the record it hits, no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.deliver.wandb_format import HEADER, framed, records

SIZES = st.lists(st.one_of(st.integers(0, 40), st.integers(32_700, 32_800), st.integers(0, 100_000)), max_size=6)


def written(sizes: list[int]) -> tuple[list[bytes], list[int], bytes]:
    """Records of these sizes, where each ends, and the file."""
    contents = [bytes([n % 251]) * size for n, size in enumerate(sizes)]
    data, ends = HEADER, []
    for one in contents:
        data += framed(one, len(data))
        ends.append(len(data))
    return contents, ends, data


@given(SIZES)
def test_records_are_read_back_over_the_borders_of_blocks(sizes: list[int]) -> None:
    """Each as it was, and with the position behind it, from where more can be written."""
    contents, ends, data = written(sizes)
    assert list(records(data)) == list(zip(contents, ends, strict=True))


@given(SIZES, st.integers(0, 400_000), st.booleans())
def test_a_file_that_was_cut_or_damaged_ends_before(sizes: list[int], where: int, cut: bool) -> None:
    """What is whole before the cut, or before the byte that is not as it was, is read and nothing after it."""
    contents, ends, data = written(sizes)
    place = len(HEADER) + where % (len(data) - len(HEADER) + 1)
    damaged = (
        data[:place]
        if cut
        else data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        if place < len(data)
        else data
    )
    whole = [one for one, end in zip(contents, ends, strict=True) if end <= place]
    found = [one for one, _ in records(damaged)]
    assert found[: len(whole)] == whole
    if cut:
        assert found == whole


def test_what_is_no_such_file_holds_nothing() -> None:
    """Another beginning is another format."""
    assert list(records(b"not W&B")) == []
