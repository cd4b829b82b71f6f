# /// script
# dependencies = [
#   "openai<2", "httpx<0.28", "opentelemetry-instrumentation-openai-v2==2.4b0", "opentelemetry-util-genai==0.4b0",
# ]
# [tool.record]
# dialect = "core_1_41"
# scenarios = ["chat", "chat_stream", "tools", "embeddings", "error", "cached_reasoning"]
# ///
"""OpenTelemetry's earlier instrumentation of the openai client, asked for the conventions 1.37 to 1.41."""

import os

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

from openai_scenarios import run
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from otlp import provider

OpenAIInstrumentor().instrument(tracer_provider=provider())
run()
