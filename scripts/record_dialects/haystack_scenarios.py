"""A question answered from documents by a pipeline of Haystack, for every library that traces it."""

from __future__ import annotations

import os

from haystack import Document, Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.dataclasses import ChatMessage
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import Secret
from words import DOCUMENTS, QUESTION

TEMPLATE = "{% for one in documents %}{{ one.content }}\n{% endfor %}{{ question }}"


def run() -> None:
    """Retrieve, build the prompt, ask."""
    store = InMemoryDocumentStore()
    store.write_documents([Document(id=name, content=text) for name, _, text in DOCUMENTS])
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=2))
    template = [ChatMessage.from_user(TEMPLATE)]
    pipeline.add_component("prompt", ChatPromptBuilder(template, required_variables=["documents", "question"]))
    url = os.environ["OPENAI_BASE_URL"]
    pipeline.add_component("model", OpenAIChatGenerator(Secret.from_token("none"), "gpt-4o-mini", api_base_url=url))
    pipeline.connect("retriever", "prompt.documents")
    pipeline.connect("prompt.prompt", "model.messages")
    pipeline.run({"retriever": {"query": QUESTION}, "prompt": {"question": QUESTION}})
