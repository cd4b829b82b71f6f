"""Content encodings of incoming bodies, each bounded while it decompresses.

A bomb costs no more than the limit: output is produced piece by piece and the work stops at the first byte over it.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from otel_llm_collector.errors import MalformedRequest, TooLarge

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ENCODINGS = ("gzip", "deflate", "zstd", "identity")

_PIECE = 1 << 18
_WINDOW_LOG = 23  # RFC 9659: with HTTP, a zstd window is 8 MiB at most


class _Decoder(Protocol):
    """One member or frame: `eof` at its end, then `unused_data` is what follows it."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """A zlib object that keeps its unread input, as the one for zstd does."""

    def __init__(self, window_bits: int) -> None:
        self._object = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, max_length)


_DECODERS: dict[str, Callable[[], _Decoder]] = {
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "zstd": lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}),
}


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """`body` undone from one of `ENCODINGS`.

    Raises `MalformedRequest` when it is not that encoding or ends early, `TooLarge` when it grows over `max_bytes`.
    """
    if encoding == "identity":
        return body
    plain = io.BytesIO()  # one buffer: pieces and what they are joined to would be the same bytes twice
    total = 0
    rest = body
    while rest:  # several members or frames may follow one another
        decoder = _DECODERS[encoding]()
        while not decoder.eof:
            try:
                piece = decoder.decompress(rest, min(_PIECE, max_bytes - total + 1))
            except (zlib.error, zstd.ZstdError) as error:
                msg = f"body: is not {encoding} ({error}); send {encoding} data or leave out Content-Encoding"
                raise MalformedRequest(msg) from error
            total += len(piece)
            if total > max_bytes:
                msg = f"body: decompresses to over {max_bytes} bytes; send smaller requests"
                raise TooLarge(msg)
            if not piece and not rest and not decoder.eof:
                msg = f"body: the {encoding} data ends early ({len(body)} bytes seen); send the whole of it"
                raise MalformedRequest(msg)
            plain.write(piece)
            rest = b""  # the decoder keeps what it has not used yet
        rest = decoder.unused_data
    return plain.getvalue()
