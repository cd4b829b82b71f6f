"""Streams: what hands over its items one by one, and the span that lasts as long as that.

The steps of a stream run in a context of their own (`contextvars`), entered for each step and left before the item is
handed over. So the consumer never sees the stream's span as current, children find their parent whichever task takes
the next step, and no context is ever detached where it was not attached.
"""

from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, Generic, Protocol, TypeVar

Item = TypeVar("Item")


class Lasting(Protocol):
    """What lasts as long as a stream: the run of a decorated function, or the reading of a stream inside a block."""

    def enter(self) -> None:
        """Make the span current in the context in which the stream's steps will run."""

    def end(self, error: BaseException | None) -> None:
        """It is over: at its end (None), by an error, or early (GeneratorExit). Only the first call counts."""


class Noting(Protocol):
    """Who notes what a stream hands over."""

    def begin_stream(self) -> None:
        """Items will follow."""

    def chunk(self, item: Any) -> None:
        """An item was handed over."""


class Reading:
    """A stream that is read inside a step's block: the step ends when both have ended, whichever is the later."""

    __slots__ = ("ended", "error", "then")

    def __init__(self) -> None:
        self.ended = False
        self.error: BaseException | None = None
        self.then: Callable[[BaseException | None], None] | None = None  # ends the step whose block was left before

    def enter(self) -> None:
        """The block's span is current where the stream is asked for."""

    def end(self, error: BaseException | None) -> None:
        """The stream is over."""
        if self.ended:
            return
        self.ended, self.error = True, error
        then, self.then = self.then, None
        if then is not None:
            then(error)


class _Streaming:
    """What both kinds of stream share: the inner stream, what lasts as long, and the context its steps run in."""

    def __init__(self, inner: Any, run: Lasting, handle: Noting) -> None:
        self._inner = inner
        self._run = run
        self._context = contextvars.copy_context()
        self._context.run(run.enter)
        self._chunk = handle.chunk
        handle.begin_stream()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # a provider's stream has more to it than iteration

    def __del__(self) -> None:
        self._run.end(GeneratorExit())  # thrown away unfinished; does nothing to a stream that ended


class Stream(_Streaming, Generic[Item]):
    """A generator or a provider's stream whose span ends when it does."""

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        return self._step(next, self._inner)

    def send(self, value: Any) -> Any:
        """As a generator's."""
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        """As a generator's."""
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        """As a generator's."""
        try:
            close = getattr(self._inner, "close", None)
            if close is not None:
                self._context.run(close)
        except BaseException as error:
            self._run.end(error)
            raise
        self._run.end(GeneratorExit())

    def __enter__(self) -> Stream[Item]:
        enter = getattr(self._inner, "__enter__", None)
        if enter is not None:
            self._context.run(enter)
        return self

    def __exit__(self, *error: Any) -> None:
        leave = getattr(self._inner, "__exit__", None)
        if leave is not None:
            self._context.run(leave, *error)
        self._run.end(error[1] or GeneratorExit())

    def _step(self, function: Callable[..., Any], *arguments: Any) -> Item:
        try:
            item: Item = self._context.run(function, *arguments)
        except StopIteration:
            self._run.end(None)
            raise
        except BaseException as error:
            self._run.end(error)
            raise
        self._chunk(item)
        return item


class AsyncStream(_Streaming, Generic[Item]):
    """An async generator or a provider's async stream whose span ends when it does."""

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Item]:
        return self._step(self._inner.__anext__())

    def asend(self, value: Any) -> Any:
        """As an async generator's."""
        return self._step(self._inner.asend(value))

    def athrow(self, *error: Any) -> Any:
        """As an async generator's."""
        return self._step(self._inner.athrow(*error))

    async def aclose(self) -> None:
        """As an async generator's."""
        try:
            close = getattr(self._inner, "aclose", None) or getattr(self._inner, "close", None)
            if close is not None:
                await _Driven(close(), self._context)
        except BaseException as error:
            self._run.end(error)
            raise
        self._run.end(GeneratorExit())

    async def __aenter__(self) -> AsyncStream[Item]:
        enter = getattr(self._inner, "__aenter__", None)
        if enter is not None:
            await _Driven(enter(), self._context)
        return self

    async def __aexit__(self, *error: Any) -> None:
        leave = getattr(self._inner, "__aexit__", None)
        if leave is not None:
            await _Driven(leave(*error), self._context)
        self._run.end(error[1] or GeneratorExit())

    async def _step(self, awaitable: Any) -> Item:
        try:
            item: Item = await _Driven(awaitable, self._context)
        except StopAsyncIteration:
            self._run.end(None)
            raise
        except BaseException as error:
            self._run.end(error)
            raise
        self._chunk(item)
        return item


class _Driven:
    """Awaits something with each of its turns run inside a given context."""

    __slots__ = ("_awaitable", "_context")

    def __init__(self, awaitable: Any, context: contextvars.Context) -> None:
        self._awaitable = awaitable
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._awaitable.__await__()
        turn: Callable[..., Any] = inner.__next__
        value: tuple[Any, ...] = ()
        while True:
            try:
                waiting_for = self._context.run(turn, *value)
            except StopIteration as stop:
                return stop.value
            try:
                turn, value = _turn(inner, (yield waiting_for))
            except BaseException as error:
                turn, value = inner.throw, (error,)


def _turn(inner: Any, sent: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    return (inner.__next__, ()) if sent is None else (inner.send, (sent,))
