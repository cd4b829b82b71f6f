# /// script
# dependencies = ["anthropic<2", "openai", "opentelemetry-instrumentation-genai-anthropic"]
# [tool.record]
# dialect = "otel_current"
# environment = "anthropic"
# scenarios = ["anthropic_chat", "anthropic_stream", "anthropic_tools", "anthropic_cached"]
# ///
"""OpenTelemetry's own instrumentation of the anthropic client."""

import os

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

from anthropic_scenarios import run
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from otlp import provider

AnthropicInstrumentor().instrument(tracer_provider=provider())
run()
