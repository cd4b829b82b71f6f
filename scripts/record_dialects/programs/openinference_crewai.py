# /// script
# dependencies = ["crewai", "openinference-instrumentation-crewai", "openinference-instrumentation-litellm"]
# [tool.record]
# dialect = "openinference"
# environment = "crewai"
# scenarios = ["framework_agent"]
# ///
"""OpenInference's instrumentations of CrewAI and of LiteLLM."""

from crewai_scenarios import run
from openinference.instrumentation.crewai import CrewAIInstrumentor
from openinference.instrumentation.litellm import LiteLLMInstrumentor
from otlp import provider

made = provider()
CrewAIInstrumentor().instrument(tracer_provider=made, skip_dep_check=True)
LiteLLMInstrumentor().instrument(tracer_provider=made)
run()
