"""The machinery under every helper: one span around a `with` block or around calls of a function.

A function may be plain, a coroutine, a generator or an async generator; the span lasts as long as the work does, for
generators and streams as `streams.py` says.

What a caller stops early (a `break`, `aclose`, a cancelled task, garbage collection) has the outcome `cancelled`; it is
no error. A failure inside our own code is logged once and never reaches the program.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import OtelLlmOutcome as Outcome

from otel_llm import content as content_module
from otel_llm import local_work
from otel_llm.content import Mode
from otel_llm.guard import text_of, warn_once
from otel_llm.handles import Handle
from otel_llm.one_span import InnerSpan, Meeting, announce, outer_data, read_back
from otel_llm.providers import tracer
from otel_llm.streams import AsyncStream, Stream

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=Handle)

# What a caller does to stop early, as opposed to what goes wrong.
_STOPPED = (GeneratorExit, asyncio.CancelledError)


class Step(Generic[H]):
    """One kind of step, ready to be used: `with step as handle:`, `async with`, or `@step` on a function."""

    def __init__(
        self,
        name: str | None,
        handle: Callable[[Span, Mode], H],
        kind: SpanKind,
        attributes: Mapping[str, Any],
        *,
        meeting: Meeting | None = None,
        content: Mode | None = None,
    ) -> None:
        self._name = None if name is None else text_of(name)
        self._make_handle = handle
        self._kind = kind
        self._attributes = as_attributes(attributes)
        self._meeting = meeting
        self._content = _mode(content)
        self._running: list[Run[H]] = []
        self._read_arguments: Callable[[H, Mapping[str, Any]], object] | None = None
        self._read_result: Callable[[H, Any], object] | None = None

    def reading(
        self,
        *,
        arguments: Callable[[H, Mapping[str, Any]], object] | None = None,
        result: Callable[[H, Any], object] | None = None,
    ) -> Step[H]:
        """This step, which reads a decorated function's arguments (by name) and result with functions of yours.

            @otel_llm.chat(provider="mine").reading(result=lambda call, said: call.usage(input_tokens=said.count))
            def ask(question: str) -> Said: ...

        They come after what is understood without them; if one fails, a warning says so once.
        """
        self._read_arguments, self._read_result = arguments, result
        return self

    def __enter__(self) -> H:
        run = self.run()
        self._running.append(run)
        run.enter()
        return run.handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run = self._running.pop(self._innermost())
        run.leave()
        run.end(error)

    def _innermost(self) -> int:
        """Which of the runs under way is left now: one step may be entered by several tasks or threads at once."""
        current = context_api.get_current()
        for index in range(len(self._running) - 1, -1, -1):
            if self._running[index].is_current(current):
                return index
        return -1

    async def __aenter__(self) -> H:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def run(self, default_name: str = "") -> Run[H]:
        """Start one span of this kind; inside an official instrumentation's span of the same call, none."""
        mode = self._content or content_module.mode()
        if self._meeting is not None and (data := outer_data(self._meeting)) is not None:
            inner = InnerSpan(data)
            inner.set_attributes(self._attributes)
            return Run(inner, self._make_handle(inner, mode), None, self._read_result)
        name = self._name or default_name or "step"
        try:
            span = tracer().start_span(name, kind=self._kind, attributes=self._attributes)
        except Exception as error:  # an attribute that cannot be looked at
            warn_once(f"the attributes of {name} could not be read: {type(error).__name__}; they are left out")
            span = tracer().start_span(name, kind=self._kind)
        return Run(span, self._make_handle(span, mode), self._meeting, self._read_result)

    def _called(self, run: Run[H], names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A decorated function is about to be called."""
        if not run.handle.reads_arguments and self._read_arguments is None:
            return
        try:
            named = {**dict(zip(names, args, strict=False)), **kwargs}
            run.handle.called(named)
            if self._read_arguments is not None:
                self._read_arguments(run.handle, named)
        except Exception as error:  # what an argument does when it is looked at is not the program's doing
            kind = f"arguments: {type(error).__name__}"
            warn_once(f"the arguments of {run.handle.__class__.__name__[:-6]} could not be read: {kind}", kind)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate `function`: each call is one span, named after the function when the step has no name."""
        name = getattr(function, "__qualname__", repr(function)).rpartition("<locals>.")[2]
        names = _parameters(function)
        if isinstance(function, type) or not callable(function):
            warn_once(f"{name} is no function and cannot be traced as a step; if it is a class, decorate its methods")
            return function
        if inspect.isasyncgenfunction(function):
            return cast("Callable[P, R]", self._decorate_async_generator(function, name, names))
        if inspect.isgeneratorfunction(function):
            return cast("Callable[P, R]", self._decorate_generator(function, name, names))
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._decorate_coroutine(function, name, names))

        @functools.wraps(function)
        def traced(*args: P.args, **kwargs: P.kwargs) -> R:
            run = self.run(name)
            self._called(run, names, args, kwargs)
            run.enter()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                run.leave()
                run.end(error)
                raise
            run.leave()
            return cast("R", run.returned(result))

        return traced

    def _decorate_coroutine(self, function: Any, name: str, names: list[str]) -> Any:
        @functools.wraps(function)
        async def traced(*args: Any, **kwargs: Any) -> Any:
            run = self.run(name)
            self._called(run, names, args, kwargs)
            run.enter()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                run.leave()
                run.end(error)
                raise
            run.leave()
            return run.returned(result)

        return traced

    def _decorate_generator(self, function: Any, name: str, names: list[str]) -> Any:
        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            run = self.run(name)
            self._called(run, names, args, kwargs)
            return Stream(function(*args, **kwargs), run, run.handle)

        return traced

    def _decorate_async_generator(self, function: Any, name: str, names: list[str]) -> Any:
        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            run = self.run(name)
            self._called(run, names, args, kwargs)
            return AsyncStream(function(*args, **kwargs), run, run.handle)

        return traced


