"""Real vector stores in this process: qdrant's local mode, faiss, and PostgreSQL through psycopg."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_llm_semconv import attributes as attr

from otel_llm import content, retrievers

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What ended in this test; content is recorded."""
    found = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    content.configure("full", {})
    yield found
    content.configure("off", {})
    for name in retrievers.LIBRARIES:
        retrievers.undo(name)


def only(spans: InMemorySpanExporter) -> dict[str, Any]:
    """The attributes of the one retrieval."""
    (span,) = spans.get_finished_spans()
    spans.clear()
    return {"name": span.name, **(span.attributes or {})}


def test_qdrant(spans: InMemorySpanExporter) -> None:
    """Sync and async clients: collection, limit, ids, scores, texts of the payload; undone, nothing."""
    qdrant = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed; the extra dev has it")
    retrievers.instrument("qdrant")
    models = qdrant.models
    settings = models.VectorParams(size=2, distance=models.Distance.COSINE)
    points = [
        models.PointStruct(id=number, vector=[1.0, number / 10], payload={"text": f"text {number}"})
        for number in range(1, 6)
    ]
    client = qdrant.QdrantClient(":memory:")
    client.create_collection("docs", vectors_config=settings)
    client.upsert("docs", points)
    answer = client.query_points("docs", query=[1.0, 0.1], limit=2)
    found = only(spans)
    assert found["name"] == "retrieval docs"
    assert found[attr.GEN_AI_RETRIEVAL_TOP_K] == 2
    assert found[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 2
    assert found[attr.OTEL_LLM_RETRIEVAL_DOCUMENT_IDS] == tuple(str(point.id) for point in answer.points)
    assert found[attr.OTEL_LLM_RETRIEVAL_SCORES] == tuple(point.score for point in answer.points)
    assert found[attr.DB_SYSTEM_NAME] == "qdrant"
    assert "text 1" in found[attr.GEN_AI_RETRIEVAL_DOCUMENTS]

    async def search() -> None:
        later = qdrant.AsyncQdrantClient(":memory:")
        await later.create_collection("docs", vectors_config=settings)
        await later.upsert("docs", points)
        await later.query_points("docs", query=[1.0, 0.1], limit=3)

    asyncio.run(search())
    assert only(spans)[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 3
    with pytest.raises(ValueError, match="nothing"):
        client.query_points("nothing", query=[1.0, 0.1])
    assert only(spans)[attr.ERROR_TYPE] == "ValueError"
    retrievers.undo("qdrant")
    client.query_points("docs", query=[1.0, 0.1])
    assert spans.get_finished_spans() == ()


def test_faiss(spans: InMemorySpanExporter) -> None:
    """Each kind of index; places that are empty are no documents; a batch is counted; undone, nothing."""
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed; the extra dev has it")
    numpy = pytest.importorskip("numpy")
    retrievers.instrument("faiss")
    vectors = numpy.eye(4, dtype="float32")
    flat = faiss.IndexFlatL2(4)
    flat.add(vectors)
    distances, positions = flat.search(vectors[:1], 3)
    found = only(spans)
    assert found["name"] == "retrieval faiss IndexFlatL2"
    assert found[attr.OTEL_LLM_RETRIEVAL_DOCUMENT_IDS] == tuple(str(one) for one in positions[0])
    assert found[attr.OTEL_LLM_RETRIEVAL_SCORES] == tuple(distances[0].tolist())
    assert found[attr.OTEL_LLM_RETRIEVAL_SCORE_KIND] == "distance"
    inner = faiss.IndexFlatIP(4)
    inner.add(vectors[:2])
    inner.search(vectors[:1], k=5)
    found = only(spans)
    assert found[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 2
    assert found[attr.GEN_AI_RETRIEVAL_TOP_K] == 5
    assert found[attr.OTEL_LLM_RETRIEVAL_SCORE_KIND] == "similarity"
    mapped = faiss.IndexIDMap(faiss.IndexFlatL2(4))
    mapped.add_with_ids(vectors, numpy.array([10, 20, 30, 40]))
    mapped.search(vectors[1:2], 1)
    assert only(spans)[attr.OTEL_LLM_RETRIEVAL_DOCUMENT_IDS] == ("20",)
    flat.search(vectors, 2)
    found = only(spans)
    assert found[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 8
    assert attr.OTEL_LLM_RETRIEVAL_SCORES not in found
    retrievers.undo("faiss")
    flat.search(vectors[:1], 1)
    assert spans.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("statement", "name", "k"),
    [
        ("SELECT id FROM items ORDER BY embedding <-> %s LIMIT 5", "items", 5),
        (b'select * from "My Docs" order by 1 - (v <=> %s) limit 10', "My Docs", 10),
        ("SELECT id FROM a.b ORDER BY v <#> %s", "a.b", None),
        ("SELECT 1 FROM items WHERE a < 5 AND b -> 'x' = '1'", None, None),
        ("x" * 30_000 + " <-> ", None, None),
    ],
)
def test_vector_searches_are_told_from_other_statements(statement: Any, name: str | None, k: int | None) -> None:
    """By pgvector's operators, with table and limit; JSON operators are none of them."""
    from otel_llm.retrievers.pgvector import _describe  # noqa: PLC0415

    search = _describe(None, statement)
    assert (search.collection, search.k) == (name, k) if search else name is None
