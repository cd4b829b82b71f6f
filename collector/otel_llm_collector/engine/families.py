"""OpenTelemetry's own client metrics, derived from spans: the family until September 2026, the one since, or both.

The collector's metrics (`otel_llm.*`) are always measured; these are for dashboards made for OpenTelemetry's names.
They are derived from spans alone: points of histograms that arrive as metrics are passed on and never made into
counters, because a histogram's sum says nothing of what was retried or counted twice. As the conventions ask, each
inference is recorded, failed ones too; one without usage adds 0 tokens of unknown modality.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics
from otel_llm_semconv.enums import GenAiOperationName as Operation
from otel_llm_semconv.enums import GenAiTokenModality as Modality
from otel_llm_semconv.enums import GenAiTokenType as TokenType

from otel_llm_collector.engine.spans import GenAiSpan, integer

Family = Literal["none", "old", "new", "both"]

_NANO = 1e9
INFERENCE = frozenset({Operation.CHAT, Operation.GENERATE_CONTENT, Operation.TEXT_COMPLETION})
CLIENT = INFERENCE | {Operation.EMBEDDINGS, Operation.RETRIEVAL}

_DURATION = metrics.GEN_AI_CLIENT_OPERATION_DURATION  # in both: since September 2026 for what is no inference
_OLD = (
    metrics.GEN_AI_CLIENT_TOKEN_USAGE,
    _DURATION,
    metrics.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK,
    metrics.GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK,
)
_NEW = (
    _DURATION,
    metrics.GEN_AI_CLIENT_INFERENCE_DURATION,
    metrics.GEN_AI_CLIENT_INFERENCE_TIME_TO_FIRST_CHUNK,
    metrics.GEN_AI_CLIENT_INFERENCE_TIME_PER_OUTPUT_CHUNK,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_READ_INPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_WRITE_INPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_REASONING_OUTPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS,
)
_CHOICES: dict[Family, tuple[metrics.Metric, ...]] = {"none": (), "old": _OLD, "new": _NEW, "both": (*_OLD, *_NEW)}
# counter -> its key in GenAiSpan.tokens, and how the counts of single modalities are called
_COUNTERS: tuple[tuple[metrics.Metric, str, dict[Modality, str]], ...] = (
    (
        metrics.GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS,
        "input",
        {
            Modality.TEXT: attr.GEN_AI_USAGE_TEXT_INPUT_TOKENS,
            Modality.IMAGE: attr.GEN_AI_USAGE_IMAGE_INPUT_TOKENS,
            Modality.AUDIO: attr.GEN_AI_USAGE_AUDIO_INPUT_TOKENS,
        },
    ),
    (
        metrics.GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS,
        "output",
        {
            Modality.TEXT: attr.GEN_AI_USAGE_TEXT_OUTPUT_TOKENS,
            Modality.IMAGE: attr.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS,
            Modality.AUDIO: attr.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS,
        },
    ),
    (
        metrics.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_READ_INPUT_TOKENS,
        "cache_read",
        {
            Modality.TEXT: attr.GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS,
            Modality.IMAGE: attr.GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS,
            Modality.AUDIO: attr.GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS,
        },
    ),
    (metrics.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_WRITE_INPUT_TOKENS, "cache_write", {}),
    (metrics.GEN_AI_CLIENT_INFERENCE_USAGE_REASONING_OUTPUT_TOKENS, "reasoning", {}),
)


class Sums(Protocol):
    """Where measurements go."""

    def add(self, metric: metrics.Metric, labels: tuple[str, ...], value: float) -> None:
        """Add to a counter."""

    def observe(self, metric: metrics.Metric, labels: tuple[str, ...], value: float) -> None:
        """Add to a histogram."""


def registered(family: Family) -> dict[str, metrics.Metric]:
    """The metrics that exist when `family` is chosen: the collector's own and the family's, which get the service."""
    chosen = {metric.name: _with_service(metric) for metric in _CHOICES[family]}
    return {**metrics.METRICS, **chosen}


def _with_service(metric: metrics.Metric) -> metrics.Metric:
    return dataclasses.replace(metric, attributes=(attr.SERVICE_NAME, *metric.attributes))


def measure(family: Family, service: str, genai: GenAiSpan, sums: Sums) -> None:
    """Add the numbers of one span; what is no client operation, and the outer of two layers, has none here."""
    if family == "none" or genai.operation not in CLIENT or genai.is_wrapper:
        return
    values = {one.key: one.value for one in genai.span.attributes}
    port = integer(values.get(attr.SERVER_PORT))
    labels = (
        service,
        genai.operation,
        genai.provider,
        genai.request_model,
        genai.response_model,
        genai.host,
        "" if port is None else str(port),
    )
    nanoseconds = genai.span.end_time_unix_nano - genai.span.start_time_unix_nano
    seconds = nanoseconds / _NANO if nanoseconds >= 0 else None
    old, new = family in {"old", "both"}, family in {"new", "both"}
    inference = genai.operation in INFERENCE
    if seconds is not None and (old or not inference):
        sums.observe(_DURATION, (*labels, genai.error), seconds)
    if old:
        _measure_old(labels, genai, sums)
    if new and inference:
        if seconds is not None:
            sums.observe(metrics.GEN_AI_CLIENT_INFERENCE_DURATION, (*labels, genai.error), seconds)
        _measure_new(labels, genai, values, sums)


def _measure_old(labels: tuple[str, ...], genai: GenAiSpan, sums: Sums) -> None:
    if genai.time_to_first_token is not None:
        sums.observe(metrics.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK, labels, genai.time_to_first_token)
    if genai.seconds_per_chunk is not None:
        sums.observe(metrics.GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK, labels, genai.seconds_per_chunk)
    for kind in (TokenType.INPUT.value, TokenType.OUTPUT.value):
        if kind in genai.tokens:
            sums.observe(metrics.GEN_AI_CLIENT_TOKEN_USAGE, (*labels, kind), genai.tokens[kind])


def _measure_new(labels: tuple[str, ...], genai: GenAiSpan, values: Mapping[str, Any], sums: Sums) -> None:
    if genai.time_to_first_token is not None:
        sums.observe(metrics.GEN_AI_CLIENT_INFERENCE_TIME_TO_FIRST_CHUNK, labels, genai.time_to_first_token)
    if genai.seconds_per_chunk is not None:
        sums.observe(metrics.GEN_AI_CLIENT_INFERENCE_TIME_PER_OUTPUT_CHUNK, labels, genai.seconds_per_chunk)
    for metric, kind, parts in _COUNTERS:
        count = genai.tokens.get(kind)
        if count is None and kind in {"input", "output"}:
            count = 0
        if count is not None:
            for modality, share in _shares(count, parts, values).items():
                sums.add(metric, (*labels, modality.value), share)
    for metric, kind in (
        (metrics.GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS, "input"),
        (metrics.GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS, "output"),
    ):
        if kind in genai.tokens:
            sums.observe(metric, (*labels, genai.error), genai.tokens[kind])


def _shares(count: int, parts: Mapping[Modality, str], values: Mapping[str, Any]) -> dict[Modality, int]:
    """`count` by modality as far as the span says it; the rest is unknown. Parts that exceed the whole say nothing."""
    known = {modality: integer(values.get(key)) for modality, key in parts.items()}
    shares = {modality: share for modality, share in known.items() if share}
    rest = count - sum(shares.values())
    if rest < 0:
        return {Modality.UNKNOWN: count}
    return {**shares, Modality.UNKNOWN: rest} if rest or not shares else shares
