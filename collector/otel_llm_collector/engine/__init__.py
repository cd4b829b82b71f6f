"""The engine: one pass over the bytes of a request. `OTEL_LLM_ENGINE` chooses the implementation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from otel_llm_semconv import registry
from otel_llm_semconv.dialects import Table, compiled, load

from otel_llm_collector import limits, rust
from otel_llm_collector.contract import Engine
from otel_llm_collector.engine.calls import CallMemory
from otel_llm_collector.engine.dialects import Normaliser
from otel_llm_collector.engine.native import NativeEngine, wire_memory
from otel_llm_collector.engine.prices import RateBook
from otel_llm_collector.engine.pure import PureEngine
from otel_llm_collector.engine.settings import GenAiConfig, PricesConfig, ProcessorsConfig
from otel_llm_collector.errors import StartError

logger = logging.getLogger(__name__)

_MEMORY = (limits.MAX_REMEMBERED_CALLS, limits.REMEMBERED_CALL_SECONDS * 10**9)


def load_engine(
    environment: Mapping[str, str],
    processors: ProcessorsConfig | None = None,
    prices: PricesConfig | None = None,
    genai: GenAiConfig | None = None,
    folder: Path = Path(),
    rates: RateBook | None = None,
) -> Engine:
    """The engine for these sections that `OTEL_LLM_ENGINE` in `environment` names.

    `pure` is the reference, `native` its twin in Rust. Unset means `native` where that was built and can do all that is
    asked for; otherwise it is said once that the reference runs. Relative paths in `genai` start at `folder`. `rates`
    is a price book that was made already.
    """
    name = environment.get("OTEL_LLM_ENGINE", "")
    if name not in ("", "pure", "native"):
        msg = f"OTEL_LLM_ENGINE: names no engine (seen: {name!r}); set it to pure or native, or leave it unset"
        raise StartError(msg)
    processors = processors or ProcessorsConfig()
    genai = genai or GenAiConfig()
    rates, dialects = rates or RateBook(prices), _dialects(genai, folder)
    normaliser = Normaliser(dialects, keep_originals=genai.originals == "keep")
    reference = partial(PureEngine, rates, normaliser, processors, genai.metrics)
    obstacle = _obstacle()
    if obstacle and name == "native":
        msg = f"OTEL_LLM_ENGINE: native cannot run here: {obstacle}; unset it, or set it to pure"
        raise StartError(msg)
    if obstacle or name == "pure":
        if name != "pure":
            logger.info("the engine runs in Python: %s", obstacle)
        return reference(CallMemory(*_MEMORY))
    memory = wire_memory(*_MEMORY)
    return NativeEngine(rates, dialects, memory, reference(memory), processors=processors, genai=genai)


def _dialects(genai: GenAiConfig, folder: Path) -> Table:
    """The compiled tables; with files of one's own they are read and compiled anew."""
    if not genai.dialects:
        return compiled()
    try:
        return load(registry.load(), extra=[folder / path for path in genai.dialects])
    except registry.RegistryError as error:
        msg = f"genai.dialects: {error}"
        raise StartError(msg) from error


def _obstacle() -> str:
    """Why the twin in Rust does not run, or ""."""
    return rust.missing() or rust.misfit()
