# /// script
# dependencies = ["openai", "httpx", "opentelemetry-instrumentation-openai"]
# [tool.record]
# dialect = "openllmetry"
# scenarios = [
#   "chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning",
#   "responses", "responses_stream", "responses_tools",
# ]
# ///
"""OpenLLMetry's instrumentation of the openai client."""

from openai_scenarios import run
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from otlp import provider

OpenAIInstrumentor().instrument(tracer_provider=provider())
run()
