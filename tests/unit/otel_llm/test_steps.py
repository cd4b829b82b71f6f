"""A step's span lasts as long as its work, whoever takes the steps, and ends exactly once with the right outcome."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import threads


def by_name(spans: Any) -> dict[str, list[Any]]:
    """Finished spans by name."""
    found: dict[str, list[Any]] = {}
    for span in spans.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def outcome(span: Any) -> str:
    """How a span ended."""
    return str(span.attributes[attr.OTEL_LLM_OUTCOME])


def parent(span: Any) -> Any:
    """The id of a span's parent."""
    return span.parent and span.parent.span_id


@otel_llm.span("work")
async def coroutine(seconds: float = 0.01) -> str:
    with otel_llm.span("inner"):
        await asyncio.sleep(seconds)
    return "done"


@otel_llm.span("work")
def generator(count: int = 3) -> Iterator[int]:
    for number in range(count):
        with otel_llm.span("inner"):
            pass
        yield number


@otel_llm.span("work")
async def async_generator(count: int = 3, seconds: float = 0.002) -> AsyncIterator[int]:
    for number in range(count):
        with otel_llm.span("inner"):
            await asyncio.sleep(seconds)
        yield number


def check_children(spans: Any, count: int, outcome_of_work: str = "ok") -> Any:
    """One `work` span, ended once with that outcome, and so many children of it inside its time."""
    found = by_name(spans)
    [work] = found["work"]
    assert outcome(work) == outcome_of_work
    assert work.status.status_code is (StatusCode.ERROR if outcome_of_work == "error" else StatusCode.UNSET)
    assert len(found.get("inner", [])) == count
    for inner in found.get("inner", []):
        assert parent(inner) == work.context.span_id
        assert work.start_time <= inner.start_time <= inner.end_time <= work.end_time
    return work


def test_function_and_block(spans: Any) -> None:
    """A plain function and a `with` block: named, nested, ended."""

    @otel_llm.span()
    def named() -> int:
        with otel_llm.span("inner"):
            return 7

    assert named() == 7
    found = by_name(spans)
    assert parent(found["inner"][0]) == found["named"][0].context.span_id
    assert named.__name__ == "named"


def test_coroutine(spans: Any) -> None:
    """A coroutine's span lasts until it returns."""
    assert asyncio.run(coroutine()) == "done"
    work = check_children(spans, 1)
    assert work.end_time - work.start_time > 9e6


def test_generator(spans: Any) -> None:
    """The span lasts to the end; the consumer's own code does not see it as current."""
    for _ in generator():
        assert not trace.get_current_span().get_span_context().is_valid
    check_children(spans, 3)


def test_generator_with_an_early_break(spans: Any) -> None:
    """Somebody who stops reading cancels; that is no error."""
    iterator = generator()
    for _ in iterator:
        break
    iterator.close()
    check_children(spans, 1, "cancelled")


def test_generator_thrown_away(spans: Any) -> None:
    """Garbage collection ends the span as cancelled."""
    iterator = generator()
    next(iterator)
    del iterator
    check_children(spans, 1, "cancelled")


def test_generator_that_fails_and_send_and_throw(spans: Any) -> None:
    """The exception reaches the caller and marks the span; `send` and `throw` work as without us."""

    @otel_llm.span("work")
    def echo() -> Iterator[Any]:
        got = yield "ready"
        while True:
            got = yield got

    iterator = echo()
    assert next(iterator) == "ready"
    assert iterator.send(5) == 5  # type: ignore[attr-defined]
    with pytest.raises(KeyError):
        iterator.throw(KeyError("no"))  # type: ignore[attr-defined]
    work = check_children(spans, 0, "error")
    assert work.attributes[attr.ERROR_TYPE] == "KeyError"
    assert work.events[0].name == "exception"


def test_async_generator(spans: Any) -> None:
    """As a generator: the whole time, children inside, the consumer outside."""

    async def consume() -> None:
        async for _ in async_generator():
            assert not trace.get_current_span().get_span_context().is_valid

    asyncio.run(consume())
    check_children(spans, 3)


