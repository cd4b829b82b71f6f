"""The scenarios on the anthropic client, for every library that instruments it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import anthropic
from words import CONTEXT, LONG_CONTEXT, QUESTION, TOOL_QUESTION, WEATHER

MODEL = "claude-sonnet-4-5"
TOOL = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": WEATHER["function"]["parameters"],
}


def ask(client: anthropic.Anthropic, **more: Any) -> Any:
    return client.messages.create(model=MODEL, max_tokens=200, **more)


def anthropic_chat(client: anthropic.Anthropic) -> None:
    ask(client, system=CONTEXT, messages=[{"role": "user", "content": QUESTION}])


def anthropic_stream(client: anthropic.Anthropic) -> None:
    for _ in ask(client, system=CONTEXT, messages=[{"role": "user", "content": QUESTION}], stream=True):
        pass


def anthropic_tools(client: anthropic.Anthropic) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": TOOL_QUESTION}]
    first = ask(client, messages=messages, tools=[TOOL])
    call = first.content[0]
    asked = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "The weather in Lisbon is sunny, 24 degrees."}
    messages += [{"role": "assistant", "content": [asked]}, {"role": "user", "content": [result]}]
    ask(client, messages=messages, tools=[TOOL])


def anthropic_cached(client: anthropic.Anthropic) -> None:
    for question in (QUESTION, "What does a span describe?"):
        ask(client, system=LONG_CONTEXT, messages=[{"role": "user", "content": question}])


SCENARIOS: dict[str, Callable[[anthropic.Anthropic], None]] = {
    one.__name__: one for one in (anthropic_chat, anthropic_stream, anthropic_tools, anthropic_cached)
}


def run() -> None:
    """Run the scenario that the command line names."""
    SCENARIOS[sys.argv[1]](anthropic.Anthropic(max_retries=0))
