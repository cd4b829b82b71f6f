# /// script
# dependencies = ["openai", "openinference-instrumentation-openai"]
# [tool.record]
# dialect = "openinference"
# scenarios = [
#   "chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning",
#   "responses", "responses_stream", "responses_tools",
# ]
# sets = ["session", "user"]
# ///
"""OpenInference's instrumentation of the openai client."""

from openai_scenarios import run
from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor
from otlp import provider

OpenAIInstrumentor().instrument(tracer_provider=provider())
with using_attributes(session_id="session-1", user_id="user-1", tags=["beta"]):
    run()
