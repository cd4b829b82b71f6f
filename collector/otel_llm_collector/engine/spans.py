"""What a GenAI span says, read leniently: former names, numbers in the wrong type, subsets outside their wholes.

Senders differ; the rules here are the numbered pitfalls of the conventions in code. Whatever is corrected is named in
`GenAiSpan.repaired`, and absent stays absent: a count that did not arrive is `None`, never 0.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import GenAiOperationName as Operation

from otel_llm_collector.engine.prices import Usage
from otel_llm_collector.engine.refusals import refusal

# Operations that are one call to a provider; only they are priced and their tokens counted. Agents and workflows
# repeat the sum of their children, `fetch_response` repeats an earlier call.
PROVIDER_CALLS = frozenset(
    {Operation.CHAT, Operation.GENERATE_CONTENT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS}
)

# gen_ai.system values that became other gen_ai.provider.name values
PROVIDER_BY_SYSTEM = {
    "az.ai.openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "vertex_ai": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "xai": "x_ai",
}
# What is corrected, as a span's list of repairs names it
CACHE_OUTSIDE_INPUT = "cache_outside_input"
REASONING_OUTSIDE_OUTPUT = "reasoning_outside_output"

# Spellings of each count by precedence, the current one first.
_INPUT = (attr.GEN_AI_USAGE_INPUT_TOKENS, attr.GEN_AI_USAGE_PROMPT_TOKENS)
_OUTPUT = (attr.GEN_AI_USAGE_OUTPUT_TOKENS, attr.GEN_AI_USAGE_COMPLETION_TOKENS)
_CACHE_READ = (attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,)
_CACHE_WRITE = (attr.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS, attr.GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS)
_REASONING = (attr.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,)
_MODALITIES = {
    attr.GEN_AI_USAGE_AUDIO_INPUT_TOKENS: "input_audio",
    attr.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: "output_audio",
    attr.GEN_AI_USAGE_IMAGE_INPUT_TOKENS: "input_image",
    attr.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: "output_image",
}

_MAX_TOKENS = 10**12  # more than any call can have: a larger count is a broken one
_MAX_JSON_BYTES = 1 << 20
_MAX_GPU_SECONDS = 1e9


@dataclass(slots=True)
class GenAiSpan:
    """One GenAI operation or RAG step."""

    span: Span
    operation: str
    provider: str
    request_model: str
    response_model: str
    response_id: str
    host: str
    tier: str
    error: str  # the error type, or "" when it did not fail
    usage: Usage | None  # None when the counts needed for a price did not arrive
    tokens: dict[str, int] = field(default_factory=dict)  # by gen_ai.token.type, our subsets included
    time_to_first_token: float | None = None
    chunks: int | None = None  # of a streamed answer
    seconds_per_chunk: float | None = None  # after the first
    returned_k: int | None = None
    best_score: float | None = None  # of the first document that a retrieval returned
    requested_k: int | None = None
    gpu_microseconds: int = 0
    refusal: str = ""  # why the call was refused, or "" when it was not
    repaired: list[str] = field(default_factory=list)
    is_wrapper: bool = False  # a layer around another span of the same call
    is_repeat: bool = False  # this very span was counted before

    @property
    def is_provider_call(self) -> bool:
        """Whether tokens and cost count here."""
        return self.operation in PROVIDER_CALLS and not self.is_wrapper


def read(span: Span, values: dict[str, AnyValue]) -> GenAiSpan | None:
    """The GenAI meaning of `span`, whose attributes are `values`, or None when it has none."""
    provider = text(values.get(attr.GEN_AI_PROVIDER_NAME))
    if not provider:
        system = text(values.get(attr.GEN_AI_SYSTEM))
        provider = PROVIDER_BY_SYSTEM.get(system, system)
    request_model = text(values.get(attr.GEN_AI_REQUEST_MODEL))
    operation = text(values.get(attr.GEN_AI_OPERATION_NAME)) or text(values.get(attr.OTEL_LLM_OPERATION_NAME))
    if not operation:
        if not (provider and request_model):
            return None
        operation = Operation.CHAT.value  # conventions before 1.27 had no operation name
    found = GenAiSpan(
        span=span,
        operation=operation,
        provider=provider,
        request_model=request_model,
        response_model=text(values.get(attr.GEN_AI_RESPONSE_MODEL)),
        response_id=text(values.get(attr.GEN_AI_RESPONSE_ID)),
        host=text(values.get(attr.SERVER_ADDRESS)),
        tier=text(values.get(attr.OPENAI_RESPONSE_SERVICE_TIER)),
        error=_error(span, values),
        usage=None,
        time_to_first_token=_seconds(values.get(attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK)),
        chunks=integer(values.get(attr.OTEL_LLM_STREAM_CHUNK_COUNT)),
        seconds_per_chunk=_seconds(values.get(attr.OTEL_LLM_STREAM_TIME_PER_CHUNK)),
    )
    if operation in PROVIDER_CALLS:
        gpu = _seconds(values.get(attr.OTEL_LLM_GPU_SECONDS))
        found.gpu_microseconds = round(min(gpu or 0.0, _MAX_GPU_SECONDS) * 1e6)
        found.refusal = refusal(values)
        _read_usage(found, values)
    elif operation == Operation.RETRIEVAL:
        found.returned_k = _returned_k(values)
        found.best_score = _best_score(values)
        found.requested_k = integer(values.get(attr.GEN_AI_RETRIEVAL_TOP_K))
    return found


def _read_usage(found: GenAiSpan, values: dict[str, AnyValue]) -> None:
    """Token counts by precedence of spelling, never by summing spellings; subsets put inside their wholes."""
    spent = _first(values, _INPUT)
    written = _first(values, _OUTPUT)
    cache_read = _first(values, _CACHE_READ)
    cache_write = _first(values, _CACHE_WRITE)
    reasoning = _first(values, _REASONING)
    cached = (cache_read or 0) + (cache_write or 0)
    if spent is not None and cached > spent:  # Anthropic's and Bedrock's habit: input without the cached tokens
        spent += cached
        found.repaired.append(CACHE_OUTSIDE_INPUT)
    if written is not None and (reasoning or 0) > written:  # Gemini's and xAI's habit: output without reasoning
        written += reasoning or 0
        found.repaired.append(REASONING_OUTSIDE_OUTPUT)
    counts = {
        "input": spent,
        "output": written,
        "cache_read": cache_read,
        "cache_write": cache_write,
        "reasoning": reasoning,
    }
    found.tokens = {kind: count for kind, count in counts.items() if count is not None}
    if spent is None or (written is None and found.operation != Operation.EMBEDDINGS):
        return
    found.usage = Usage(spent, written or 0, cache_read or 0, cache_write or 0, reasoning or 0)
    found.usage.gpu_microseconds = found.gpu_microseconds
    if not _MODALITIES.keys().isdisjoint(values):
        for key, name in _MODALITIES.items():
            setattr(found.usage, name, _first(values, (key,)) or 0)


def _first(values: dict[str, AnyValue], keys: tuple[str, ...]) -> int | None:
    """The count under the first of `keys` that holds one."""
    for key in keys:
        value = values.get(key)
        if value is not None:
            count = integer(value)
            if count is not None:
                return count
    return None


def _best_score(values: dict[str, AnyValue]) -> float | None:
    scores = values.get(attr.OTEL_LLM_RETRIEVAL_SCORES)
    found = scores.array_value.values if scores is not None else ()
    return _seconds(found[0]) if found else None


def _returned_k(values: dict[str, AnyValue]) -> int | None:
    count = integer(values.get(attr.OTEL_LLM_RETRIEVAL_RETURNED_K))
    if count is not None:
        return count
    documents = values.get(attr.GEN_AI_RETRIEVAL_DOCUMENTS)
    if documents is None:
        return None
    if documents.HasField("array_value"):
        return len(documents.array_value.values)
    if not 0 < len(documents.string_value) <= _MAX_JSON_BYTES:
        return None
    try:
        parsed = json.loads(documents.string_value)
    except (ValueError, RecursionError):
        return None
    return len(parsed) if isinstance(parsed, list) else None


def _error(span: Span, values: dict[str, AnyValue]) -> str:
    kind = text(values.get(attr.ERROR_TYPE))
    if kind:
        return kind
    return "_OTHER" if span.status.code == 2 else ""  # noqa: PLR2004 - STATUS_CODE_ERROR


def text(value: AnyValue | None) -> str:
    """A string attribute; "" when absent or of another type."""
    return value.string_value if value is not None else ""


def integer(value: AnyValue | None) -> int | None:
    """A count: an int, a whole double (JavaScript's) or digits in a string. None when absent, negative or absurd."""
    if value is None:
        return None
    kind = value.WhichOneof("value")
    if kind == "int_value":
        count = value.int_value
    elif kind == "double_value" and value.double_value.is_integer():
        count = int(value.double_value)
    elif kind == "string_value" and value.string_value.isdecimal() and len(value.string_value) <= 13:  # noqa: PLR2004
        count = int(value.string_value)
    else:
        return None
    return count if 0 <= count <= _MAX_TOKENS else None


def _seconds(value: AnyValue | None) -> float | None:
    """A number that is finite and not below 0."""
    if value is None:
        return None
    kind = value.WhichOneof("value")
    seconds = value.double_value if kind == "double_value" else float(value.int_value) if kind == "int_value" else -1.0
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def mark_wrappers(spans: list[GenAiSpan]) -> int:
    """Mark layers around the same provider call, so that each call counts once; returns how many were marked.

    Two layers are one call when one is nested in the other, or when both have the same response id. The innermost that
    knows the tokens stays. What arrived in another request is for `calls.CallMemory`.
    """
    calls = {call.span.span_id: call for call in spans if call.operation in PROVIDER_CALLS and len(spans) > 1}
    if len(calls) < 2:  # noqa: PLR2004 - one call has no layers
        return 0
    for call in calls.values():
        _mark_outer(call, calls)
    by_response: dict[tuple[bytes, str], GenAiSpan] = {}
    for call in calls.values():
        if call.is_wrapper or not call.response_id:
            continue
        other = by_response.setdefault((call.span.trace_id, call.response_id), call)
        if other is not call:
            weaker = other if other.usage is None and call.usage is not None else call
            weaker.is_wrapper = True
            by_response[call.span.trace_id, call.response_id] = call if weaker is other else other
    return sum(call.is_wrapper for call in calls.values())


def _mark_outer(call: GenAiSpan, calls: dict[bytes, GenAiSpan]) -> None:
    """Mark the call directly around `call`, or `call` itself when only the outer one knows the tokens."""
    outer = calls.get(call.span.parent_span_id)
    if outer is None or outer is call or outer.operation != call.operation or outer.span.trace_id != call.span.trace_id:
        return
    if call.usage is None and outer.usage is not None:
        call.is_wrapper = True
    else:
        outer.is_wrapper = True
