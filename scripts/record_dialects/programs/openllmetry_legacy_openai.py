# /// script
# dependencies = ["openai<2", "httpx<0.28", "opentelemetry-instrumentation-openai==0.40.14"]
# [tool.record]
# dialect = "openllmetry"
# scenarios = ["chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning"]
# ///
"""OpenLLMetry's instrumentation of the openai client as it was until the end of 2025: flattened prompts."""

from openai_scenarios import run
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from otlp import provider

OpenAIInstrumentor().instrument(tracer_provider=provider())
run()
