"""Qdrant: `query_points` of both clients, local mode included. What a score means is up to the collection."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from otel_llm.retrievers.search import Found, Search, trace_searches

_TEXT_KEYS = ("document", "text", "page_content", "content")


def instrument(module: ModuleType) -> None:
    """Patch the client of this module; `search` is that of older versions."""
    client = getattr(module, "AsyncQdrantClient", None) or getattr(module, "QdrantClient")  # noqa: B009 - one of them
    for method in ("query_points", "search"):
        trace_searches(client, method, _describe, _read)


def _describe(client: Any, collection_name: str, query: Any = None, *rest: Any, limit: int = 10, **more: Any) -> Search:
    text = query if isinstance(query, str) else getattr(query, "text", None)  # a document that the client embeds
    return Search(collection_name, limit, text if isinstance(text, str) else None, "qdrant", collection_name)


def _read(result: Any, *args: Any, **kwargs: Any) -> Found:
    points = getattr(result, "points", result)
    return Found([{"id": point.id, "score": point.score, "text": _text(point.payload)} for point in points])


def _text(payload: Any) -> str | None:
    return next((text for key in _TEXT_KEYS if isinstance(text := (payload or {}).get(key), str)), None)