def test_async_generator_closed_from_another_task(spans: Any, caplog: pytest.LogCaptureFixture) -> None:
    """`aclose` in a task of its own: cancelled, and not a word about contexts in the log."""

    async def consume() -> None:
        iterator = async_generator()
        await anext(iterator)
        await asyncio.create_task(iterator.aclose())  # type: ignore[attr-defined]

    with caplog.at_level(logging.DEBUG):
        asyncio.run(consume())
    check_children(spans, 1, "cancelled")
    assert "detach" not in caplog.text


def test_async_generator_with_each_step_in_its_own_task(spans: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What Starlette does with a streamed answer: every child still has its parent."""

    async def consume() -> None:
        iterator = async_generator()
        for _ in range(3):
            await asyncio.create_task(iterator.__anext__())  # type: ignore[arg-type]
        with pytest.raises(StopAsyncIteration):
            await asyncio.create_task(iterator.__anext__())  # type: ignore[arg-type]

    with caplog.at_level(logging.DEBUG):
        asyncio.run(consume())
    check_children(spans, 3)
    assert "detach" not in caplog.text


def test_a_cancelled_task_is_cancelled_and_not_an_error(spans: Any) -> None:
    """Cancelling in the middle of a step, for a coroutine and for an async generator."""

    async def consume() -> None:
        task = asyncio.create_task(coroutine(10))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        async def read() -> None:
            async for _ in async_generator(1, 10):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(consume())
    assert [outcome(span) for span in by_name(spans)["work"]] == ["cancelled", "cancelled"]
    assert [outcome(span) for span in by_name(spans)["inner"]] == ["cancelled", "cancelled"]


def test_timeouts_and_awaits_work_inside_a_driven_async_generator(spans: Any) -> None:
    """What is awaited inside sees the real loop and task: futures, timeouts, gather."""

    @otel_llm.span("work")
    async def busy() -> AsyncIterator[str]:
        async with asyncio.timeout(5):
            yield str(await asyncio.gather(asyncio.sleep(0.001, "a"), asyncio.to_thread(lambda: "b")))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.005):
                await asyncio.sleep(5)
        yield "timed out"

    async def consume() -> list[str]:
        return [item async for item in busy()]

    assert asyncio.run(consume()) == ["['a', 'b']", "timed out"]
    check_children(spans, 0)


def test_context_variables_of_the_caller_reach_a_generator(spans: Any) -> None:
    """A generator sees what its creator had set, and what it sets does not leak out."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    @otel_llm.span("work")
    def reads() -> Iterator[str]:
        yield variable.get()
        variable.set("inside")
        yield variable.get()

    variable.set("outside")
    assert list(reads()) == ["outside", "inside"]
    assert variable.get() == "outside"


def test_threads_pools_and_executors(spans: Any) -> None:
    """With threading instrumented, as `configure` does, work in other threads has the right parent."""

    def child() -> None:
        with otel_llm.span("inner"):
            pass

    threads.instrument()
    try:
        with otel_llm.span("work"):
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda _: child(), range(2)))
            thread = threading.Thread(target=child)
            thread.start()
            thread.join()

            async def in_executor() -> None:
                await asyncio.get_running_loop().run_in_executor(None, child)
                await asyncio.to_thread(child)

            asyncio.run(in_executor())
    finally:
        threads.undo()
    check_children(spans, 5)


def test_the_programs_exception_is_untouched(spans: Any) -> None:
    """The same exception object comes out, recorded once."""
    error = ValueError("mine")

    @otel_llm.span("work")
    def fails() -> None:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        fails()
    assert caught.value is error
    work = check_children(spans, 0, "error")
    assert len(work.events) == 1


def test_a_class_is_left_alone_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A decorator on a class would break it; the class stays itself and a sentence says what to do."""

    class Thing:
        pass

    assert otel_llm.span("work")(Thing) is Thing
    assert "decorate its methods" in caplog.text


def test_one_step_object_may_be_entered_again_inside_itself(spans: Any) -> None:
    """A step kept in a variable can be used more than once, also nested."""
    step = otel_llm.span("work")
    with step, step:
        pass
    inner, outer = by_name(spans)["work"]
    assert parent(inner) == outer.context.span_id
