"""LlamaIndex: `retrieve` and `aretrieve` of every retriever. The source is the retriever's class."""

from __future__ import annotations

from typing import Any

from otel_llm.retrievers.search import Found, Search, trace_searches


def instrument(module: Any) -> None:
    """Patch the base class, which every retriever's calls go through."""
    trace_searches(module.BaseRetriever, "retrieve", _describe, _read)
    trace_searches(module.BaseRetriever, "aretrieve", _describe, _read)


def _describe(retriever: Any, str_or_query_bundle: Any, *args: Any, **kwargs: Any) -> Search:
    query = getattr(str_or_query_bundle, "query_str", str_or_query_bundle)
    k = getattr(retriever, "similarity_top_k", None)
    k = k if isinstance(k, int) else getattr(retriever, "_similarity_top_k", None)
    return Search(
        type(retriever).__name__, k if isinstance(k, int) else None, query if isinstance(query, str) else None
    )


def _read(result: Any, *args: Any, **kwargs: Any) -> Found:
    return Found(list(result))
