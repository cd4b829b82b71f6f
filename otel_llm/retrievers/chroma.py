"""Chroma: `Collection.query` and its async twin. Scores are distances; several queries of one call are one span."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from otel_llm_semconv.enums import OtelLlmRetrievalScoreKind as ScoreKind

from otel_llm.retrievers.search import Found, Search, trace_searches


def instrument(module: ModuleType) -> None:
    """Patch the collection of this module."""
    for name in ("Collection", "AsyncCollection"):
        if name == module.__name__.rpartition(".")[2]:
            trace_searches(getattr(module, name), "query", _describe, _read)


def _describe(
    collection: Any, query_embeddings: Any = None, query_texts: Any = None, *rest: Any, n_results: int = 10, **more: Any
) -> Search:
    texts = [query_texts] if isinstance(query_texts, str) else list(query_texts or ())
    name = str(collection.name)
    return Search(name, n_results, "\n".join(map(str, texts)) or None, "chroma", name, ScoreKind.DISTANCE)


def _read(result: Mapping[str, Any], *args: Any, **kwargs: Any) -> Found:
    """Lists of lists, one for each query; what was not asked for is None."""
    ids = _flat(result.get("ids"))
    texts = _flat(result.get("documents")) or [None] * len(ids)
    distances = _flat(result.get("distances")) or [None] * len(ids)
    return Found(
        [
            {"id": identity, "text": text, "score": distance}
            for identity, text, distance in zip(ids, texts, distances, strict=False)
        ]
    )


def _flat(lists: Any) -> list[Any]:
    return [one for inner in lists or () for one in inner or ()]
