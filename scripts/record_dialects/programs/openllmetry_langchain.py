# /// script
# dependencies = ["langchain", "langchain-openai", "httpx", "opentelemetry-instrumentation-langchain"]
# [tool.record]
# environment = "langchain"
# dialect = "openllmetry"
# scenarios = ["chat", "chat_stream", "multimodal", "cached_reasoning", "agent", "retrieval"]
# ///
"""OpenLLMetry's instrumentation of LangChain."""

from langchain_scenarios import run
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from otlp import provider

LangchainInstrumentor().instrument(tracer_provider=provider())
run()
