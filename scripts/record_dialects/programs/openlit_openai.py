# /// script
# dependencies = [
#   "openai>=1.92,<3", "opentelemetry-sdk==1.44.0", "opentelemetry-exporter-otlp==1.44.0",
#   "opentelemetry-instrumentation==0.65b0", "requests", "schedule", "xmltodict",
# ]
# [tool.record]
# dialect = "openlit"
# environment = "openlit"
# without_dependencies = ["openlit==1.45.0"]  # its full list does not resolve today
# scenarios = [
#   "chat", "chat_stream", "tools", "multimodal", "embeddings", "error", "cached_reasoning",
#   "responses", "responses_stream", "responses_tools",
# ]
# sets = ["session", "user"]
# ///
"""OpenLIT's instrumentation of the openai client."""

import openlit
from openai_scenarios import run

openlit.init(application_name="recorded", disable_metrics=True, disable_batch=True, collect_system_metrics=False)
with openlit.using_attributes({"session.id": "session-1", "user.id": "user-1"}):
    run()
