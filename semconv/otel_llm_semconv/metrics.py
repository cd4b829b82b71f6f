"""Metrics that the collector measures from spans.

Generated from the registry by `make generate`; edit `registry/*.yaml` instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; label values stand in the order of `attributes`, `boundaries` only for histograms."""

    name: str
    instrument: str
    unit: str
    brief: str
    attributes: tuple[str, ...]
    boundaries: tuple[float, ...] = ()


OTEL_LLM_REQUESTS: Final = Metric(
    "otel_llm.requests",
    "counter",
    "{request}",
    "GenAI operations and RAG steps.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
)

OTEL_LLM_ERRORS: Final = Metric(
    "otel_llm.errors",
    "counter",
    "{request}",
    "GenAI operations and RAG steps that ended in an error.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "error.type",
    ),
)

OTEL_LLM_OPERATION_DURATION: Final = Metric(
    "otel_llm.operation.duration",
    "histogram",
    "s",
    "Duration of GenAI operations and RAG steps.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

OTEL_LLM_TOKENS: Final = Metric(
    "otel_llm.tokens",
    "counter",
    "{token}",
    "Tokens of provider calls by type; cache_read, cache_write and reasoning are parts of input and output.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.token.type",
    ),
)

OTEL_LLM_COST_USD: Final = Metric(
    "otel_llm.cost.usd",
    "counter",
    "{USD}",
    "Price of provider calls in US dollars, as far as it is known.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
)

OTEL_LLM_COST_UNPRICED: Final = Metric(
    "otel_llm.cost.unpriced",
    "counter",
    "{request}",
    "Provider calls without a known price.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "otel_llm.cost.unknown_reason",
    ),
)

OTEL_LLM_TIME_TO_FIRST_TOKEN: Final = Metric(
    "otel_llm.time_to_first_token",
    "histogram",
    "s",
    "Time from a request to the first chunk of its streamed answer.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.01,
        0.02,
        0.04,
        0.08,
        0.16,
        0.32,
        0.64,
        1.28,
        2.56,
        5.12,
        10.24,
        20.48,
        40.96,
        81.92,
    ),
)

OTEL_LLM_RETRIEVAL_RETURNED: Final = Metric(
    "otel_llm.retrieval.returned",
    "histogram",
    "{document}",
    "Documents that a retrieval returned.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.0,
        1.0,
        2.0,
        3.0,
        5.0,
        8.0,
        10.0,
        15.0,
        20.0,
        30.0,
        50.0,
        100.0,
    ),
)

OTEL_LLM_RETRIEVAL_REQUESTED: Final = Metric(
    "otel_llm.retrieval.requested",
    "histogram",
    "{document}",
    "Documents that a retrieval was asked for.",
    (
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
    ),
    (
        0.0,
        1.0,
        2.0,
        3.0,
        5.0,
        8.0,
        10.0,
        15.0,
        20.0,
        30.0,
        50.0,
        100.0,
    ),
)

METRICS: Final = {
    metric.name: metric
    for metric in (
        OTEL_LLM_REQUESTS,
        OTEL_LLM_ERRORS,
        OTEL_LLM_OPERATION_DURATION,
        OTEL_LLM_TOKENS,
        OTEL_LLM_COST_USD,
        OTEL_LLM_COST_UNPRICED,
        OTEL_LLM_TIME_TO_FIRST_TOKEN,
        OTEL_LLM_RETRIEVAL_RETURNED,
        OTEL_LLM_RETRIEVAL_REQUESTED,
    )
}
"""Every metric by its name."""
