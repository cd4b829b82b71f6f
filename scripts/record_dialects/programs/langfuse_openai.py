# /// script
# dependencies = ["langfuse", "openai"]
# [tool.record]
# dialect = "langfuse"
# environment = "langfuse"
# scenarios = [
#   "chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning",
#   "responses", "responses_stream", "responses_tools", "agent", "retrieval"
# ]
# sets = ["session", "user"]
# ///
"""Langfuse: its wrapper of the openai client, and its decorator for agents, tools and retrievers."""

import sys

import openai_scenarios
from langfuse import Langfuse, observe, propagate_attributes
from langfuse.openai import OpenAI
from openai_scenarios import AGENT_QUESTION, DOCUMENTS, POPULATION, QUESTION, WEATHER_IS, agent_loop
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

made = TracerProvider()
made.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
langfuse = Langfuse(
    public_key="pk-none",
    secret_key="sk-none",
    base_url="http://127.0.0.1:9",
    tracer_provider=made,
    tracing_enabled=True,
)


@observe(as_type="tool")
def get_weather(city: str) -> str:
    return WEATHER_IS.format(city=city)


@observe(as_type="tool")
def get_population(city: str) -> str:
    return POPULATION.format(city=city)


@observe(as_type="agent", name="assistant")
def agent(question: str) -> str:
    return agent_loop(OpenAI(max_retries=0), question, [get_weather, get_population])


@observe(as_type="retriever", name="shelf")
def shelf(query: str) -> list[dict]:
    return [{"id": name, "score": score, "content": text} for name, score, text in DOCUMENTS]


with propagate_attributes(session_id="session-1", user_id="user-1", tags=["beta"]):
    scenario = sys.argv[1]
    if scenario == "agent":
        agent(AGENT_QUESTION)
    elif scenario == "retrieval":
        shelf(QUESTION)
    else:
        openai_scenarios.SCENARIOS[scenario](OpenAI(max_retries=0))
made.force_flush()