class Run(Generic[H]):
    """One span of a step, ended exactly once."""

    __slots__ = ("_before", "_context", "_data", "_ended", "_meeting", "_read", "handle", "span")

    def __init__(
        self, span: Span, handle: H, meeting: Meeting | None, read: Callable[[H, Any], object] | None = None
    ) -> None:
        self.span = span
        self.handle = handle
        self._meeting = meeting
        self._read = read
        self._data: Any = None  # what inner calls of the same kind publish to
        self._ended = False
        self._context: context_api.Context | None = None
        self._before: context_api.Context | None = None

    def enter(self) -> None:
        """Make the span current."""
        if isinstance(self.span, InnerSpan):
            return
        self._before = context_api.get_current()
        self._context = trace.set_span_in_context(self.span, self._before)
        if self._meeting is not None:
            self._context, self._data = announce(self._meeting, self._context, self.handle.content)
        context_api.attach(self._context)

    def is_current(self, context: context_api.Context) -> bool:
        """Whether `context` is the one that was entered."""
        return context is self._context

    def leave(self) -> None:
        """Make current what was before; does nothing where the span is not current, as in another task."""
        if self._before is None:
            return
        current = context_api.get_current()
        if current is self._context or trace.get_current_span(current) is self.span:
            context_api.attach(self._before)

    def returned(self, result: Any) -> Any:
        """End with a function's result; a stream that was returned is wrapped and ends the span when it ends."""
        try:
            if self.handle.is_stream(result):
                kind = AsyncStream if hasattr(result, "__aiter__") else Stream
                return kind(result, self, self.handle)
            self.handle.read(result)
            if self._read is not None:
                self._read(self.handle, result)
        except Exception as error:  # a result with a mind of its own
            warn_once(f"a result of {type(result).__name__} could not be read: {type(error).__name__}")
        self.end(None)
        return result

    def end(self, error: BaseException | None) -> None:
        """End the span with the outcome that `error` stands for."""
        if self._ended:
            return
        reading = self.handle.reading
        if error is None and reading is not None:
            if not reading.ended:  # the block hands its stream on, as an answer of a web application does
                reading.then = self.end
                return
            error, reading.error = reading.error, None
        self._ended = True
        try:
            self.handle.finish()
            if self.handle.work is not None:
                local_work.finish(self.handle)
            if self._data is not None:
                read_back(self._data, self.span, self.handle.content)
            if error is None:
                self.span.set_attribute(attr.OTEL_LLM_OUTCOME, _OK)
            else:
                self._fail(error)
        except Exception as mistake:  # an exception whose text cannot be had, for example
            warn_once(f"a step could not be finished: {type(mistake).__name__}")
        self.span.end()

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, _STOPPED):
            self.span.set_attribute(attr.OTEL_LLM_OUTCOME, Outcome.CANCELLED.value)
            return
        self.span.set_attributes({attr.OTEL_LLM_OUTCOME: Outcome.ERROR.value, attr.ERROR_TYPE: _error_type(error)})
        try:
            said = f"{type(error).__name__}: {error}"[:500]
        except Exception:
            said = type(error).__name__
        self.span.set_status(Status(StatusCode.ERROR, said))
        self.span.record_exception(error)


_OK = Outcome.OK.value


def _parameters(function: Any) -> list[str]:
    """The names that positional arguments have, in order."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in found if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]


def as_attributes(attributes: Any) -> dict[str, Any]:
    """`attributes` as a dict; an empty one when they are no mapping."""
    try:
        return {str(key): value for key, value in attributes.items() if value is not None}
    except Exception:
        warn_once(f"attributes are {type(attributes).__name__}, no mapping; they are left out")
        return {}


def _mode(mode: Any) -> Mode | None:
    if mode is None or text_of(mode) in content_module.MODES:
        return cast("Mode | None", None if mode is None else text_of(mode))
    warn_once(f"content is {text_of(mode)[:40]!r}; use one of {', '.join(content_module.MODES)}; the step records none")
    return "off"


def _error_type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
