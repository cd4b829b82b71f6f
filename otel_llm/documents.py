"""Documents of any retriever, read by their shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from itertools import islice
from typing import Any

MAX_DOCUMENTS = 1000  # truncate: of more documents the first are read; how many there were is said where it is known

_ID_KEYS = ("id", "id_", "doc_id", "document_id", "_id")
_TEXT_KEYS = ("page_content", "text", "content", "body")
_PAIR = 2


@dataclass(frozen=True, slots=True)
class Document:
    """One retrieved document."""

    id: str | None = None
    score: float | None = None
    text: str | None = None


def read_documents(documents: Iterable[Any]) -> list[Document]:
    """Documents of LangChain (`page_content`, `metadata`), LlamaIndex (`node`, `score`), dicts, pairs or texts."""
    return [_read(one) for one in islice(documents, MAX_DOCUMENTS)]


def count_of(documents: Iterable[Any], read: list[Document]) -> int:
    """How many documents there are, of which so many were read."""
    return len(documents) if isinstance(documents, Sized) else len(read)


def _read(document: Any) -> Document:
    if isinstance(document, str):
        return Document(text=document)
    if isinstance(document, tuple) and len(document) == _PAIR:
        inner = _read(document[0])
        return Document(inner.id, _number(document[1]), inner.text)
    node = _get(document, "node")
    if node is not None:
        inner = _read(node)
        return Document(inner.id, _number(_get(document, "score")), inner.text)
    metadata = _get(document, "metadata")
    places = [document, metadata] if isinstance(metadata, Mapping) else [document]
    identity = next((found for place in places for key in _ID_KEYS if (found := _get(place, key)) is not None), None)
    score = next((found for place in places if (found := _number(_get(place, "score"))) is not None), None)
    text = next((found for key in _TEXT_KEYS if isinstance(found := _get(document, key), str)), None)
    return Document(None if identity is None else str(identity), score, text)


def _get(thing: Any, key: str) -> Any:
    return thing.get(key) if isinstance(thing, Mapping) else getattr(thing, key, None)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
