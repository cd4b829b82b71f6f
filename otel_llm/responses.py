"""Responses of the usual clients, read by their fields instead of by their classes.

Counts come out as the conventions want them: cached tokens inside the input, reasoning inside the output. Anthropic's
input leaves out cached tokens and Google's output leaves out thoughts; both are added here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Response:
    """What a response says; None is what it does not say."""

    model: str | None = None
    id: str | None = None
    service_tier: str | None = None
    finish_reasons: list[str] = field(default_factory=list)
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    text: str | None = None


def read_response(response: Any) -> Response:
    """Read an OpenAI, Anthropic or Google response, a chunk with usage, or a dict of such a shape."""
    found = Response(
        model=_text(response, "model", "model_version", "modelVersion"),
        id=_text(response, "id", "response_id", "responseId"),
        service_tier=_text(response, "service_tier"),
    )
    _read_finish(response, found)
    usage = _get(response, "usage")
    google = _get(response, "usage_metadata") or _get(response, "usageMetadata")
    if usage is not None:
        _read_usage(usage, found)
    elif google is not None:
        _read_google(google, found)
    found.text = _answer(response)
    return found


class StreamReader:
    """Reads the chunks of a stream: next to nothing for each, what they said once at the end.

    Understood are chunks of OpenAI (chat completions, responses), Anthropic and Google, dicts of their shapes, texts.
    """

    __slots__ = ("_class", "_finish", "_last", "_take", "_telling", "_texts", "_with_text")

    def __init__(self, *, with_text: bool) -> None:
        self._with_text = with_text
        self._texts: list[str] = []
        self._telling: list[Any] = []  # what said something of usage, model or id
        self._last: Any = None
        self._finish: str | None = None
        self._class: type | None = None
        self._take: Callable[[Any], None] = self._take_any

    def take(self, item: Any) -> None:
        """Take one chunk; what cannot be read is passed over."""
        try:
            if item.__class__ is not self._class:
                self._class, self._take = item.__class__, self._take_any
                if _get(item, "choices") is not None:
                    self._take = self._take_choices
            self._take(item)
        except Exception:  # a chunk of a shape of its own
            self._last = None

    def _take_choices(self, item: Any) -> None:
        """OpenAI's chat completions, and what is compatible."""
        self._last = item
        if _get(item, "usage") is not None:
            self._telling.append(item)
        choices = _get(item, "choices")
        if not choices:
            return
        first = choices[0]
        if reason := _get(first, "finish_reason"):
            self._finish = str(reason)
        if self._with_text and (text := _get(_get(first, "delta"), "content")):
            self._texts.append(text)

    def _take_any(self, item: Any) -> None:
        if isinstance(item, str):
            self._texts.append(item)
            return
        self._last = item
        inner = next((one for key in ("response", "message") if (one := _get(item, key)) is not None), None)
        for one in (inner, item):  # Anthropic's first event and OpenAI's last hold a message
            if one is not None and (_get(one, "usage") is not None or _get(one, "usage_metadata") is not None):
                self._telling.append(one)
        delta = _get(item, "delta")
        if reason := _get(delta, "stop_reason"):
            self._finish = str(reason)
        text = delta if isinstance(delta, str) else _get(delta, "text") or _get(item, "text")
        if self._with_text and isinstance(text, str):
            self._texts.append(text)

    def result(self) -> Response:
        """What all chunks together said; of several counts the later, of input tokens the larger."""
        found = Response()
        # Google repeats its counts in each chunk, Anthropic's first event alone has the input.
        for told in (*self._telling[:1], *self._telling[-1:]) or (self._last,):
            said = read_response(told)
            most = max(found.input_tokens or 0, said.input_tokens or 0)
            for one in fields(Response):
                value = getattr(said, one.name)
                if value is not None and value != []:
                    setattr(found, one.name, value)
            found.input_tokens = most or found.input_tokens
        if self._finish:
            found.finish_reasons = [self._finish]
        if self._texts:
            found.text = "".join(self._texts)
        return found


def _read_finish(response: Any, found: Response) -> None:
    reasons = [_get(choice, "finish_reason") for choice in _items(response, "choices", "candidates")]
    reasons.append(_get(response, "stop_reason"))
    found.finish_reasons = [str(getattr(reason, "value", reason)) for reason in reasons if reason is not None]


def _read_usage(usage: Any, found: Response) -> None:
    found.input_tokens = _count(usage, "prompt_tokens", "input_tokens")
    found.output_tokens = _count(usage, "completion_tokens", "output_tokens")
    details = _get(usage, "prompt_tokens_details") or _get(usage, "input_tokens_details")
    found.cached_tokens = _count(details, "cached_tokens")
    after = _get(usage, "completion_tokens_details") or _get(usage, "output_tokens_details")
    found.reasoning_tokens = _count(after, "reasoning_tokens")
    read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    if read is not None or written is not None:  # Anthropic: beside the input, not inside it
        found.cached_tokens, found.cache_write_tokens = read, written
        found.input_tokens = (found.input_tokens or 0) + (read or 0) + (written or 0)


def _read_google(usage: Any, found: Response) -> None:
    found.input_tokens = _count(usage, "prompt_token_count", "promptTokenCount")
    found.cached_tokens = _count(usage, "cached_content_token_count", "cachedContentTokenCount")
    found.reasoning_tokens = _count(usage, "thoughts_token_count", "thoughtsTokenCount")
    written = _count(usage, "candidates_token_count", "candidatesTokenCount")
    if written is not None:
        found.output_tokens = written + (found.reasoning_tokens or 0)


def _answer(response: Any) -> str | None:
    """The text of the first answer."""
    for choice in _items(response, "choices"):
        message = _get(choice, "message")
        said = _get(message, "content") if message is not None else None
        return said if isinstance(said, str) else None
    for block in _items(response, "content"):
        if isinstance(said := _get(block, "text"), str):
            return said
    for key in ("output_text", "answer", "text"):
        if isinstance(said := _get(response, key), str):
            return said
    return None


def _get(thing: Any, key: str) -> Any:
    if isinstance(thing, dict) or (not hasattr(thing, "__dict__") and isinstance(thing, Mapping)):
        return thing.get(key)
    return getattr(thing, key, None)


def _text(thing: Any, *keys: str) -> str | None:
    return next((value for key in keys if isinstance(value := _get(thing, key), str) and value), None)


def _count(thing: Any, *keys: str) -> int | None:
    for key in keys:
        value = _get(thing, key)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _items(thing: Any, *keys: str) -> list[Any]:
    for key in keys:
        value = _get(thing, key)
        if isinstance(value, (list, tuple)):
            return list(value)
    return []
