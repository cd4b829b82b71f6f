"""The agent with two tools on smolagents, for every library that traces it."""

from __future__ import annotations

import os

from smolagents import OpenAIServerModel, ToolCallingAgent, tool
from words import AGENT_QUESTION, POPULATION, WEATHER_IS


@tool
def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: its name
    """
    return WEATHER_IS.format(city=city)


@tool
def get_population(city: str) -> str:
    """How many people live in a city.

    Args:
        city: its name
    """
    return POPULATION.format(city=city)


def run() -> None:
    """Ask. Results come back as text here, so the local model asks for the same tool again: two steps are enough."""
    model = OpenAIServerModel("gpt-4o-mini", api_base=os.environ["OPENAI_BASE_URL"], api_key="none")
    ToolCallingAgent(tools=[get_weather, get_population], model=model, max_steps=2, name="assistant").run(
        AGENT_QUESTION
    )
