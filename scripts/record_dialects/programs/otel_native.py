# /// script
# dependencies = ["openai", "opentelemetry-instrumentation-genai-openai"]
# [tool.record]
# dialect = "otel_current"
# scenarios = ["agent", "retrieval", "rerank"]
# ///
"""What OpenTelemetry has words for, with its own helper, and a rerank in ours: what the others are compared with."""

import json
import os
import sys

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

import openai
from opentelemetry import trace
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.util.genai.handler import TelemetryHandler
from opentelemetry.util.genai.types import RetrievalDocument
from otlp import provider
from words import AGENT_QUESTION, DOCUMENTS, POPULATION, POPULATION_TOOL, QUESTION, WEATHER, WEATHER_IS

made = provider()
OpenAIInstrumentor().instrument(tracer_provider=made)
handler = TelemetryHandler(tracer_provider=made)
ANSWERS = {"get_weather": WEATHER_IS, "get_population": POPULATION}


def agent() -> None:
    client = openai.OpenAI(max_retries=0)
    messages = [{"role": "user", "content": AGENT_QUESTION}]
    with handler.invoke_local_agent(agent_name="assistant"):
        while True:
            done = client.chat.completions.create(
                model="gpt-4o-mini", messages=messages, tools=[WEATHER, POPULATION_TOOL]
            )
            message = done.choices[0].message
            if not message.tool_calls:
                return
            call = message.tool_calls[0]
            function = {"name": call.function.name, "arguments": call.function.arguments}
            asked = [{"id": call.id, "type": "function", "function": function}]
            messages.append({"role": "assistant", "content": None, "tool_calls": asked})
            with handler.tool(call.function.name, tool_type="function", tool_call_id=call.id) as tool:
                tool.arguments = json.loads(call.function.arguments)
                answer = tool.tool_result = ANSWERS[call.function.name].format(**tool.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": answer})


def retrieval() -> None:
    with handler.retrieval() as found:
        found.query_text = QUESTION
        found.documents = [RetrievalDocument(id=name, score=score) for name, score, _ in DOCUMENTS]


def rerank() -> None:
    with trace.get_tracer("otel_llm").start_as_current_span("rerank") as span:
        ranked = sorted(DOCUMENTS, key=lambda one: -one[1])[:2]
        span.set_attribute("otel_llm.operation.name", "rerank")
        span.set_attribute("otel_llm.rerank.input_count", len(DOCUMENTS))
        span.set_attribute("otel_llm.rerank.output_count", len(ranked))
        span.set_attribute("otel_llm.rerank.top_n", 2)
        span.set_attribute("otel_llm.rerank.scores", [score for _, score, _ in ranked])


{"agent": agent, "retrieval": retrieval, "rerank": rerank}[sys.argv[1]]()
