# /// script
# dependencies = ["anthropic<1", "openai<2", "httpx<0.28", "opentelemetry-instrumentation-anthropic"]
# [tool.record]
# dialect = "openllmetry"
# environment = "openllmetry_anthropic"
# scenarios = ["anthropic_chat", "anthropic_stream", "anthropic_tools", "anthropic_cached"]
# ///
"""OpenLLMetry's instrumentation of the anthropic client, of a version that does not trace itself as well."""

from anthropic_scenarios import run
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
from otlp import provider

AnthropicInstrumentor().instrument(tracer_provider=provider())
run()
