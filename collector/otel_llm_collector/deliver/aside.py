"""Work on large payloads beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from otel_llm_collector import limits

_Result = TypeVar("_Result")


async def aside(payload: bytes, work: Callable[[], _Result]) -> _Result:
    """`work` on `payload`, in a thread when it is large, so that the other readers go on."""
    if len(payload) < limits.INLINE_REQUEST_BYTES:
        return work()
    return await asyncio.to_thread(work)
