"""A search in Chroma, for every library that traces it."""

from __future__ import annotations

import chromadb
from words import DOCUMENTS


def run() -> None:
    """Find the documents by vectors whose distances are one less their scores."""
    shelf = chromadb.EphemeralClient().create_collection("shelf")
    shelf.add(
        ids=[name for name, _, _ in DOCUMENTS],
        documents=[text for _, _, text in DOCUMENTS],
        embeddings=[[(1 - score) ** 0.5, 0.0] for _, score, _ in DOCUMENTS],
    )
    shelf.query(query_embeddings=[[0.0, 0.0]], query_texts=None, n_results=len(DOCUMENTS))
