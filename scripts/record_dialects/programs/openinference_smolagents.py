# /// script
# dependencies = ["smolagents[openai]", "openinference-instrumentation-smolagents"]
# [tool.record]
# dialect = "openinference"
# environment = "smolagents"
# scenarios = ["framework_agent"]
# ///
"""OpenInference's instrumentation of smolagents."""

from openinference.instrumentation.smolagents import SmolagentsInstrumentor
from otlp import provider
from smolagents_scenarios import run

SmolagentsInstrumentor().instrument(tracer_provider=provider())
run()
