"""A streamed answer that its caller stops reading is `cancelled`, also under OpenTelemetry's own instrumentations.

They report a stream that was left by `break`, thrown away or cancelled as a failed call, `error.type` `_OTHER`: users
who press *stop* would raise the error rate. Here it ends well, with the outcome and with what was read of it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import OtelLlmOutcome as Outcome

from otel_llm.patch import is_replaced, replace, when_imported

NAME = "stopped-streams"
_MODULE = "opentelemetry.util.genai.stream"


def instrument() -> None:
    """Do so for every instrumentation that rests on util-genai, now or when it is imported."""
    when_imported(NAME, _MODULE, _patch)


def _patch(module: ModuleType) -> None:
    telemetry: Any = getattr(module, "_StreamTelemetry", None)
    abandoned = getattr(module, "AbandonedStreamError", None)
    fail = getattr(telemetry, "_finalize_failure", None)
    if fail is None or abandoned is None or is_replaced(fail):
        return  # another version, which is left as it is
    replace(telemetry, "_finalize_failure", _stopping(fail, (abandoned, GeneratorExit, asyncio.CancelledError)))


def _stopping(fail: Callable[..., None], stopped: tuple[type[BaseException], ...]) -> Callable[..., None]:
    @functools.wraps(fail)
    def finalize_failure(self: Any, error: BaseException) -> None:
        attributes = getattr(getattr(self, "_self_invocation", None), "attributes", None)
        if attributes is None or not isinstance(error, stopped):
            fail(self, error)
            return
        if not self._self_finalized:
            attributes[attr.OTEL_LLM_OUTCOME] = Outcome.CANCELLED.value
        self._finalize_success()

    return finalize_failure
