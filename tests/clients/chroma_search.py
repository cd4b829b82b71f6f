"""Chroma's real client in memory, with vectors of the local model."""

from __future__ import annotations

import chromadb
from clients import CONTEXT, QUESTION, Collected, check
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import retrievers


def main() -> None:
    """One query, a batch of two, one below a retriever of ours; then undone."""
    from server import embed  # noqa: PLC0415 - the local model's

    with Collected() as collected:
        otel_llm.configure(service_name="clients", content="full")
        retrievers.instrument("chroma")
        texts = [sentence for sentence in sorted(set(CONTEXT.split(". "))) if sentence.strip()]
        collection = chromadb.EphemeralClient().create_collection("docs", embedding_function=None)
        collection.add(ids=[f"d{n}" for n in range(len(texts))], documents=texts, embeddings=[embed(t) for t in texts])
        answer = collection.query(query_embeddings=[embed(QUESTION)], n_results=2)
        (span,) = collected.take()
        check(span.name, "retrieval docs")
        check(list(span.attributes[attr.OTEL_LLM_RETRIEVAL_DOCUMENT_IDS]), answer["ids"][0])
        check(list(span.attributes[attr.OTEL_LLM_RETRIEVAL_SCORES]), answer["distances"][0])
        check(span.attributes[attr.OTEL_LLM_RETRIEVAL_SCORE_KIND], "distance")
        check(span.attributes[attr.DB_SYSTEM_NAME], "chroma")
        check(answer["documents"][0][0] in span.attributes[attr.GEN_AI_RETRIEVAL_DOCUMENTS], right=True)
        collection.query(query_embeddings=[embed(QUESTION), embed("Jaeger")], n_results=2, include=[])
        (span,) = collected.take()
        check(span.attributes[attr.OTEL_LLM_RETRIEVAL_RETURNED_K], 4)
        with otel_llm.retrieval(source="mine") as step:
            step.documents(collection.query(query_embeddings=[embed(QUESTION)])["documents"][0])
        inner, outer = collected.take()
        check(attr.GEN_AI_OPERATION_NAME in inner.attributes, right=False)
        check(inner.parent.span_id, outer.context.span_id)
        retrievers.undo("chroma")
        collection.query(query_embeddings=[embed(QUESTION)])
        check(collected.take(), [])


if __name__ == "__main__":
    main()
