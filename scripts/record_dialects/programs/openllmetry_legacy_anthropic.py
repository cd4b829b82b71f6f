# /// script
# dependencies = [
#   "anthropic<1", "openai<2", "httpx<0.28", "opentelemetry-instrumentation-anthropic==0.40.14",
# ]
# [tool.record]
# dialect = "openllmetry"
# environment = "openllmetry_legacy_anthropic"
# scenarios = ["anthropic_chat", "anthropic_stream", "anthropic_tools", "anthropic_cached"]
# ///
"""OpenLLMetry's instrumentation of the anthropic client as it was until the end of 2025: flattened prompts."""

from anthropic_scenarios import run
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
from otlp import provider

AnthropicInstrumentor().instrument(tracer_provider=provider())
run()
