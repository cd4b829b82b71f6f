# /// script
# dependencies = [
#   "langchain", "langchain-openai", "opentelemetry-instrumentation-genai-langchain",
#   "opentelemetry-instrumentation-genai-openai",
# ]
# [tool.record]
# environment = "langchain"
# dialect = "otel_current"
# scenarios = ["chat", "chat_stream", "multimodal", "cached_reasoning", "agent", "retrieval"]
# ///
"""OpenTelemetry's own instrumentations of LangChain and of the openai client below it, together."""

import os

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

from langchain_scenarios import run
from opentelemetry.instrumentation.genai.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from otlp import provider

made = provider()
OpenAIInstrumentor().instrument(tracer_provider=made)
LangChainInstrumentor().instrument(tracer_provider=made)
run()
