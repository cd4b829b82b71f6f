"""Retrieval spans for libraries that no official instrumentation traces: one file for each, all through `search.py`.

Where a retriever calls a vector store, the retriever's span is the retrieval and the store's a plain child of it:
queries and documents count once. A library is patched when the program imports it, not before, and `undo` gives it back
as it was.
"""

from __future__ import annotations

from importlib import import_module

from otel_llm.patch import forget, when_imported

# Name -> (the module of ours that patches it, the modules whose import is waited for).
LIBRARIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "chroma": ("chroma", ("chromadb.api.models.Collection", "chromadb.api.models.AsyncCollection")),
    "faiss": ("faiss", ("faiss",)),
    "langchain-retrievers": ("langchain", ("langchain_core.retrievers",)),
    "llama-index-retrievers": ("llama_index", ("llama_index.core.base.base_retriever",)),
    "pgvector": ("pgvector", ("psycopg",)),
    "qdrant": ("qdrant", ("qdrant_client.qdrant_client", "qdrant_client.async_qdrant_client")),
}


def instrument(name: str) -> None:
    """Patch a library now if it is imported, else when it is."""
    ours, modules = LIBRARIES[name]
    for module in modules:
        when_imported(name, module, import_module(f"otel_llm.retrievers.{ours}").instrument)


def undo(name: str) -> None:
    """Give a library back as it was."""
    forget(name)
