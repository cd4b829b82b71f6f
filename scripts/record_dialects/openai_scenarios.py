"""The scenarios on the openai client, for every library that instruments it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import openai
from words import (  # noqa: F401 - programs that use openai take them from here
    AGENT_QUESTION,
    CONTEXT,
    DOCUMENTS,
    LONG_CONTEXT,
    PIXEL,
    POPULATION,
    POPULATION_TOOL,
    QUESTION,
    TOOL_QUESTION,
    WEATHER,
    WEATHER_IS,
)  # fmt: skip

MESSAGES = [{"role": "system", "content": CONTEXT}, {"role": "user", "content": QUESTION}]


def chat(client: openai.OpenAI) -> None:
    client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, temperature=0.5, top_p=0.9, max_tokens=200, seed=7, stop=["END"]
    )


def chat_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    for _ in stream:
        pass


def tools(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": TOOL_QUESTION}]
    first = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[WEATHER])
    call = first.choices[0].message.tool_calls[0]
    messages.append(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
            ],
        }
    )
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "The weather in Lisbon is sunny, 24 degrees."})
    client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[WEATHER])


def multimodal(client: openai.OpenAI) -> None:
    content = [
        {"type": "text", "text": "What do these pictures show?"},
        {"type": "image_url", "image_url": {"url": "https://example.test/cat.png"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": content}])


def embeddings(client: openai.OpenAI) -> None:
    client.embeddings.create(model="text-embedding-3-small", input=[QUESTION, "What is a span?"], dimensions=4)


def error(client: openai.OpenAI) -> None:
    try:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=3)
    except openai.BadRequestError:
        return
    msg = "the model server did not refuse a temperature of 3"
    raise AssertionError(msg)


def cached_reasoning(client: openai.OpenAI) -> None:
    for question in (QUESTION, "What does a span describe?"):
        messages = [{"role": "system", "content": LONG_CONTEXT}, {"role": "user", "content": question}]
        client.chat.completions.create(model="o4-mini", messages=messages, reasoning_effort="low")


def responses(client: openai.OpenAI) -> None:
    client.responses.create(
        model="gpt-4o-mini", instructions=CONTEXT, input=QUESTION, temperature=0.5, max_output_tokens=200
    )


def responses_stream(client: openai.OpenAI) -> None:
    for _ in client.responses.create(model="gpt-4o-mini", instructions=CONTEXT, input=QUESTION, stream=True):
        pass


def responses_tools(client: openai.OpenAI) -> None:
    tool = {"type": "function", **WEATHER["function"]}
    asked = [{"role": "user", "content": TOOL_QUESTION}]
    [call] = client.responses.create(model="gpt-4o-mini", input=asked, tools=[tool]).output
    asked.append({"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments})
    asked.append({"type": "function_call_output", "call_id": call.call_id, "output": WEATHER_IS.format(city="Lisbon")})
    client.responses.create(model="gpt-4o-mini", input=asked, tools=[tool])


SCENARIOS: dict[str, Callable[[openai.OpenAI], None]] = {
    one.__name__: one
    for one in (
        chat,
        chat_stream,
        tools,
        multimodal,
        embeddings,
        error,
        cached_reasoning,
        responses,
        responses_stream,
        responses_tools,
    )
}


def run() -> None:
    """Run the scenario that the command line names."""
    SCENARIOS[sys.argv[1]](openai.OpenAI(max_retries=0))


def agent_loop(client: openai.OpenAI, question: str, tools: list[Callable[..., str]]) -> str:
    """An agent with two tools, for libraries that leave writing one to the program."""
    messages = [{"role": "user", "content": question}]
    while True:
        done = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[WEATHER, POPULATION_TOOL])
        message = done.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        call = message.tool_calls[0]
        function = {"name": call.function.name, "arguments": call.function.arguments}
        asked = [{"id": call.id, "type": "function", "function": function}]
        messages.append({"role": "assistant", "content": None, "tool_calls": asked})
        tool = next(one for one in tools if getattr(one, "__name__", "") == call.function.name)
        answer = tool(**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": answer})
