# /// script
# dependencies = ["openai-agents", "openinference-instrumentation-openai-agents"]
# [tool.record]
# dialect = "openinference"
# environment = "openai_agents"
# scenarios = ["framework_chat", "framework_agent"]
# ///
"""OpenInference's instrumentation of OpenAI's Agents SDK."""

from agents_scenarios import run
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from otlp import provider

OpenAIAgentsInstrumentor().instrument(tracer_provider=provider())
run()
