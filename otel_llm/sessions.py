"""Who asked: a scope whose user, session, conversation, tags and metadata are on every span inside it.

    with otel_llm.session(user_id="u-17", session_id="s-3", tags=["beta"]):
        answer(question)

The scope lives in OpenTelemetry's context, so it reaches what the context reaches: nested calls, asyncio tasks, threads
and executors (`configure` instruments threading), and spans of other instrumentations. It ends with the block; nothing
leaks to later spans of the thread. Other services get it as W3C baggage, only the keys and only to the hosts that
`configure(baggage_keys=..., baggage_hosts=...)` names. Conversation ids are never invented.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast
from urllib.parse import urlsplit

from opentelemetry import baggage, propagate, trace
from opentelemetry import context as context_api
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
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


class SessionPropagator(TextMapPropagator):
    """Carries chosen keys of the scope as baggage, to chosen hosts only.

    The host is read from the current span, which HTTP client instrumentations start before they write their headers. A
    host that is not known is not a chosen one.
    """

    def __init__(self, keys: Iterable[str], hosts: Iterable[str]) -> None:
        self._keys = tuple(keys)
        self._hosts = tuple(host.lower() for host in hosts)
        self._baggage = W3CBaggagePropagator()

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        context = context if context is not None else context_api.get_current()
        received = baggage.get_all(self._baggage.extract(carrier, context, getter))
        found = {key: str(received[key])[:MAX_VALUE_CHARACTERS] for key in self._keys if key in received}
        if attr.OTEL_LLM_TAGS in found:
            found[attr.OTEL_LLM_TAGS] = tuple(found[attr.OTEL_LLM_TAGS].split(","))  # type: ignore[assignment]
        return context_api.set_value(KEY, {**attributes_of(context), **found}, context) if found else context

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        context = context if context is not None else context_api.get_current()
        attributes = attributes_of(context)
        sent = [key for key in self._keys if key in attributes]
        if not sent or not self._is_chosen(_host_of(trace.get_current_span(context))):
            return
        for key in sent:
            value = attributes[key]
            context = baggage.set_baggage(key, ",".join(value) if isinstance(value, tuple) else str(value), context)
        self._baggage.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        return self._baggage.fields

    def _is_chosen(self, host: str | None) -> bool:
        return host is not None and any(fnmatchcase(host.lower(), pattern) for pattern in self._hosts)


def _host_of(span: trace.Span) -> str | None:
    """The host that a client span is about to call."""
    attributes: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    host = attributes.get(attr.SERVER_ADDRESS) or attributes.get(_OLD_HOST)
    if host is None:
        url = next((attributes[key] for key in _URLS if key in attributes), None)
        host = urlsplit(str(url)).hostname if url else None
    return None if host is None else str(host)


_OLD_HOST = "net.peer.name"  # instrumentations before the stable HTTP conventions
_URLS = (attr.URL_FULL, "http.url")


def propagate_sessions(keys: Iterable[str], hosts: Iterable[str]) -> None:
    """Add the propagator to the program's own."""
    propagate.set_global_textmap(CompositePropagator([propagate.get_global_textmap(), SessionPropagator(keys, hosts)]))
