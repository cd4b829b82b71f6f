"""The scenarios on LangChain, for every library that traces it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from words import AGENT_QUESTION, CONTEXT, DOCUMENTS, LONG_CONTEXT, PIXEL, POPULATION, QUESTION, WEATHER_IS


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER_IS.format(city=city)


@tool
def get_population(city: str) -> str:
    """How many people live in a city."""
    return POPULATION.format(city=city)


class Shelf(BaseRetriever):
    """Always finds the same documents."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [Document(id=name, page_content=text, metadata={"score": score}) for name, score, text in DOCUMENTS]


def model(name: str = "gpt-4o-mini", **more: Any) -> ChatOpenAI:
    return ChatOpenAI(model=name, max_retries=0, **more)


def chat(config: Any) -> None:
    model(temperature=0.5, top_p=0.9, max_tokens=200, seed=7, stop=["END"]).invoke(
        [SystemMessage(CONTEXT), HumanMessage(QUESTION)], config
    )


def chat_stream(config: Any) -> None:
    for _ in model(stream_usage=True).stream([SystemMessage(CONTEXT), HumanMessage(QUESTION)], config):
        pass


def multimodal(config: Any) -> None:
    content = [
        {"type": "text", "text": "What do these pictures show?"},
        {"type": "image_url", "image_url": {"url": "https://example.test/cat.png"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    model().invoke([HumanMessage(content)], config)


def embeddings(_: Any) -> None:
    OpenAIEmbeddings(
        model="text-embedding-3-small", dimensions=4, check_embedding_ctx_length=False, max_retries=0
    ).embed_documents([QUESTION, "What is a span?"])


def cached_reasoning(config: Any) -> None:
    for question in (QUESTION, "What does a span describe?"):
        model("o4-mini", reasoning_effort="low").invoke([SystemMessage(LONG_CONTEXT), HumanMessage(question)], config)


def agent(config: Any) -> None:
    from langchain.agents import create_agent  # noqa: PLC0415 - earlier versions have none

    made = create_agent(model(), [get_weather, get_population], name="assistant")
    made.invoke({"messages": [HumanMessage(AGENT_QUESTION)]}, config)


def retrieval(config: Any) -> None:
    Shelf().invoke(QUESTION, config)


SCENARIOS: dict[str, Callable[[Any], None]] = {
    one.__name__: one for one in (chat, chat_stream, multimodal, embeddings, cached_reasoning, agent, retrieval)
}


def run(config: Any = None) -> None:
    """Run the scenario that the command line names."""
    SCENARIOS[sys.argv[1]](config)
