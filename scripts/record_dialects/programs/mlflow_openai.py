# /// script
# dependencies = ["mlflow-tracing", "openai"]
# [tool.record]
# dialect = "mlflow"
# sets = ["session", "user"]
# environment = "mlflow"
# scenarios = [
#   "chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning", "agent", "retrieval",
#   "rerank",
# ]
# ///
"""MLflow Tracing: its patch of the openai client, and its decorator for agents, tools, retrievers and rerankers."""

import os
import sys

os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT") + "/v1/traces"
os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"

import mlflow
import openai
import openai_scenarios
from mlflow.entities import Document
from openai_scenarios import AGENT_QUESTION, DOCUMENTS, POPULATION, QUESTION, WEATHER_IS, agent_loop

mlflow.openai.autolog()


@mlflow.trace(span_type="TOOL")
def get_weather(city: str) -> str:
    return WEATHER_IS.format(city=city)


@mlflow.trace(span_type="TOOL")
def get_population(city: str) -> str:
    return POPULATION.format(city=city)


@mlflow.trace(span_type="AGENT", name="assistant")
def agent(question: str) -> str:
    return agent_loop(openai.OpenAI(max_retries=0), question, [get_weather, get_population])


@mlflow.trace(span_type="RETRIEVER", name="shelf")
def shelf(query: str) -> list[Document]:
    return [Document(id=name, page_content=text, metadata={"score": score}) for name, score, text in DOCUMENTS]


@mlflow.trace(span_type="RERANKER", name="best")
def best(query: str, documents: list[dict], top_n: int) -> list[dict]:
    return sorted(documents, key=lambda one: -one["score"])[:top_n]


scenario = sys.argv[1]
with mlflow.tracing.context(session_id="session-1", user="user-1"):
    if scenario == "agent":
        agent(AGENT_QUESTION)
    elif scenario == "retrieval":
        shelf(QUESTION)
    elif scenario == "rerank":
        best(QUESTION, [{"id": name, "score": score, "text": text} for name, score, text in DOCUMENTS], 2)
    else:
        openai_scenarios.SCENARIOS[scenario](openai.OpenAI(max_retries=0))
mlflow.flush_trace_async_logging()
