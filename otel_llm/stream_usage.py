"""`stream_usage="request"`: streamed chat completions say their tokens, and the caller does not notice.

OpenAI's API, and what is compatible, counts the tokens of a stream only when `stream_options.include_usage` is asked
for, in one chunk more at the end. This adds the option where the caller said nothing about it, reads that chunk, and
keeps it from the caller. It is wrapped around the client from outside, after the instrumentation, which sees the chunk.

Left alone are calls that say `include_usage` themselves, raw responses, and other APIs. A server that refuses the
option would refuse the call: therefore it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry import trace
from otel_llm_semconv import attributes as attr

from otel_llm.guard import guarded
from otel_llm.handles import ChatHandle
from otel_llm.responses import read_response

if TYPE_CHECKING:
    _Proxy = wrapt.ObjectProxy[Any]
else:
    _Proxy = wrapt.ObjectProxy

_MODULE = "openai.resources.chat.completions"
_CLASSES = ("Completions", "AsyncCompletions")
_RAW = "x-stainless-raw-response"

_undo: list[Callable[[], None]] = []


def request_usage() -> str:
    """Wrap the client's `create`; says what became of it. A second call changes nothing."""
    if _undo:
        return "requested"
    try:
        module = import_module(_MODULE)
    except ImportError as error:
        return f"not installed ({error.name})"
    for name, wrapper in zip(_CLASSES, (_create, _create_async), strict=True):
        kind = getattr(module, name)
        before = kind.create
        wrapt.wrap_function_wrapper(kind, "create", wrapper)
        _undo.append(lambda kind=kind, before=before: setattr(kind, "create", before))  # type: ignore[misc]
    return "requested"


def leave() -> None:
    """Give the client back as it was."""
    while _undo:
        _undo.pop()()


def _create(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    wanted = _with_usage(kwargs)
    if wanted is None:
        return wrapped(*args, **kwargs)
    return HidingStream(wrapped(*args, **wanted))


async def _create_async(wrapped: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    wanted = _with_usage(kwargs)
    if wanted is None:
        return await wrapped(*args, **kwargs)
    return AsyncHidingStream(await wrapped(*args, **wanted))


def _with_usage(kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments with the option, or None where nothing shall be changed."""
    if kwargs.get("stream") is not True:
        return None
    headers = kwargs.get("extra_headers")
    if isinstance(headers, Mapping) and any(str(name).lower() == _RAW for name in headers):
        return None
    options = kwargs.get("stream_options")
    if options is not None and not isinstance(options, Mapping):
        options = None  # the client's own mark for an argument that was not given
    if options is not None and "include_usage" in options:
        return None
    return {**kwargs, "stream_options": {**(options or {}), "include_usage": True}}


def _is_hidden(chunk: Any) -> bool:
    """Whether this is the chunk that was not there without the option."""
    return getattr(chunk, "usage", None) is not None and not getattr(chunk, "choices", None)


@guarded
def _note(chunk: Any) -> None:
    """Put the usage on the step that is under way; an official instrumentation has seen the chunk itself."""
    span = trace.get_current_span()
    said: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    if attr.OTEL_LLM_OUTCOME in said or attr.GEN_AI_OPERATION_NAME not in said:
        return
    if attr.GEN_AI_USAGE_INPUT_TOKENS not in said:
        facts = read_response(chunk)
        ChatHandle(span, "off").usage(
            input_tokens=facts.input_tokens,
            output_tokens=facts.output_tokens,
            cached_tokens=facts.cached_tokens,
            reasoning_tokens=facts.reasoning_tokens,
        )


class HidingStream(_Proxy):
    """The client's stream without the chunk that holds nothing but usage."""

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        while True:
            chunk = next(self.__wrapped__)
            if not _is_hidden(chunk):
                return chunk
            _note(chunk)

    def __enter__(self) -> Any:
        self.__wrapped__.__enter__()
        return self


class AsyncHidingStream(_Proxy):
    """The same for the asynchronous client."""

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        while True:
            chunk = await self.__wrapped__.__anext__()
            if not _is_hidden(chunk):
                return chunk
            _note(chunk)

    async def __aenter__(self) -> Any:
        await self.__wrapped__.__aenter__()
        return self
