"""The agent with two tools on OpenAI's Agents SDK, for every library that traces it."""

from __future__ import annotations

import sys

from agents import Agent, Runner, function_tool, set_tracing_disabled
from words import AGENT_QUESTION, CONTEXT, POPULATION, QUESTION, WEATHER_IS


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER_IS.format(city=city)


@function_tool
def get_population(city: str) -> str:
    """How many people live in a city."""
    return POPULATION.format(city=city)


def run() -> None:
    """Run the scenario that the command line names, over OpenAI's responses."""
    set_tracing_disabled(False)
    if sys.argv[1] == "framework_agent":
        made = Agent(name="assistant", tools=[get_weather, get_population], model="gpt-4o-mini")
        Runner.run_sync(made, AGENT_QUESTION)
    else:
        Runner.run_sync(Agent(name="assistant", instructions=CONTEXT, model="gpt-4o-mini"), QUESTION)
