# /// script
# dependencies = [
#   "anthropic<1", "openai<2", "httpx<0.28", "opentelemetry-instrumentation-genai-anthropic==1.0b0",
#   "opentelemetry-util-genai==1.0b0",
# ]
# [tool.record]
# dialect = "core_1_41"
# scenarios = ["anthropic_chat", "anthropic_stream", "anthropic_tools", "anthropic_cached"]
# ///
"""OpenTelemetry's own instrumentation of the anthropic client in its first version, with the conventions of 1.41."""

import os

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

from anthropic_scenarios import run
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from otlp import provider

AnthropicInstrumentor().instrument(tracer_provider=provider())
run()
