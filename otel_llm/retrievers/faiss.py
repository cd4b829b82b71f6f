"""faiss: `search` of every kind of index. Ids are positions; scores are distances, or inner products where it has them.

An index has no name: its kind is the source. Searches that indexes do inside each other run in C++ and make no spans.
"""

from __future__ import annotations

import inspect
from typing import Any

from otel_llm_semconv.enums import OtelLlmRetrievalScoreKind as ScoreKind

from otel_llm.retrievers.search import Found, Search, trace_searches

_INNER_PRODUCT = 0  # faiss.METRIC_INNER_PRODUCT
_MAX_QUERIES = 1  # of a batch of queries only the count is recorded: their documents are no ranking


def instrument(faiss: Any) -> None:
    """Patch each class that has a `search` of its own."""
    for kind in list(vars(faiss).values()):
        if inspect.isclass(kind) and issubclass(kind, faiss.Index) and "search" in vars(kind):
            trace_searches(kind, "search", _describe, _read)


def _describe(index: Any, x: Any, k: int, **more: Any) -> Search:
    scores = ScoreKind.SIMILARITY if index.metric_type == _INNER_PRODUCT else ScoreKind.DISTANCE
    return Search(f"faiss {type(index).__name__}", int(k), None, "faiss", None, scores)


def _read(result: Any, *args: Any, **kwargs: Any) -> Found:
    """Distances and positions, a row for each query; -1 stands where there was nothing more."""
    distances, positions = result
    if len(positions) > _MAX_QUERIES:
        return Found(count=int((positions >= 0).sum()))
    rows = zip(distances.tolist(), positions.tolist(), strict=False)
    return Found(
        [
            {"id": position, "score": distance}
            for row, places in rows
            for distance, position in zip(row, places, strict=False)
            if position >= 0
        ]
    )
