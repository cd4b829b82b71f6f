# /// script
# dependencies = ["strands-agents[openai,otel]"]
# [tool.record]
# dialect = "otel_current"
# environment = "strands"
# scenarios = ["framework_chat", "framework_agent"]
# ///
"""Strands Agents, which trace themselves."""

import os
import sys

from otlp import provider
from strands import Agent, tool
from strands.models.openai import OpenAIModel
from words import AGENT_QUESTION, CONTEXT, POPULATION, QUESTION, WEATHER_IS

provider()


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER_IS.format(city=city)


@tool
def get_population(city: str) -> str:
    """How many people live in a city."""
    return POPULATION.format(city=city)


model = OpenAIModel(client_args={"api_key": "none", "base_url": os.environ["OPENAI_BASE_URL"]}, model_id="gpt-4o-mini")
attributes = {"session.id": "session-1", "user.id": "user-1"}
if sys.argv[1] == "framework_agent":
    made = Agent(model, name="assistant", tools=[get_weather, get_population], trace_attributes=attributes)
    made(AGENT_QUESTION)
else:
    Agent(model, name="assistant", system_prompt=CONTEXT, trace_attributes=attributes)(QUESTION)
