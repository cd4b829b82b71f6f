"""Context follows into threads and executors, and goes no further."""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace

import otel_llm
from otel_llm import threads


@pytest.fixture(autouse=True)
def _carried() -> Iterator[None]:
    threads.instrument()
    yield
    threads.undo()


def current(found: list[Any]) -> None:
    """Note the span that is current."""
    found.append(trace.get_current_span())


class Worker(threading.Thread):
    """A thread with a `run` of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Any] = []

    def run(self) -> None:
        current(self.found)


def ended(thread: threading.Thread) -> threading.Thread:
    """The thread, after it ran."""
    thread.start()
    thread.join()
    return thread


def test_every_kind_of_thread_is_reached(spans: Any) -> None:
    """A target, a timer, a class with its own `run`, and one whose `run` is an attribute of the instance."""
    found: list[Any] = []
    bound = threading.Thread()
    bound.run = functools.partial(current, found)  # type: ignore[method-assign]
    with otel_llm.span("outer") as outer:
        worker = Worker()
        for thread in (threading.Thread(target=current, args=(found,)), threading.Timer(0, current, (found,)), bound):
            ended(thread)
        ended(worker)
    assert [*found, *worker.found] == [outer.span] * 4
    assert "run" not in vars(worker)
    assert isinstance(vars(bound)["run"], functools.partial)


def test_without_a_span_there_is_nothing_to_carry(spans: Any) -> None:
    """A thread or a task from outside any context sees none, also in a pool that worked inside one before."""
    found: list[Any] = []
    ended(threading.Thread(target=current, args=(found,)))
    with ThreadPoolExecutor(1) as pool:
        with otel_llm.span("outer"):
            pool.submit(int).result()
        pool.submit(current, found).result()
    assert found == [trace.INVALID_SPAN] * 2


def test_an_idle_worker_keeps_no_span_alive(spans: Any) -> None:
    """The thread that a pool starts for a request does not hold on to that request's span."""
    with ThreadPoolExecutor(1) as pool:
        with otel_llm.span("outer") as outer:
            pool.submit(int).result()
        kept = weakref.ref(outer.span)
        spans.clear()
        del outer
        pool.submit(int).result()  # the worker has let go of its last task
        gc.collect()
        assert kept() is None


def test_results_errors_and_arguments_are_the_programs(spans: Any) -> None:
    """Names such as `self`, `fn` and `function` are arguments like others; an exception passes as it was."""
    with ThreadPoolExecutor(2) as pool, otel_llm.span("outer"):
        assert pool.submit(dict, self=1, fn=2, function=3).result() == {"self": 1, "fn": 2, "function": 3}
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()
        with pytest.raises(TypeError, match="missing 1 required positional argument: 'fn'"):
            pool.submit()  # type: ignore[call-arg]


def test_what_does_not_start_is_left_as_it_was(spans: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start, or a system without room for threads: the usual error, and the thread can be used again."""
    worker = Worker()

    def no_room(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("can't start new thread")

    name = next(
        name for name in ("_start_new_thread", "_start_joinable_thread") if hasattr(threading, name)
    )  # the second from 3.13 on
    with otel_llm.span("outer"):
        with monkeypatch.context() as broken:
            broken.setattr(threading, name, no_room)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                worker.start()
        assert "run" not in vars(worker)
        ended(worker)
        with pytest.raises(RuntimeError, match="once"):
            worker.start()
    assert len(worker.found) == 1
    assert "run" not in vars(worker)


def test_a_pool_of_interpreters_is_left_alone(spans: Any) -> None:
    """What goes to another interpreter is pickled, and a context cannot be. A class of that module stands for it."""
    kind = type("Pool", (ThreadPoolExecutor,), {"__module__": "concurrent.futures.interpreter"})

    def original(pool: Any, function: Any) -> Any:
        return function

    submit = threads._submit(original)
    with otel_llm.span("outer"), kind() as elsewhere, ThreadPoolExecutor() as here:
        assert submit(elsewhere, current) is current
        assert submit(here, current) is not current


def test_twice_is_once_and_undone_is_gone(spans: Any) -> None:
    """A second call changes nothing; afterwards threads and pools are Python's own."""
    start = threading.Thread.start
    assert threads.instrument() == "instrumented"
    assert threading.Thread.start is start
    threads.undo()
    assert threading.Thread.start.__module__ == "threading"
    assert ThreadPoolExecutor.submit.__module__ == "concurrent.futures.thread"
    found: list[Any] = []
    with otel_llm.span("outer"):
        ended(threading.Thread(target=current, args=(found,)))
    assert found == [trace.INVALID_SPAN]


def test_a_program_that_has_the_official_one_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenTelemetry's instrumentation of threads is on, ours is not added."""
    threads.undo()
    module = ModuleType("opentelemetry.instrumentation.threading")
    active = type("Active", (), {"is_instrumented_by_opentelemetry": True})()
    module.ThreadingInstrumentor = type("ThreadingInstrumentor", (), {"_instance": active})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert threads.instrument().startswith("left to opentelemetry-instrumentation-threading")
    assert threading.Thread.start.__module__ == "threading"


def test_a_context_that_the_work_left_attached_hurts_nobody(spans: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Work that forgets to detach: no 'Failed to detach context', and the worker's next task starts clean."""
    found: list[Any] = []

    def forgetful() -> None:
        context_api.attach(context_api.set_value("left", 1))

    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        with otel_llm.span("outer"):
            pool.submit(forgetful).result()
        pool.submit(lambda: found.append(context_api.get_value("left"))).result()
    assert found == [None]
    assert "detach" not in caplog.text
