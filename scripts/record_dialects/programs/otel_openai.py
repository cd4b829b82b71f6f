# /// script
# dependencies = ["openai", "opentelemetry-instrumentation-genai-openai"]
# [tool.record]
# dialect = "otel_current"
# scenarios = [
#   "chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning",
#   "responses", "responses_stream", "responses_tools",
# ]
# ///
"""OpenTelemetry's own instrumentation of the openai client: what the other dialects are compared with."""

import os

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

from openai_scenarios import run
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from otlp import provider

OpenAIInstrumentor().instrument(tracer_provider=provider())
run()
