# /// script
# dependencies = ["anthropic<2", "openai", "openinference-instrumentation-anthropic"]
# [tool.record]
# dialect = "openinference"
# environment = "anthropic"
# scenarios = ["anthropic_chat", "anthropic_stream", "anthropic_tools", "anthropic_cached"]
# ///
"""OpenInference's instrumentation of the anthropic client."""

from anthropic_scenarios import run
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from otlp import provider

AnthropicInstrumentor().instrument(tracer_provider=provider())
run()
