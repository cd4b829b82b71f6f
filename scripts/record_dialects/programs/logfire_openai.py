# /// script
# dependencies = ["logfire", "openai"]
# [tool.record]
# dialect = "pydantic_ai"
# environment = "logfire"
# scenarios = [
#   "chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning",
#   "responses", "responses_stream", "responses_tools",
# ]
# sets = ["session", "user"]
# ///
"""Logfire's own instrumentation of the openai client."""

import logfire  # sends to OTEL_EXPORTER_OTLP_ENDPOINT
from openai_scenarios import run

logfire.configure(
    send_to_logfire=False,
    console=False,
    inspect_arguments=False,
    service_name="recorded",
    metrics=False,
    scrubbing=False,  # it takes anything named session for a secret
)
logfire.instrument_openai()
with logfire.set_baggage(session_id="session-1", user_id="user-1"):
    run()
