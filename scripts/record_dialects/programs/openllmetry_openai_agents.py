# /// script
# dependencies = ["openai-agents", "opentelemetry-instrumentation-openai-agents"]
# [tool.record]
# dialect = "openllmetry"
# environment = "openai_agents"
# scenarios = ["framework_chat", "framework_agent"]
# ///
"""OpenLLMetry's instrumentation of OpenAI's Agents SDK."""

from agents_scenarios import run
from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from otlp import provider

OpenAIAgentsInstrumentor().instrument(tracer_provider=provider())
run()
