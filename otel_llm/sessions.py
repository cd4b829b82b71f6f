"""Who asked: a scope whose user, session, conversation, tags and metadata are on every span inside it.

    with otel_llm.session(user_id="u-17", session_id="s-3", tags=["beta"]):
        answer(question)

The scope lives in OpenTelemetry's context, so it reaches what the context reaches: nested calls, asyncio tasks, threads
and executors (`configure` instruments threading), and spans of other instrumentations. It ends with the block; nothing
leaks to later spans of the thread. Other services get what `session_baggage.py` lets out. Conversation ids are never
invented.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from otel_llm_semconv import attributes as attr

from otel_llm.guard import guarded, warn_once

P = ParamSpec("P")
R = TypeVar("R")

KEY = context_api.create_key("otel-llm-session")
MAX_TAGS = 32  # truncate: further tags and metadata keys are left out, with one warning
MAX_VALUE_CHARACTERS = 256  # truncate


class session:  # noqa: N801 - used like a function, as `contextlib.suppress` is
    """A scope; also `async with`, and a decorator for functions and coroutines.

    Args:
        user_id: The user, as `user.id`; your own id, better not an address.
        session_id: The user's session, as `session.id`.
        conversation_id: The conversation, as `gen_ai.conversation.id`.
        tags: Words to find the trace by, as `otel_llm.tags`; an inner scope adds to the outer one's.
        metadata: Anything else, one attribute `otel_llm.metadata.KEY` for each key.

    What is None is left as the enclosing scope has it. A wrong type is left out, and a warning says so once.
    """

    def __init__(
        self,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        conversation_id: str | None = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._own: dict[str, Any] = {}
        _put(self._own, attr.USER_ID, user_id, "user_id")
        _put(self._own, attr.SESSION_ID, session_id, "session_id")
        _put(self._own, attr.GEN_AI_CONVERSATION_ID, conversation_id, "conversation_id")
        self._tags = _read_tags(tags)
        self._own.update(_read_metadata(metadata))
        self._entered: list[tuple[Context, Context]] = []

    def __enter__(self) -> Self:
        before = context_api.get_current()
        attributes = {**attributes_of(before), **self._own}
        tags = (*attributes.get(attr.OTEL_LLM_TAGS, ()), *self._tags)
        if tags:
            attributes[attr.OTEL_LLM_TAGS] = tuple(dict.fromkeys(tags))[:MAX_TAGS]
        within = context_api.set_value(KEY, attributes, before)
        self._entered.append((before, within))
        context_api.attach(within)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        current = context_api.get_current()
        index = next((at for at in range(len(self._entered) - 1, -1, -1) if self._entered[at][1] is current), -1)
        before, within = self._entered.pop(index)  # one scope may be entered by several tasks or threads at once
        # In another task than the one that entered there is nothing of ours to leave.
        if current is within or current.get(KEY) is within.get(KEY):
            context_api.attach(before)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or a coroutine function: each call is inside the scope."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def scoped_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", scoped_coroutine)

        @functools.wraps(function)
        def scoped(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return scoped


@guarded
def _put(into: dict[str, Any], key: str, value: Any, name: str) -> None:
    if value is None or value == "":
        return
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        into[key] = str(value)[:MAX_VALUE_CHARACTERS]
    else:
        warn_once(f"session: {name} is {type(value).__name__}, not a text; it is left out")


def _read_tags(tags: Any) -> tuple[str, ...]:
    if tags is None:
        return ()
    try:
        if isinstance(tags, str):
            return (tags[:MAX_VALUE_CHARACTERS],)
        return tuple(str(tag)[:MAX_VALUE_CHARACTERS] for tag in islice(tags, MAX_TAGS))
    except Exception as error:  # somebody's own iterable
        warn_once(f"session: tags cannot be read ({type(error).__name__}); use a list of texts")
        return ()


def _read_metadata(metadata: Any) -> dict[str, Any]:
    if metadata is None:
        return {}
    try:
        items = list(metadata.items())
        if len(items) > MAX_TAGS:
            warn_once(f"session: metadata has {len(items)} keys; the first {MAX_TAGS} are kept")
        return {
            f"{attr.OTEL_LLM_METADATA}.{key}": value
            if isinstance(value, (bool, int, float))
            else str(value)[:MAX_VALUE_CHARACTERS]
            for key, value in items[:MAX_TAGS]
            if value is not None
        }
    except Exception as error:  # somebody's own mapping, or a value's own __str__
        warn_once(f"session: metadata cannot be read ({type(error).__name__}); use a dict")
        return {}


def attributes_of(context: Context | None = None) -> dict[str, Any]:
    """The attributes of the scope that `context` (None: the current one) is in; empty outside."""
    found = context_api.get_value(KEY, context)
    return cast("dict[str, Any]", found) if found else {}


class SessionProcessor(SpanProcessor):
    """Puts the scope's attributes on every span that starts in it, whoever starts it."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        attributes = context_api.get_value(KEY, parent_context)
        if attributes:
            said = span.attributes or {}
            own = {key: value for key, value in cast("dict[str, Any]", attributes).items() if key not in said}
            span.set_attributes(own)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing to do."""
