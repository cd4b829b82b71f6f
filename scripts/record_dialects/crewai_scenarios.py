"""The agent with two tools on CrewAI, for every library that traces it."""

from __future__ import annotations

import os

os.environ["CREWAI_DISABLE_TELEMETRY"] = "true"
os.environ["CREWAI_TRACING_ENABLED"] = "false"

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool
from words import AGENT_QUESTION, POPULATION, WEATHER_IS


@tool("get_weather")
def get_weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER_IS.format(city=city)


@tool("get_population")
def get_population(city: str) -> str:
    """How many people live in a city."""
    return POPULATION.format(city=city)


def run() -> None:
    """Ask."""
    model = LLM("openai/gpt-4o-mini", base_url=os.environ["OPENAI_BASE_URL"], api_key="none")
    assistant = Agent(
        role="assistant", goal="answer", backstory="knows cities", llm=model, tools=[get_weather, get_population]
    )
    task = Task(description=AGENT_QUESTION, expected_output="an answer", agent=assistant)
    Crew(agents=[assistant], tasks=[task]).kickoff()
