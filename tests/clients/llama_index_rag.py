"""A RAG query of LlamaIndex with a local embedding and the local model."""

from __future__ import annotations

from typing import Any

from clients import CONTEXT, QUESTION, Collected, check, local_model, serving
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.llms.openai_like import OpenAILike
from otel_llm_semconv import attributes as attr

import otel_llm


class LocalEmbedding(BaseEmbedding):
    """Hashed words."""

    def _vector(self, text: str) -> list[float]:
        from server import embed  # noqa: PLC0415 - the local model's

        vector: list[float] = embed(text)
        return vector

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vector(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._vector(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._vector(text)


def main() -> None:
    """A retriever alone, then a query engine."""
    with Collected() as collected, serving(local_model()) as address:
        handle = otel_llm.configure(service_name="clients")
        check(handle.instrumented["llama-index-retrievers"].startswith("instrumented"), right=True)
        texts = [sentence for sentence in set(CONTEXT.split(". ")) if sentence.strip()]
        index = VectorStoreIndex.from_documents([Document(text=text) for text in texts], embed_model=LocalEmbedding())
        collected.take()
        retriever = index.as_retriever(similarity_top_k=2)
        check(len(retriever.retrieve(QUESTION)), 2)
        judge(collected.take(), chats=0)
        model = OpenAILike(
            model="gpt-4o-mini", api_base=f"{address}/v1", api_key="x", is_chat_model=True, max_retries=0
        )
        engine = index.as_query_engine(llm=model, similarity_top_k=2)
        with otel_llm.workflow("rag"):
            engine.query(QUESTION)
        judge(collected.take(), chats=1)


def judge(spans: list[Any], chats: int) -> None:
    """One retrieval with its documents and scores, each model call once, all in one trace."""
    check(len({span.context.trace_id for span in spans}), 1)
    operations = [span.attributes.get(attr.GEN_AI_OPERATION_NAME) for span in spans]
    check(operations.count("retrieval"), 1)
    check(operations.count("chat"), chats)
    retrieval = next(span for span in spans if span.attributes.get(attr.GEN_AI_OPERATION_NAME) == "retrieval")
    check(retrieval.attributes[attr.OTEL_LLM_RETRIEVAL_RETURNED_K], 2)
    check(len(retrieval.attributes[attr.OTEL_LLM_RETRIEVAL_SCORES]), 2)


if __name__ == "__main__":
    main()
