"""A method that searches becomes a retrieval span.

It is called exactly once whatever goes wrong around it; its result and its exceptions are the caller's, as they were.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import GenAiOperationName as Operation
from otel_llm_semconv.enums import OtelLlmRetrievalScoreKind as ScoreKind

from otel_llm.guard import warn_once
from otel_llm.handles import Handle, RetrievalHandle
from otel_llm.helpers import retrieval
from otel_llm.patch import is_replaced, replace
from otel_llm.steps import Run, Step


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
    if original is None or is_replaced(original):
        return
    wrap = _wrap_coroutine if inspect.iscoroutinefunction(original) else _wrap
    replace(owner, method, wrap(original, describe, read))


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
