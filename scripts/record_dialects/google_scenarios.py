"""The scenarios on Google's client, for every library that instruments it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from google import genai
from google.genai import types
from words import CONTEXT, QUESTION, TOOL_QUESTION, WEATHER, WEATHER_IS

MODEL = "gemini-2.5-flash"
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="The weather in a city.",
            parameters_json_schema=WEATHER["function"]["parameters"],
        )
    ]
)


def google_chat(client: genai.Client) -> None:
    config = types.GenerateContentConfig(
        system_instruction=CONTEXT, temperature=0.5, top_p=0.9, max_output_tokens=200, seed=7, stop_sequences=["END"]
    )
    client.models.generate_content(model=MODEL, contents=QUESTION, config=config)


def google_stream(client: genai.Client) -> None:
    config = types.GenerateContentConfig(system_instruction=CONTEXT)
    for _ in client.models.generate_content_stream(model=MODEL, contents=QUESTION, config=config):
        pass


def google_tools(client: genai.Client) -> None:
    config = types.GenerateContentConfig(tools=[TOOL])
    asked: list[Any] = [types.Content(role="user", parts=[types.Part(text=TOOL_QUESTION)])]
    first = client.models.generate_content(model=MODEL, contents=asked, config=config)
    call = first.candidates[0].content.parts[0].function_call
    result = types.Part.from_function_response(
        name=call.name, response={"result": WEATHER_IS.format(city=call.args["city"])}
    )
    asked += [first.candidates[0].content, types.Content(role="user", parts=[result])]
    client.models.generate_content(model=MODEL, contents=asked, config=config)


SCENARIOS: dict[str, Callable[[genai.Client], None]] = {
    one.__name__: one for one in (google_chat, google_stream, google_tools)
}


def run() -> None:
    """Run the scenario that the command line names."""
    options = types.HttpOptions(base_url=os.environ["MODEL_URL"])
    SCENARIOS[sys.argv[1]](genai.Client(api_key="none", http_options=options))
