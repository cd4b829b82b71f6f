"""The scenarios on Ollama's client, for every library that instruments it."""

from __future__ import annotations

import os
import sys

import ollama
from words import CONTEXT, QUESTION, TOOL_QUESTION, WEATHER, WEATHER_IS

MODEL = "llama3.2"
MESSAGES = [{"role": "system", "content": CONTEXT}, {"role": "user", "content": QUESTION}]


def run() -> None:
    """Run the scenario that the command line names."""
    client = ollama.Client(os.environ["MODEL_URL"])
    if sys.argv[1] == "ollama_chat":
        client.chat(MODEL, messages=MESSAGES, options={"temperature": 0.5, "top_p": 0.9})
    elif sys.argv[1] == "ollama_stream":
        for _ in client.chat(MODEL, messages=MESSAGES, stream=True):
            pass
    else:
        messages = [{"role": "user", "content": TOOL_QUESTION}]
        message = client.chat(MODEL, messages=messages, tools=[WEATHER]).message
        city = message.tool_calls[0].function.arguments["city"]
        messages += [message, {"role": "tool", "tool_name": "get_weather", "content": WEATHER_IS.format(city=city)}]
        client.chat(MODEL, messages=messages, tools=[WEATHER])
