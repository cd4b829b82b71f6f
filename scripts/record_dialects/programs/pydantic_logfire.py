# /// script
# dependencies = ["pydantic-ai-slim[openai]", "logfire"]
# [tool.record]
# dialect = "pydantic_ai"
# environment = "pydantic_ai"
# scenarios = ["chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning", "agent"]
# sets = ["session", "user"]
# also.pydantic_logfire_v1.scenarios = ["chat", "agent"]
# also.pydantic_logfire_v1.environment = "pydantic_ai_1"
# also.pydantic_logfire_v1.dependencies = ["pydantic-ai-slim[openai]==1.0.18", "logfire<5", "opentelemetry-sdk==1.36.0"]
# also.pydantic_logfire_v2.scenarios = ["chat", "agent"]
# also.pydantic_logfire_v3.scenarios = ["chat", "agent"]
# also.pydantic_logfire_v4.scenarios = ["chat", "agent"]
# also.pydantic_logfire_v6.scenarios = ["chat", "agent"]
# ///
"""Pydantic AI with Logfire; the library's name says which version of its instrumentation."""

import asyncio
import os
import sys

import logfire  # sends to OTEL_EXPORTER_OTLP_ENDPOINT
from pydantic_ai import Agent, BinaryContent, ImageUrl, ModelSettings
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from words import AGENT_QUESTION, CONTEXT, LONG_CONTEXT, POPULATION, QUESTION, TOOL_QUESTION, WEATHER_IS

version = os.environ["RECORDED_LIBRARY"].rpartition("_v")[2]
logfire.configure(
    send_to_logfire=False,
    console=False,
    inspect_arguments=False,
    service_name="recorded",
    metrics=False,
    scrubbing=False,  # it takes anything named session for a secret
)
instrument = InstrumentationSettings(version=int(version)) if version.isdigit() else InstrumentationSettings()
Agent.instrument_all(instrument)


def model(name: str = "gpt-4o-mini") -> OpenAIChatModel:
    return OpenAIChatModel(name)


def assistant(context: str | None = None, name: str = "gpt-4o-mini") -> Agent:
    return Agent(model(name), system_prompt=context or (), name="assistant", retries=0)


async def chat() -> None:
    settings = ModelSettings(temperature=0.5, top_p=0.9, max_tokens=200, seed=7, stop_sequences=["END"])
    await assistant(CONTEXT).run(QUESTION, model_settings=settings)


async def chat_stream() -> None:
    async with assistant(CONTEXT).run_stream(QUESTION) as stream:
        async for _ in stream.stream_text():
            pass


def get_weather(city: str) -> str:
    """The weather in a city."""
    return WEATHER_IS.format(city=city)


def get_population(city: str) -> str:
    """How many people live in a city."""
    return POPULATION.format(city=city)


async def tools() -> None:
    await Agent(model(), tools=[get_weather], name="assistant").run(TOOL_QUESTION)


async def agent() -> None:
    await Agent(model(), tools=[get_weather, get_population], name="assistant").run(AGENT_QUESTION)


async def multimodal() -> None:
    picture = BinaryContent(b"\x89PNG\r\n\x1a\n not a real picture", media_type="image/png")
    await assistant().run(["What do these pictures show?", ImageUrl("https://example.test/cat.png"), picture])


async def embeddings() -> None:
    from pydantic_ai import Embedder  # noqa: PLC0415 - earlier versions have none

    await Embedder("openai:text-embedding-3-small", instrument=instrument).embed_documents(
        [QUESTION, "What is a span?"], settings={"dimensions": 4}
    )


async def error() -> None:
    try:
        await assistant(CONTEXT).run(QUESTION, model_settings=ModelSettings(temperature=3))
    except Exception as refused:  # whatever the library makes of a 400
        print(refused)


async def cached_reasoning() -> None:
    for question in (QUESTION, "What does a span describe?"):
        settings = OpenAIChatModelSettings(openai_reasoning_effort="low")
        await assistant(LONG_CONTEXT, "o4-mini").run(question, model_settings=settings)


SCENARIOS = (chat, chat_stream, tools, agent, multimodal, embeddings, error, cached_reasoning)
with logfire.set_baggage(session_id="session-1", user_id="user-1"):
    asyncio.run({one.__name__: one for one in SCENARIOS}[sys.argv[1]]())
