"""A method that searches is a retrieval span, and the library is itself again afterwards."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import patch
from otel_llm.retrievers.search import Found, Search, trace_searches


class Base:
    """A store."""

    def search(self, query: str, k: int = 3) -> list[dict[str, Any]]:
        """Documents, or an error."""
        if query == "fail":
            raise LookupError(query)
        return [{"id": f"d{number}", "score": 1.0 / (1 + number), "text": query} for number in range(k)]

    async def asearch(self, query: str, k: int = 3) -> list[dict[str, Any]]:
        """The same, later."""
        await asyncio.sleep(0)
        return self.found(query, k)

    def found(self, query: str, k: int) -> list[dict[str, Any]]:
        """Documents, unpatched."""
        return [{"id": f"d{number}", "score": 0.5} for number in range(k)]


class Store(Base):
    """A store that inherits its search."""


def describe(store: Any, query: str, k: int = 3) -> Search | None:
    """What `search` is about to do."""
    if query == "strange":
        raise TypeError("no such argument")
    return None if query == "skip" else Search("docs", k, query, "teststore", "docs")


def read(result: Any, *args: Any, **kwargs: Any) -> Found:
    """What `search` found."""
    return Found(result)


@pytest.fixture
def patched() -> Iterator[type[Store]]:
    """The store, patched on the class that inherits."""

    def attach(_: ModuleType) -> None:
        trace_searches(Store, "search", describe, read)
        trace_searches(Store, "asearch", describe, read)

    patch.when_imported("teststore", __name__, attach) if __name__ in sys.modules else patch._attach(
        "teststore", ModuleType("teststore"), attach
    )
    yield Store
    patch.forget("teststore")


def test_a_search_is_a_retrieval(patched: type[Store], spans: InMemorySpanExporter) -> None:
    """Source, k, how many came, scores, ids and the database are on one span; the result is the caller's."""
    assert len(patched().search("what", k=2)) == 2
    (span,) = spans.get_finished_spans()
    attributes = dict(span.attributes or {})
    assert span.name == "retrieval docs"
    assert span.kind is SpanKind.CLIENT
    assert attributes[attr.GEN_AI_OPERATION_NAME] == "retrieval"
    assert attributes[attr.GEN_AI_RETRIEVAL_TOP_K] == 2
    assert attributes[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 2
    assert attributes[attr.OTEL_LLM_RETRIEVAL_DOCUMENT_IDS] == ("d0", "d1")
    assert attributes[attr.OTEL_LLM_RETRIEVAL_SCORES] == (1.0, 0.5)
    assert attributes[attr.DB_SYSTEM_NAME] == "teststore"
    assert attr.GEN_AI_RETRIEVAL_QUERY_TEXT not in attributes  # content is off


def test_a_coroutine_is_awaited_inside_its_span(patched: type[Store], spans: InMemorySpanExporter) -> None:
    """The async method is one span too."""
    assert len(asyncio.run(patched().asearch("what"))) == 3
    assert [span.name for span in spans.get_finished_spans()] == ["retrieval docs"]


def test_an_error_is_the_callers_and_the_spans(patched: type[Store], spans: InMemorySpanExporter) -> None:
    """The exception passes as it was."""
    with pytest.raises(LookupError, match="fail"):
        patched().search("fail")
    (span,) = spans.get_finished_spans()
    assert (span.attributes or {})[attr.ERROR_TYPE] == "LookupError"


@pytest.mark.parametrize("query", ["skip", "strange"])
def test_what_cannot_be_described_is_searched_all_the_same(
    patched: type[Store], spans: InMemorySpanExporter, query: str
) -> None:
    """No search, or a signature that we misread: no span, and the result as ever."""
    assert len(patched().search(query)) == 3
    assert spans.get_finished_spans() == ()


def test_a_store_below_a_retriever_counts_nothing_twice(patched: type[Store], spans: InMemorySpanExporter) -> None:
    """Inside a retrieval the store's search is a plain span: no operation, no documents."""
    with otel_llm.retrieval(source="retriever") as step:
        step.documents(patched().search("what"))
    store, retriever = spans.get_finished_spans()
    assert store.name == "search docs"
    assert store.parent is not None
    assert store.parent.span_id == retriever.context.span_id
    attributes = dict(store.attributes or {})
    assert attr.GEN_AI_OPERATION_NAME not in attributes
    assert attr.OTEL_LLM_RETRIEVAL_RETURNED_K not in attributes
    assert attributes[attr.DB_SYSTEM_NAME] == "teststore"


def test_undoing_gives_back_what_was_there(patched: type[Store], spans: InMemorySpanExporter) -> None:
    """An inherited method is inherited again; patching twice is patching once."""
    trace_searches(Store, "search", describe, read)
    assert "search" in vars(Store)
    Store().search("what")
    assert len(spans.get_finished_spans()) == 1
    patch.forget("teststore")
    assert "search" not in vars(Store)
    assert Store.search is Base.search
    Store().search("what")
    assert len(spans.get_finished_spans()) == 1
