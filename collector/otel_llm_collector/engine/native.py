"""The engine in Rust (`otel_llm_wire`), and the tables it is given.

It does what `pure` does, over the bytes themselves. A request that is not plain OTLP it hands back, and the reference
processes it: text that is not UTF-8, ids no backend can store, what protobuf would have to merge, JSON about which
Python has limits of its own. So it does with results of evaluations, which are rare and which the reference measures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics
from otel_llm_semconv.enums import GenAiOperationName as Operation
from otel_llm_semconv.enums import OtelLlmCostUnknownReason as Unknown
from otel_llm_semconv.enums import OtelLlmRefusalReason as Reason
from otel_llm_semconv.events import GEN_AI_EVALUATION_RESULT

from otel_llm_collector import limits
from otel_llm_collector.contract import Engine, HistogramDelta, Outcome, Signal
from otel_llm_collector.engine import native_tables, spans
from otel_llm_collector.engine.calls import Memory
from otel_llm_collector.engine.prices import KINDS, RateBook, Rates
from otel_llm_collector.engine.pure import CURRENCY, WRITTEN
from otel_llm_collector.engine.refusals import REFUSALS
from otel_llm_collector.engine.settings import GenAiConfig, ProcessorsConfig
from otel_llm_collector.span_conditions import NoticedSpan, SpanCondition

_EVALUATION = GEN_AI_EVALUATION_RESULT.encode()


class Wire(Protocol):
    """What `otel_llm_wire.Engine` can do; None means that the reference has to look at the request."""

    def traces(
        self, request: bytes, conditions: Sequence[tuple[str, str, float]]
    ) -> tuple[bytes, int, Any, Any, Any, list[Any], Callable[[], None]] | None: ...


class WireContent(Protocol):
    """What `otel_llm_wire.ContentRules` can do; None means that the reference has to look at the request."""

    def logs(self, request: bytes) -> tuple[bytes, int, dict[str, int]] | None: ...


class NativeEngine:
    """See the module. `handed_back` counts the requests that `reference` processed.

    `memory` is an `otel_llm_wire.CallMemory`, and the reference's too, so that both know what was counted.
    """

    def __init__(
        self,
        rates: RateBook,
        dialects: Mapping[str, Any],
        memory: Memory,
        reference: Engine,
        *,
        processors: ProcessorsConfig | None = None,
        genai: GenAiConfig | None = None,
    ) -> None:
        import otel_llm_wire  # noqa: PLC0415 - not every installation has it

        self._rates = rates
        self._reference = reference
        rules = native_tables.of_content(processors or ProcessorsConfig())
        self._content: WireContent | None = None if rules is None else otel_llm_wire.ContentRules(rules)
        compiled = tables(dialects, genai or GenAiConfig())
        self._wire: Wire = otel_llm_wire.Engine(compiled, memory, self._ask, HistogramDelta, self._content)
        self._count: dict[Signal, Callable[[bytes], int | None]] = {
            Signal.METRICS: otel_llm_wire.metric_points,
            Signal.LOGS: otel_llm_wire.log_records,
        }
        self._for_reference = [_EVALUATION, *(event.encode() for event in dialects["logs"])]
        self.handed_back = 0

    @property
    def watch(self) -> tuple[SpanCondition, ...]:
        """Which spans are noticed, by the reference too."""
        return self._reference.watch

    @watch.setter
    def watch(self, conditions: tuple[SpanCondition, ...]) -> None:
        self._reference.watch = conditions

    def process(self, signal: Signal, request: bytes) -> Outcome:
        """One pass over `request`. Raises `MalformedRequest` when it is no such request."""
        outcome = self._traces(request) if signal is Signal.TRACES else self._counted(signal, request)
        if outcome is None:
            self.handed_back += 1
            return self._reference.process(signal, request)
        return outcome

    def _traces(self, request: bytes) -> Outcome | None:
        found = self._wire.traces(request, [(one.what, one.sign, one.bound) for one in self.watch])
        if found is None:
            return None
        payload, accepted, counters, histograms, notes, met, kept = found
        noticed = [NoticedSpan(*ids, *names, *said) for ids, names, *said in met]
        return Outcome(
            payload, accepted, counters=counters, histograms=histograms, notes=notes, noticed=noticed, kept=kept
        )

    def _counted(self, signal: Signal, request: bytes) -> Outcome | None:
        if signal is Signal.LOGS and any(needle in request for needle in self._for_reference):
            return None  # measured, or carried over, by the reference
        if signal is Signal.LOGS and self._content is not None:
            found = self._content.logs(request)
            return found and Outcome(found[0] if found[1] else b"", found[1], notes=found[2])
        accepted = self._count[signal](request)
        return None if accepted is None else Outcome(request if accepted else b"", accepted)

    def _ask(self, provider: str, model: str, start_ns: int, tier: str, host: str) -> Any:
        rates = self._rates.rates(provider, model, start_ns, tier=tier, host=host)
        if not isinstance(rates, Rates):
            return rates.value
        tiers = [
            (one.start, _by_kind(one.input), _by_kind(one.output), one.per_request, one.per_gpu_microsecond)
            for one in rates.tiers
        ]
        return tiers, rates.origin.source, rates.origin.version, rates.context_window


def wire_memory(capacity: int, window_ns: int) -> Memory:
    """The memory of calls as the engine in Rust has it, for both engines."""
    import otel_llm_wire  # noqa: PLC0415 - not every installation has it

    memory: Memory = otel_llm_wire.CallMemory(capacity, window_ns)
    return memory


def _by_kind(rates: tuple[tuple[str, int], ...]) -> list[tuple[int, int]]:
    return [(_KIND_INDEX[name], rate) for name, rate in rates]


_KIND_INDEX = {name: index for index, name in enumerate(KINDS)}


def tables(dialects: Mapping[str, Any], genai: GenAiConfig) -> dict[str, Any]:
    """Everything the Rust code has to know, as plain data."""
    return {
        "keys": [
            *_KEYS,
            *(native_tables.FAMILY_KEYS if genai.metrics != "none" else ()),
            *(("written", key) for key in sorted(WRITTEN)),
            *(("dialect_marker", key) for key in dialects["markers"]),
        ],
        "dialects": json.dumps(dialects),
        "keeps_originals": genai.originals == "keep",
        "max_dialect_problems": limits.MAX_DIALECT_PROBLEMS,
        "max_json_chars": limits.MAX_ATTRIBUTE_JSON_BYTES,
        "words": _WORDS,
        "provider_by_system": dict(spans.PROVIDER_BY_SYSTEM),
        "refusals": dict(REFUSALS),
        "provider_calls": sorted(spans.PROVIDER_CALLS),
        "metrics": {name: metric.name for name, metric in _METRICS.items()},
        "boundaries": {name: list(metric.boundaries) for name, metric in _METRICS.items() if metric.boundaries},
        "families": native_tables.of_family(genai.metrics),
        "rate_capacity": limits.MAX_CACHED_RATES,
    }


# What each attribute is to the engine.
_KEYS = (
    ("provider", attr.GEN_AI_PROVIDER_NAME),
    ("system", attr.GEN_AI_SYSTEM),
    ("request_model", attr.GEN_AI_REQUEST_MODEL),
    ("response_model", attr.GEN_AI_RESPONSE_MODEL),
    ("response_id", attr.GEN_AI_RESPONSE_ID),
    ("operation", attr.GEN_AI_OPERATION_NAME),
    ("own_operation", attr.OTEL_LLM_OPERATION_NAME),
    ("host", attr.SERVER_ADDRESS),
    ("service_tier", attr.OPENAI_RESPONSE_SERVICE_TIER),
    ("error_type", attr.ERROR_TYPE),
    ("first_token", attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK),
    ("chunks", attr.OTEL_LLM_STREAM_CHUNK_COUNT),
    ("time_per_chunk", attr.OTEL_LLM_STREAM_TIME_PER_CHUNK),
    ("returned_k", attr.OTEL_LLM_RETRIEVAL_RETURNED_K),
    ("scores", attr.OTEL_LLM_RETRIEVAL_SCORES),
    ("documents", attr.GEN_AI_RETRIEVAL_DOCUMENTS),
    ("gpu_seconds", attr.OTEL_LLM_GPU_SECONDS),
    ("top_k", attr.GEN_AI_RETRIEVAL_TOP_K),
    ("input", attr.GEN_AI_USAGE_INPUT_TOKENS),
    ("input_former", attr.GEN_AI_USAGE_PROMPT_TOKENS),
    ("output", attr.GEN_AI_USAGE_OUTPUT_TOKENS),
    ("output_former", attr.GEN_AI_USAGE_COMPLETION_TOKENS),
    ("cache_read", attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS),
    ("cache_write", attr.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS),
    ("cache_write_former", attr.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS),
    ("reasoning", attr.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS),
    ("input_audio", attr.GEN_AI_USAGE_AUDIO_INPUT_TOKENS),
    ("input_image", attr.GEN_AI_USAGE_IMAGE_INPUT_TOKENS),
    ("output_audio", attr.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS),
    ("output_image", attr.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS),
    ("finish_reasons", attr.GEN_AI_RESPONSE_FINISH_REASONS),
    ("output_messages", attr.GEN_AI_OUTPUT_MESSAGES),
    ("refused", attr.OTEL_LLM_QUALITY_REFUSED),
)

_WORDS = {
    "service_name": attr.SERVICE_NAME,
    "chat": Operation.CHAT.value,
    "embeddings": Operation.EMBEDDINGS.value,
    "retrieval": Operation.RETRIEVAL.value,
    "refusal": Reason.REFUSAL.value,
    "dialect_names": attr.OTEL_LLM_DIALECT_NAMES,
    "dialect_problems": attr.OTEL_LLM_DIALECT_PROBLEMS,
    "dialect_carried": attr.OTEL_LLM_DIALECT_CARRIED,
    "no_usage": Unknown.NO_USAGE.value,
    "no_model": Unknown.NO_MODEL.value,
    "inconsistent_usage": Unknown.INCONSISTENT_USAGE.value,
    "cost_total": attr.OTEL_LLM_COST_TOTAL,
    "cost_input": attr.OTEL_LLM_COST_INPUT,
    "cost_output": attr.OTEL_LLM_COST_OUTPUT,
    "cost_currency": attr.OTEL_LLM_COST_CURRENCY,
    "cost_source": attr.OTEL_LLM_COST_SOURCE,
    "cost_price_version": attr.OTEL_LLM_COST_PRICE_VERSION,
    "cost_unknown_reason": attr.OTEL_LLM_COST_UNKNOWN_REASON,
    "currency": CURRENCY,
    "cache_hit_ratio": attr.OTEL_LLM_USAGE_CACHE_HIT_RATIO,
    "context_utilization": attr.OTEL_LLM_USAGE_CONTEXT_UTILIZATION,
    "tokens_per_second": attr.OTEL_LLM_OUTPUT_TOKENS_PER_SECOND,
    "time_per_token": attr.OTEL_LLM_OUTPUT_TIME_PER_TOKEN,
    "time_per_chunk": attr.OTEL_LLM_STREAM_TIME_PER_CHUNK,
    "evaluation_event": GEN_AI_EVALUATION_RESULT,
    "input_tokens": attr.GEN_AI_USAGE_INPUT_TOKENS,
    "output_tokens": attr.GEN_AI_USAGE_OUTPUT_TOKENS,
    "usage_repaired": attr.OTEL_LLM_USAGE_REPAIRED,
    "cache_outside_input": spans.CACHE_OUTSIDE_INPUT,
    "reasoning_outside_output": spans.REASONING_OUTSIDE_OUTPUT,
}

_METRICS = {
    "requests": metrics.OTEL_LLM_REQUESTS,
    "errors": metrics.OTEL_LLM_ERRORS,
    "duration": metrics.OTEL_LLM_OPERATION_DURATION,
    "tokens": metrics.OTEL_LLM_TOKENS,
    "cost": metrics.OTEL_LLM_COST_USD,
    "unpriced": metrics.OTEL_LLM_COST_UNPRICED,
    "refusals": metrics.OTEL_LLM_REFUSALS,
    "first_token": metrics.OTEL_LLM_TIME_TO_FIRST_TOKEN,
    "time_per_token": metrics.OTEL_LLM_TIME_PER_OUTPUT_TOKEN,
    "returned": metrics.OTEL_LLM_RETRIEVAL_RETURNED,
    "score": metrics.OTEL_LLM_RETRIEVAL_SCORE,
    "requested": metrics.OTEL_LLM_RETRIEVAL_REQUESTED,
}
