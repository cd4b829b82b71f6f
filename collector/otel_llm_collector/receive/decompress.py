"""Content encodings of incoming bodies, each bounded while it decompresses.

A bomb costs no more than the limit: output is produced piece by piece and the work stops at the first byte over it.
"""

from __future__ import annotations

import zlib

from otel_llm_collector.errors import MalformedRequest, TooLarge

ENCODINGS = ("gzip", "deflate", "identity")

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_PIECE = 1 << 20


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """`body` undone from one of `ENCODINGS`.

    Raises `MalformedRequest` when it is not that encoding or ends early, `TooLarge` when it grows over `max_bytes`.
    """
    if encoding == "identity":
        return body
    pieces: list[bytes] = []
    total = 0
    rest = body
    while rest:  # gzip allows several members one after another
        decoder = zlib.decompressobj(_WINDOW_BITS[encoding])
        while not decoder.eof:
            try:
                piece = decoder.decompress(rest, min(_PIECE, max_bytes - total + 1))
            except zlib.error as error:
                msg = f"body: is not {encoding} ({error}); send {encoding} data or leave out Content-Encoding"
                raise MalformedRequest(msg) from error
            total += len(piece)
            if total > max_bytes:
                msg = f"body: decompresses to over {max_bytes} bytes; send smaller requests"
                raise TooLarge(msg)
            pieces.append(piece)
            rest = decoder.unconsumed_tail
            if not piece and not rest and not decoder.eof:
                msg = f"body: the {encoding} data ends early ({len(body)} bytes seen); send the whole of it"
                raise MalformedRequest(msg)
        rest = decoder.unused_data
    return b"".join(pieces)
