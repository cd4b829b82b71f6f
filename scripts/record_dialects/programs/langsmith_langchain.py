# /// script
# dependencies = ["langsmith[otel]", "langchain", "langchain-openai"]
# [tool.record]
# dialect = "langsmith"
# environment = "langsmith_langchain"
# scenarios = ["chat", "chat_stream", "cached_reasoning", "agent", "retrieval"]
# sets = ["session", "user"]
# ///
"""LangChain's own tracing, sent by LangSmith's OpenTelemetry exporter."""

import os

os.environ["LANGSMITH_TRACING"] = "true"
os.environ["LANGSMITH_OTEL_ENABLED"] = "true"
os.environ["LANGSMITH_OTEL_ONLY"] = "true"
os.environ["LANGSMITH_API_KEY"] = "none"

from langchain_core.tracers.langchain import wait_for_all_tracers
from langchain_scenarios import run
from otlp import provider

made = provider()
run({"metadata": {"session_id": "session-1", "user_id": "user-1"}})
wait_for_all_tracers()
made.force_flush()
