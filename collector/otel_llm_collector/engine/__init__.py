"""The engine: one pass over the bytes of a request. `OTEL_LLM_ENGINE` chooses the implementation."""

from __future__ import annotations

from collections.abc import Mapping

from otel_llm_semconv.dialects import compiled

from otel_llm_collector.contract import Engine
from otel_llm_collector.engine.dialects import Normaliser
from otel_llm_collector.engine.prices import RateBook
from otel_llm_collector.engine.pure import PureEngine
from otel_llm_collector.engine.settings import PricesConfig, ProcessorsConfig
from otel_llm_collector.errors import StartError


def load_engine(
    environment: Mapping[str, str], processors: ProcessorsConfig | None = None, prices: PricesConfig | None = None
) -> Engine:
    """The engine that `OTEL_LLM_ENGINE` in `environment` names, for these sections; `pure` is the only one so far."""
    name = environment.get("OTEL_LLM_ENGINE", "pure")
    if name != "pure":
        msg = f"OTEL_LLM_ENGINE: names no engine (seen: {name!r}); set it to pure or leave it unset"
        raise StartError(msg)
    return PureEngine(RateBook(prices), Normaliser(compiled()), processors or ProcessorsConfig())
