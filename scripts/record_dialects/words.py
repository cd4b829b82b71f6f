"""What is said in the scenarios: the same questions, contexts, tools and documents for every library."""

from __future__ import annotations

import base64

CONTEXT = (
    "You answer from the context.\n"
    "The OTLP receiver listens on port 4317 for gRPC.\n"
    "Over HTTP the default port of OTLP is 4318.\n"
    "A span describes one operation and its duration."
)
QUESTION = "Which port does OTLP use over HTTP?"
TOOL_QUESTION = "What is the weather in Lisbon?"
LONG_CONTEXT = (
    CONTEXT + "\n" + "\n".join(f"Fact number {number} is about nothing in particular." for number in range(30))
)
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n not a real picture").decode()

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
POPULATION_TOOL = {
    "type": "function",
    "function": {
        "name": "get_population",
        "description": "How many people live in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
AGENT_QUESTION = "What is the weather and how many people live in Lisbon?"
WEATHER_IS = "The weather in {city} is sunny, 24 degrees."
POPULATION = "About 550000 people live in {city}."
DOCUMENTS = [
    ("doc-2", 0.9, "Over HTTP the default port of OTLP is 4318."),
    ("doc-1", 0.5, "The OTLP receiver listens on port 4317 for gRPC."),
    ("doc-3", 0.1, "A span describes one operation and its duration."),
]
