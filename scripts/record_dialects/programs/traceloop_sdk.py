# /// script
# dependencies = [
#   "openai", "opentelemetry-instrumentation-openai==0.62.4", "aiohttp", "colorama", "cuid", "deprecated", "jinja2",
#   "opentelemetry-semantic-conventions-ai", "tenacity", "pydantic", "grpcio", "httpx",
#   "opentelemetry-instrumentation-logging", "opentelemetry-instrumentation-threading",
# ]
# [tool.record]
# dialect = "openllmetry"
# # It wants the instrumentation of every library there is, and an exporter whose versions take pip minutes to choose.
# without_dependencies = ["traceloop-sdk", "opentelemetry-exporter-otlp-proto-grpc"]
# scenarios = ["chat", "agent"]
# sets = ["session", "user"]
# also.traceloop_sdk_legacy.environment = "traceloop_sdk_legacy"
# also.traceloop_sdk_legacy.without_dependencies = ["traceloop-sdk==0.40.14"]
# also.traceloop_sdk_legacy.dependencies = [
#   "openai<2", "httpx<0.28", "opentelemetry-instrumentation-openai==0.40.14", "aiohttp", "colorama", "deprecated",
#   "jinja2", "pydantic", "opentelemetry-exporter-otlp-proto-grpc==1.36.0", "opentelemetry-sdk==1.36.0",
#   "opentelemetry-semantic-conventions-ai==0.4.9",
#   "tenacity", "posthog<4", "opentelemetry-instrumentation-logging", "opentelemetry-instrumentation-threading",
# ]
# ///
"""Traceloop's SDK: its decorators, its association properties, and OpenLLMetry's instrumentation of openai."""

import sys

import openai
import openai_scenarios
from openai_scenarios import AGENT_QUESTION, POPULATION, WEATHER_IS, agent_loop
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, task, tool, workflow

Traceloop.init(app_name="recorded", exporter=OTLPSpanExporter(), disable_batch=True, telemetry_enabled=False)
Traceloop.set_association_properties({"session_id": "session-1", "user_id": "user-1"})


@tool(name="get_weather")
def get_weather(city: str) -> str:
    return WEATHER_IS.format(city=city)


@tool(name="get_population")
def get_population(city: str) -> str:
    return POPULATION.format(city=city)


@agent(name="assistant")
def assistant(question: str) -> str:
    return agent_loop(openai.OpenAI(max_retries=0), question, [get_weather, get_population])


@task(name="prepare")
def prepare(question: str) -> str:
    return question.strip()


@workflow(name="travel")
def travel(question: str) -> str:
    return assistant(prepare(question))


if sys.argv[1] == "agent":
    travel(AGENT_QUESTION)
else:
    openai_scenarios.SCENARIOS[sys.argv[1]](openai.OpenAI(max_retries=0))
