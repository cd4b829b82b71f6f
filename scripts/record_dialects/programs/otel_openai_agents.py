# /// script
# dependencies = [
#   "openai-agents", "opentelemetry-instrumentation-genai-openai-agents",
#   "opentelemetry-instrumentation-genai-openai",
# ]
# [tool.record]
# dialect = "otel_current"
# environment = "otel_openai_agents"
# scenarios = ["framework_chat", "framework_agent"]
# ///
"""OpenTelemetry's own instrumentations of OpenAI's Agents SDK and of the openai client below it."""

import os

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

from agents_scenarios import run
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor
from otlp import provider

made = provider()
OpenAIAgentsInstrumentor().instrument(tracer_provider=made)
OpenAIInstrumentor().instrument(tracer_provider=made)
run()
