"""A RAG chain of LangChain with a local embedding: vector store, retriever, prompt, chat model, in one pipe.

Where the official instrumentation is installed the retriever's span is its, where it is not, ours: one either way.
"""

from __future__ import annotations

import json
from typing import Any

from clients import CONTEXT, QUESTION, Collected, check, local_model, serving
from langchain_core.embeddings import Embeddings
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI
from otel_llm_semconv import attributes as attr

import otel_llm


class LocalEmbeddings(Embeddings):
    """Hashed words."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text."""
        from server import embed  # noqa: PLC0415 - the local model's

        return [embed(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The query's vector."""
        return self.embed_documents([text])[0]


def joined(documents: list[Any]) -> str:
    """The context."""
    return "\n".join(document.page_content for document in documents)


def main() -> None:
    """Ask once, streamed and whole; then without any other instrumentation."""
    with Collected() as collected, serving(local_model()) as address:
        handle = otel_llm.configure(service_name="clients", content="full")
        official = handle.instrumented["langchain"].startswith("instrumented")
        check(handle.instrumented["langchain-retrievers"].startswith("left to"), official)
        check(handle.instrumented["openai"].startswith("instrumented"), right=True)
        store = InMemoryVectorStore(LocalEmbeddings())
        store.add_texts([sentence for sentence in set(CONTEXT.split(". ")) if sentence.strip()])
        retriever = store.as_retriever(search_kwargs={"k": 2})
        model = ChatOpenAI(model="gpt-4o-mini", base_url=f"{address}/v1", api_key="x", max_retries=0, stream_usage=True)
        prompt = ChatPromptTemplate([("system", "{context}"), ("user", "{question}")])
        chain: Any = (
            {"context": retriever | joined, "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
        )
        with otel_llm.workflow("rag"):
            check("4317" in chain.invoke(QUESTION), right=True)
        judge(collected.take(), official=official)
        with otel_llm.workflow("rag"):
            check("4317" in "".join(chain.stream(QUESTION)), right=True)
        judge(collected.take(), official=official)


def judge(spans: list[Any], *, official: bool) -> None:
    """One retrieval with its documents, one chat with its tokens, all in one trace."""
    check(len({span.context.trace_id for span in spans}), 1)
    operations = [span.attributes.get(attr.GEN_AI_OPERATION_NAME) for span in spans]
    check(operations.count("retrieval"), 1)
    check(operations.count("chat"), 1)
    retrieval = next(span for span in spans if span.attributes.get(attr.GEN_AI_OPERATION_NAME) == "retrieval")
    check(len(json.loads(retrieval.attributes[attr.GEN_AI_RETRIEVAL_DOCUMENTS])), 2)
    if not official:
        check(retrieval.attributes[attr.OTEL_LLM_RETRIEVAL_RETURNED_K], 2)
        check(retrieval.attributes[attr.GEN_AI_RETRIEVAL_TOP_K], 2)
    check(retrieval.attributes[attr.GEN_AI_RETRIEVAL_QUERY_TEXT], QUESTION)
    chat = next(span for span in spans if span.attributes.get(attr.GEN_AI_OPERATION_NAME) == "chat")
    check(chat.attributes[attr.GEN_AI_USAGE_INPUT_TOKENS] > 0, right=True)


if __name__ == "__main__":
    main()
