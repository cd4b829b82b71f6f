"""The one seam through which libraries are patched: guarded, reversible, and only once the program imports them.

A wrapped function is called exactly once whatever goes wrong around it, and its result and its exceptions are the
caller's as they were.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import GenAiOperationName as Operation
from otel_llm_semconv.enums import OtelLlmRetrievalScoreKind as ScoreKind

from otel_llm.guard import warn_once
from otel_llm.handles import Handle, RetrievalHandle
from otel_llm.helpers import retrieval
from otel_llm.steps import Run, Step

_MARK = "_otel_llm_wrapped"
_attaching: ContextVar[str] = ContextVar("otel_llm_attaching", default="")
_lock = threading.RLock()
_patches: dict[str, list[tuple[Any, str, Any, bool]]] = {}  # name -> (owner, attribute, what was there, was it its own)
_waiting: dict[str, tuple[str, Callable[[ModuleType], None]]] = {}  # module -> (name, what patches it)


@dataclass(frozen=True, slots=True)
class Search:
    """What a call is about to search."""

    source: str
    k: int | None = None
    query: str | None = None
    system: str | None = None  # the database, as OpenTelemetry names it
    collection: str | None = None
    scores: ScoreKind | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What came back: documents in order of rank, or only how many."""

    documents: Sequence[Any] = field(default_factory=list)
    count: int | None = None


Describe = Callable[..., Search | None]
Read = Callable[..., Found]


def trace_searches(owner: Any, method: str, describe: Describe, read: Read) -> None:
    """Make each call of `owner.method` a retrieval span.

    `describe` gets the call's arguments and says what is searched (None: nothing, no span); `read` gets the result and
    then the arguments.
    """
    original = getattr(owner, method, None)
    if original is None or getattr(original, _MARK, False):
        return
    wrap = _wrap_coroutine if inspect.iscoroutinefunction(original) else _wrap
    replace(owner, method, wrap(original, describe, read))


def replace(owner: Any, attribute: str, value: Any) -> None:
    """Set an attribute of a class or module, remembered for `forget`."""
    own = attribute in vars(owner)
    before = vars(owner).get(attribute)
    setattr(value, _MARK, True)
    setattr(owner, attribute, value)
    with _lock:
        _patches.setdefault(_attaching.get(), []).append((owner, attribute, before, own))


def forget(name: str) -> None:
    """Undo what was replaced for `name`, newest first, and wait for its module no longer."""
    with _lock:
        for module in [module for module, (waiting, _) in _waiting.items() if waiting == name]:
            del _waiting[module]
        for owner, attribute, before, own in reversed(_patches.pop(name, [])):
            if own:
                setattr(owner, attribute, before)
            else:
                delattr(owner, attribute)


def when_imported(name: str, module: str, attach: Callable[[ModuleType], None]) -> None:
    """Call `attach` with a module: now if it is imported, else right after. What it replaces is kept under `name`."""
    if module in sys.modules:
        _attach(name, sys.modules[module], attach)
        return
    with _lock:
        _waiting[module] = (name, attach)
        if not any(isinstance(one, _Finder) for one in sys.meta_path):
            sys.meta_path.insert(0, _Finder())


def _attach(name: str, module: ModuleType, attach: Callable[[ModuleType], None]) -> None:
    token = _attaching.set(name)
    try:
        attach(module)
    except Exception as error:  # a version of the library that looks different
        forget(name)
        warn_once(f"{name} could not be instrumented: {type(error).__name__}: {error}")
    finally:
        _attaching.reset(token)


class _Finder(importlib.abc.MetaPathFinder):
    """Lets others find a module, and has it patched after it ran."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        with _lock:
            waiting = _waiting.pop(fullname, None)
        if waiting is None:
            return None
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            name, attach = waiting
            spec.loader = _Loader(spec.loader, lambda module: _attach(name, module, attach))  # type: ignore[assignment]
        return spec


class _Loader:
    """A loader that does something after the module ran."""

    def __init__(self, loader: Any, after: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the real loader."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """As the real loader; then what was waited for."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._after(module)


def _wrap(original: Callable[..., Any], describe: Describe, read: Read) -> Callable[..., Any]:
    @functools.wraps(original)
    def searched(*args: Any, **kwargs: Any) -> Any:
        run = _start(describe, args, kwargs)
        if run is None:
            return original(*args, **kwargs)
        run.enter()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            run.leave()
            run.end(error)
            raise
        run.leave()
        _end(run, read, result, args, kwargs)
        return result

    return searched


def _wrap_coroutine(original: Callable[..., Any], describe: Describe, read: Read) -> Callable[..., Any]:
    @functools.wraps(original)
    async def searched(*args: Any, **kwargs: Any) -> Any:
        run = _start(describe, args, kwargs)
        if run is None:
            return await original(*args, **kwargs)
        run.enter()
        try:
            result = await original(*args, **kwargs)
        except BaseException as error:
            run.leave()
            run.end(error)
            raise
        run.leave()
        _end(run, read, result, args, kwargs)
        return result

    return searched


def _start(describe: Describe, args: Iterable[Any], kwargs: dict[str, Any]) -> Run[Any] | None:
    """The span of a search; inside a retrieval a plain one, that says nothing of queries and documents."""
    try:
        search = describe(*args, **kwargs)
        if search is None:
            return None
        known = {
            attr.DB_SYSTEM_NAME: search.system,
            attr.DB_COLLECTION_NAME: search.collection,
            attr.OTEL_LLM_RETRIEVAL_SCORE_KIND: search.scores.value if search.scores else None,
        }
        known = {key: value for key, value in known.items() if value is not None}
        run: Run[Any]
        if _inside_a_retrieval():
            known.pop(attr.OTEL_LLM_RETRIEVAL_SCORE_KIND, None)
            return Step(f"search {search.source}", Handle, SpanKind.CLIENT, known).run()
        run = retrieval(source=search.source, k=search.k, query=search.query).run()
        run.span.set_attributes(known)
    except Exception as error:  # the search itself must go on
        warn_once(f"a search could not be traced: {type(error).__name__}: {error}", f"search {type(error).__name__}")
        return None
    return run


def _inside_a_retrieval() -> bool:
    attributes = getattr(trace.get_current_span(), "attributes", None) or {}
    return bool(attributes.get(attr.GEN_AI_OPERATION_NAME) == Operation.RETRIEVAL)


def _end(run: Run[Any], read: Read, result: Any, args: Iterable[Any], kwargs: dict[str, Any]) -> None:
    try:
        if isinstance(run.handle, RetrievalHandle):
            found = read(result, *args, **kwargs)
            if found.count is not None:
                run.span.set_attribute(attr.OTEL_LLM_RETRIEVAL_RETURNED_K, found.count)
            else:
                run.handle.documents(found.documents)
    except Exception as error:
        warn_once(f"a result of a search could not be read: {type(error).__name__}", f"read {type(error).__name__}")
    run.end(None)
