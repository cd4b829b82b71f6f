"""Incoming content encodings are undone exactly and never beyond their bound."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.errors import MalformedRequest, TooLarge
from otel_llm_collector.receive.decompress import decompress, zstd

MIB = 1 << 20


@given(st.binary(max_size=5000))
def test_round_trip(data: bytes) -> None:
    """What was compressed comes back byte for byte, in every encoding."""
    assert decompress(gzip.compress(data), "gzip", 5000) == data
    assert decompress(zlib.compress(data), "deflate", 5000) == data
    assert decompress(zstd.compress(data), "zstd", 5000) == data
    assert decompress(data, "identity", 5000) == data


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_several_members(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """Members or frames one after another are one body, as RFC 1952 and RFC 8878 say."""
    assert decompress(compress(b"ab") + compress(b"cd"), encoding, 100) == b"abcd"


def test_exactly_the_limit_is_allowed_and_one_more_is_not() -> None:
    """The bound is on decompressed bytes and is inclusive."""
    assert len(decompress(gzip.compress(bytes(1000)), "gzip", 1000)) == 1000
    with pytest.raises(TooLarge, match="over 999 bytes"):
        decompress(gzip.compress(bytes(1000)), "gzip", 999)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_costs_no_more_than_its_limit(encoding: str) -> None:
    """A body that would become 1 GiB is refused after the limit's worth of memory."""
    compressor = zlib.compressobj(wbits=31) if encoding == "gzip" else zstd.ZstdCompressor()
    bomb = b"".join(compressor.compress(bytes(MIB)) for _ in range(1024)) + compressor.flush()
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decompress(bomb, encoding, 4 * MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


def test_a_zstd_window_has_a_bound() -> None:
    """A frame that wants 128 MiB to be undone is refused, as RFC 9659 allows for HTTP."""
    wide = zstd.compress(bytes(64 * MIB), options={zstd.CompressionParameter.window_log: 27})
    with pytest.raises(MalformedRequest, match="zstd"):
        decompress(wide, "zstd", 128 * MIB)


@pytest.mark.parametrize(
    "body", [b"not gzip at all", gzip.compress(b"x" * 1000)[:-9], gzip.compress(b"x") + b"garbage", b"\x1f"]
)
def test_broken_data_is_malformed(body: bytes) -> None:
    """What is no gzip, ends early or is followed by something else gets one clear sentence."""
    with pytest.raises(MalformedRequest, match="gzip"):
        decompress(body, "gzip", MIB)


@pytest.mark.parametrize("body", [b"not zstd", zstd.compress(b"x" * 1000)[:-2], zstd.compress(b"x") + b"garbage"])
def test_broken_zstd_is_malformed(body: bytes) -> None:
    """The same for zstd."""
    with pytest.raises(MalformedRequest, match="zstd"):
        decompress(body, "zstd", MIB)


@given(st.binary(max_size=300))
def test_random_bytes_never_raise_anything_else(body: bytes) -> None:
    """Hostile bytes end in one of the two declared errors or in a result."""
    for encoding in ("gzip", "deflate", "zstd"):
        with contextlib.suppress(MalformedRequest, TooLarge):
            decompress(body, encoding, 1000)
