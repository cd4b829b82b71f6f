# /// script
# dependencies = ["langsmith[otel]", "openai"]
# [tool.record]
# dialect = "langsmith"
# environment = "langsmith"
# scenarios = [
#   "chat", "chat_stream", "tools", "multimodal", "error", "cached_reasoning", "agent", "retrieval"
# ]
# sets = ["session", "user"]
# ///
"""LangSmith's OpenTelemetry exporter: its wrapper of the openai client, and its decorator for the rest."""

import os
import sys

os.environ["LANGSMITH_TRACING"] = "true"
os.environ["LANGSMITH_OTEL_ENABLED"] = "true"
os.environ["LANGSMITH_OTEL_ONLY"] = "true"
os.environ["LANGSMITH_API_KEY"] = "none"

import openai
import openai_scenarios
from langsmith import Client, traceable, tracing_context
from langsmith.wrappers import wrap_openai
from openai_scenarios import AGENT_QUESTION, DOCUMENTS, POPULATION, QUESTION, WEATHER_IS, agent_loop
from otlp import provider

made = provider()
client = Client(api_key="none")


@traceable(run_type="tool")
def get_weather(city: str) -> str:
    return WEATHER_IS.format(city=city)


@traceable(run_type="tool")
def get_population(city: str) -> str:
    return POPULATION.format(city=city)


@traceable(run_type="chain", name="assistant")
def agent(question: str) -> str:
    return agent_loop(wrap_openai(openai.OpenAI(max_retries=0)), question, [get_weather, get_population])


@traceable(run_type="retriever", name="shelf")
def shelf(query: str) -> list[dict]:
    return [
        {"page_content": text, "type": "Document", "metadata": {"id": name, "score": score}}
        for name, score, text in DOCUMENTS
    ]


scenario = sys.argv[1]
with tracing_context(metadata={"session_id": "session-1", "user_id": "user-1"}, client=client):
    if scenario == "agent":
        agent(AGENT_QUESTION)
    elif scenario == "retrieval":
        shelf(QUESTION)
    else:
        openai_scenarios.SCENARIOS[scenario](wrap_openai(openai.OpenAI(max_retries=0)))
client.flush()
made.force_flush()
