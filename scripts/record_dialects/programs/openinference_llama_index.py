# /// script
# dependencies = ["llama-index-core", "llama-index-llms-openai-like", "openinference-instrumentation-llama-index"]
# [tool.record]
# dialect = "openinference"
# scenarios = ["chat", "agent", "retrieval", "rerank"]
# sets = ["session", "user"]
# ///
"""OpenInference's instrumentation of LlamaIndex."""

import asyncio
import os
import sys

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from openinference.instrumentation import using_attributes
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from otlp import provider
from words import AGENT_QUESTION, CONTEXT, DOCUMENTS, POPULATION, QUESTION, WEATHER_IS

dispatcher = get_dispatcher(__name__)
LlamaIndexInstrumentor().instrument(tracer_provider=provider())


class Shelf(BaseRetriever):
    """Always finds the same documents."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=TextNode(id_=name, text=text), score=score) for name, score, text in DOCUMENTS]


class Best(BaseNodePostprocessor):
    """Keeps the best two."""

    top_n: int = 2
    model: str = "best"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        # As LlamaIndex's own rerankers say what they do.
        dispatcher.event(ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=self.top_n, model_name=self.model))
        kept = sorted(nodes, key=lambda one: -one.score)[: self.top_n]
        dispatcher.event(ReRankEndEvent(nodes=kept))
        return kept


def model(**more: object) -> OpenAILike:
    return OpenAILike(
        model="gpt-4o-mini", api_base=os.environ["OPENAI_BASE_URL"], api_key="none", is_chat_model=True,
        is_function_calling_model=True, max_retries=0, **more,
    )  # fmt: skip


def chat() -> None:
    model(temperature=0.5, max_tokens=200).chat(
        [ChatMessage(role="system", content=CONTEXT), ChatMessage(content=QUESTION)]
    )


def get_weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER_IS.format(city=city)


def get_population(city: str) -> str:
    """How many people live in a city."""
    return POPULATION.format(city=city)


def agent() -> None:
    async def ask() -> None:
        tools = [FunctionTool.from_defaults(get_weather), FunctionTool.from_defaults(get_population)]
        await FunctionAgent(name="assistant", tools=tools, llm=model(), streaming=False).run(AGENT_QUESTION)

    asyncio.run(ask())


def retrieval() -> None:
    Shelf().retrieve(QUESTION)


def rerank() -> None:
    found = [NodeWithScore(node=TextNode(id_=name, text=text), score=score) for name, score, text in DOCUMENTS]
    Best().postprocess_nodes(found, query_str=QUESTION)


with using_attributes(session_id="session-1", user_id="user-1"):
    {one.__name__: one for one in (chat, agent, retrieval, rerank)}[sys.argv[1]]()
