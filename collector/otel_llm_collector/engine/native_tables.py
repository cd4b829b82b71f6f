"""The tables that the engine in Rust is given for content and for OpenTelemetry's own metrics: plain data."""

from __future__ import annotations

from typing import Any

from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics
from otel_llm_semconv.catalog import ATTRIBUTES
from otel_llm_semconv.content_keys import content_keys
from otel_llm_semconv.enums import GenAiTokenModality as Modality
from otel_llm_semconv.enums import GenAiTokenType as TokenType

from otel_llm_collector.engine import families, patterns, redact
from otel_llm_collector.engine.content import QUOTES
from otel_llm_collector.engine.settings import ProcessorsConfig, RedactionConfig

# In the order of the constants in `families.rs`.
_FAMILY_METRICS = (
    metrics.GEN_AI_CLIENT_TOKEN_USAGE,
    metrics.GEN_AI_CLIENT_OPERATION_DURATION,
    metrics.GEN_AI_CLIENT_OPERATION_TIME_TO_FIRST_CHUNK,
    metrics.GEN_AI_CLIENT_INFERENCE_DURATION,
    metrics.GEN_AI_CLIENT_INFERENCE_TIME_TO_FIRST_CHUNK,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_INPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_OUTPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_READ_INPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_CACHE_WRITE_INPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_USAGE_REASONING_OUTPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_OPERATION_INPUT_TOKENS,
    metrics.GEN_AI_CLIENT_INFERENCE_OPERATION_OUTPUT_TOKENS,
    metrics.GEN_AI_CLIENT_OPERATION_TIME_PER_OUTPUT_CHUNK,
    metrics.GEN_AI_CLIENT_INFERENCE_TIME_PER_OUTPUT_CHUNK,
)

# What each attribute is to the engine, beside those that it reads in any case.
FAMILY_KEYS = (
    ("port", attr.SERVER_PORT),
    ("input_text", attr.GEN_AI_USAGE_TEXT_INPUT_TOKENS),
    ("output_text", attr.GEN_AI_USAGE_TEXT_OUTPUT_TOKENS),
    ("cache_read_text", attr.GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS),
    ("cache_read_image", attr.GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS),
    ("cache_read_audio", attr.GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS),
)


_MAX_FIELD_BYTES = 2**62  # more is the same


def of_family(family: families.Family) -> dict[str, Any] | None:
    """Which of OpenTelemetry's metrics are derived, and from which spans; None for none of them."""
    if family == "none":
        return None
    return {
        "has_old": family in {"old", "both"},
        "has_new": family in {"new", "both"},
        "inference": sorted(families.INFERENCE),
        "client": sorted(families.CLIENT),
        "kinds": [TokenType.INPUT.value, TokenType.OUTPUT.value],
        "modalities": [one.value for one in (Modality.TEXT, Modality.IMAGE, Modality.AUDIO, Modality.UNKNOWN)],
        "metrics": [(metric.name, list(metric.boundaries)) for metric in _FAMILY_METRICS],
    }


def of_content(config: ProcessorsConfig) -> dict[str, Any] | None:
    """What is done to content, and which attributes it is; None where nothing is done."""
    if config == ProcessorsConfig(plugins=config.plugins):
        return None
    keys = content_keys()
    return {
        "exact": sorted(keys.exact),
        "prefixes": list(keys.prefixes),
        "known": sorted(key for key in ATTRIBUTES if key.startswith(keys.prefixes) and key not in keys.exact),
        "quotes": sorted(QUOTES),
        "redaction": config.redaction and _of_redaction(config.redaction),
        "max_field_bytes": min(config.content.max_field_bytes, _MAX_FIELD_BYTES),
        "replaces_blobs": config.content.blobs == "replace",
        "mark": attr.OTEL_LLM_CONTENT_TRUNCATED,
    }


def _of_redaction(config: RedactionConfig) -> dict[str, Any]:
    rows = config.rows()
    names = list(dict.fromkeys(row.name for row in rows))
    return {
        "names": names,
        "rows": [(names.index(row.name), patterns.read(row.pattern).rust, row.check) for row in rows],
        "action": config.action.value,
        "key": config.key(),
        "is_free": redact.is_free(rows),
        "iban_lengths": redact.IBAN_LENGTHS,
    }
