"""What follows from a call's own numbers: speed of the answer and its chunks, use of cache and context window."""

from __future__ import annotations

from otel_llm_semconv import attributes as attr

from otel_llm_collector.engine.spans import GenAiSpan

_NANO = 1e9


def derived(genai: GenAiSpan, context_window: int) -> dict[str, float]:
    """Attributes of a provider call; each only where all it is made of is known. `context_window` in tokens or 0."""
    found: dict[str, float] = {}
    spent, written = genai.tokens.get("input"), genai.tokens.get("output")
    cached = genai.tokens.get("cache_read")
    if spent and cached is not None and cached <= spent:
        found[attr.OTEL_LLM_USAGE_CACHE_HIT_RATIO] = cached / spent
    if spent and context_window:
        found[attr.OTEL_LLM_USAGE_CONTEXT_UTILIZATION] = spent / context_window
    seconds = (genai.span.end_time_unix_nano - genai.span.start_time_unix_nano) / _NANO
    first = genai.time_to_first_token
    if first is not None and first >= seconds:
        first = None  # timed by another clock
    if written and seconds > 0:
        answering = seconds - (first or 0.0)
        found[attr.OTEL_LLM_OUTPUT_TOKENS_PER_SECOND] = written / answering
        if first is not None and written > 1:
            found[attr.OTEL_LLM_OUTPUT_TIME_PER_TOKEN] = answering / (written - 1)
    if first is not None and genai.chunks is not None and genai.chunks > 1 and genai.seconds_per_chunk is None:
        found[attr.OTEL_LLM_STREAM_TIME_PER_CHUNK] = (seconds - first) / (genai.chunks - 1)
    return found
