"""Threads and executors work in the OpenTelemetry context from which they were started or asked.

Parallel retrieval in a thread pool is the usual RAG program, so this is on by default. It stands in the place of
`opentelemetry-instrumentation-threading`, to which it leaves a program that has switched that on, and differs from it:
threads of a class with a `run` of its own are reached too; a pool's idle workers do not keep the first caller's spans
alive; nothing has to be imported, where the other costs a seventh of the set-up; no package is required in one exact
version, which conflicts with other instrumentations of the program.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from concurrent.futures.thread import ThreadPoolExecutor
from typing import Any

from opentelemetry import context as context_api
from opentelemetry.context import Context

from otel_llm.patch import forget, is_replaced, replace

NAME = "threading"
_OFFICIAL = "opentelemetry.instrumentation.threading"


def instrument() -> str:
    """Let context follow into threads and executors; says what became of it. A second call changes nothing."""
    kind = getattr(sys.modules.get(_OFFICIAL), "ThreadingInstrumentor", None)
    if getattr(getattr(kind, "_instance", None), "is_instrumented_by_opentelemetry", False):
        return "left to opentelemetry-instrumentation-threading, active already"
    if not is_replaced(threading.Thread.start):
        replace(threading.Thread, "start", _start(threading.Thread.start), NAME)
        replace(ThreadPoolExecutor, "submit", _submit(ThreadPoolExecutor.submit), NAME)
    return "instrumented"


def undo() -> None:
    """Give threads and executors back as they were."""
    forget(NAME)


def _start(original: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    @functools.wraps(original)
    def start(self: threading.Thread) -> None:
        current = context_api.get_current()
        if not current:
            original(self)
            return
        give_back = _carry(self, current)
        try:
            original(self)
        except BaseException:
            give_back()
            raise

    return start


def _carry(thread: threading.Thread, current: Context) -> Callable[[], None]:
    """Have `thread` run in `current`; returns what undoes it, which the thread does itself before anything else."""
    run, own = thread.run, vars(thread).get("run")

    def give_back() -> None:
        if own is None:
            vars(thread).pop("run", None)
        else:
            vars(thread)["run"] = own

    def run_in_context() -> None:
        give_back()
        _run_in(current, run)

    vars(thread)["run"] = run_in_context
    return give_back


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        current = context_api.get_current()
        if not current or _is_of_interpreters(self):
            return original(self, fn, *args, **kwargs)
        token = context_api.attach(_NOTHING)  # a worker that is started now works for others afterwards
        try:
            return original(self, functools.partial(_run_in, current, fn), *args, **kwargs)
        finally:
            context_api.detach(token)

    return submit


_NOTHING = Context()


def _run_in(current: Context, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    token = context_api.attach(current)
    try:
        return function(*args, **kwargs)
    finally:
        context_api.detach(token)


def _is_of_interpreters(pool: ThreadPoolExecutor) -> bool:
    """Whether what is submitted is pickled for another interpreter, as of Python 3.14; a context cannot be."""
    return any(kind.__module__ == "concurrent.futures.interpreter" for kind in type(pool).__mro__)
