"""LangChain: `invoke` and `ainvoke` of every retriever. The source is the retriever's name."""

from __future__ import annotations

from typing import Any

from otel_llm.retrievers.search import Found, Search, trace_searches


def instrument(module: Any) -> None:
    """Patch the base class, which every retriever's calls go through."""
    trace_searches(module.BaseRetriever, "invoke", _describe, _read)
    trace_searches(module.BaseRetriever, "ainvoke", _describe, _read)


def _describe(retriever: Any, input: Any, *args: Any, **kwargs: Any) -> Search:  # noqa: A002 - the method's own name
    arguments = getattr(retriever, "search_kwargs", None) or {}
    k = kwargs.get("k", arguments.get("k", getattr(retriever, "k", None)))
    name = getattr(retriever, "name", None) or type(retriever).__name__
    return Search(str(name), k if isinstance(k, int) else None, input if isinstance(input, str) else None)


def _read(result: Any, *args: Any, **kwargs: Any) -> Found:
    return Found(list(result))
