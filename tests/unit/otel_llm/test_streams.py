"""What the chunks of each provider's stream say is on the span at its end: tokens, model, finish reason, text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from otel_llm_semconv import attributes as attr

import otel_llm


def thing(value: Any) -> Any:
    """A dict as an object with its keys as attributes, as clients hand them over."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: thing(one) for key, one in value.items()})
    return [thing(one) for one in value] if isinstance(value, list) else value


OPENAI = [
    {"id": "c", "model": "gpt-4o", "usage": None, "choices": [{"delta": {"content": "Ye"}, "finish_reason": None}]},
    {"id": "c", "model": "gpt-4o", "usage": None, "choices": [{"delta": {"content": "s."}, "finish_reason": None}]},
    {"id": "c", "model": "gpt-4o", "usage": None, "choices": [{"delta": {"content": None}, "finish_reason": "stop"}]},
    {"id": "c", "model": "gpt-4o", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
]
ANTHROPIC = [
    {
        "type": "message_start",
        "message": {
            "id": "m",
            "model": "claude",
            "content": [],
            "usage": {"input_tokens": 4, "output_tokens": 1, "cache_read_input_tokens": 5},
        },
    },
    {"type": "content_block_start", "index": 0},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Ye"}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "s."}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
RESPONSES = [
    {"type": "response.created", "response": {"id": "r", "model": "gpt-4o", "usage": None}},
    {"type": "response.output_text.delta", "delta": "Ye"},
    {"type": "response.output_text.delta", "delta": "s."},
    {
        "type": "response.completed",
        "response": {"id": "r", "model": "gpt-4o", "usage": {"input_tokens": 9, "output_tokens": 2}},
    },
]
GOOGLE = [
    {
        "model_version": "gemini",
        "text": text,
        "candidates": [{"finish_reason": reason}],
        "usage_metadata": {"prompt_token_count": 9, "candidates_token_count": count},
    }
    for text, reason, count in (("Ye", None, 1), ("s.", "STOP", 2))
]


@pytest.mark.parametrize("objects", [True, False], ids=["objects", "dicts"])
@pytest.mark.parametrize(
    ("chunks", "model", "reason"),
    [
        (OPENAI, "gpt-4o", "stop"),
        (ANTHROPIC, "claude", "end_turn"),
        (RESPONSES, "gpt-4o", None),
        (GOOGLE, "gemini", "STOP"),
    ],
    ids=["openai", "anthropic", "responses", "google"],
)
def test_each_provider(spans: Any, chunks: list[Any], model: str, reason: str | None, *, objects: bool) -> None:
    """Nine tokens in (Anthropic's cached ones included), two out, `Yes.` as the answer, every chunk handed over."""

    @otel_llm.chat(provider="p", content="full")
    def stream() -> Iterator[Any]:
        yield from (thing(chunk) if objects else chunk for chunk in chunks)

    assert len(list(stream())) == len(chunks)
    [span] = spans.get_finished_spans()
    said = span.attributes
    assert (said[attr.GEN_AI_USAGE_INPUT_TOKENS], said[attr.GEN_AI_USAGE_OUTPUT_TOKENS]) == (9, 2)
    assert said[attr.GEN_AI_RESPONSE_MODEL] == model
    assert said.get(attr.GEN_AI_RESPONSE_FINISH_REASONS) == ((reason,) if reason else None)
    assert json.loads(said[attr.GEN_AI_OUTPUT_MESSAGES])[0]["parts"][0]["content"] == "Yes."
    assert said[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == len(chunks)


def test_plain_texts(spans: Any) -> None:
    """A function that yields words: the answer is their whole, and without content nothing of it stands there."""

    @otel_llm.chat(provider="p", content="full")
    def full() -> Iterator[str]:
        yield from ("Ye", "s.")

    @otel_llm.chat(provider="p")
    def off() -> Iterator[str]:
        yield from ("Ye", "s.")

    assert "".join(full()) == "".join(off()) == "Yes."
    with_text, without = spans.get_finished_spans()
    assert "Yes." in with_text.attributes[attr.GEN_AI_OUTPUT_MESSAGES]
    assert attr.GEN_AI_OUTPUT_MESSAGES not in without.attributes


def test_chunks_of_a_shape_of_their_own(spans: Any) -> None:
    """Chunks that cannot be read are handed over untouched, and counted."""

    class Odd:
        @property
        def choices(self) -> Any:
            raise RuntimeError

    items = [Odd(), 7, None, b"x", {"choices": "no list"}, SimpleNamespace(usage=7)]

    @otel_llm.chat(provider="p", content="full")
    def stream() -> Iterator[Any]:
        yield from items

    assert list(stream()) == items
    [span] = spans.get_finished_spans()
    assert span.attributes[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == len(items)
    assert span.attributes[attr.OTEL_LLM_OUTCOME] == "ok"
