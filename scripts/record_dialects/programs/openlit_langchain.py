# /// script
# dependencies = [
#   "openai>=1.92,<3", "opentelemetry-sdk==1.44.0", "opentelemetry-exporter-otlp==1.44.0",
#   "opentelemetry-instrumentation==0.65b0", "requests", "schedule", "xmltodict", "langchain", "langchain-openai",
# ]
# [tool.record]
# dialect = "openlit"
# environment = "openlit_langchain"
# without_dependencies = ["openlit==1.45.0"]  # its full list does not resolve today
# scenarios = ["chat", "chat_stream", "agent", "retrieval"]
# sets = ["session", "user"]
# ///
"""OpenLIT's instrumentation of LangChain."""

import openlit
from langchain_scenarios import run

openlit.init(application_name="recorded", disable_metrics=True, disable_batch=True, collect_system_metrics=False)
with openlit.using_attributes({"session.id": "session-1", "user.id": "user-1"}):
    run()
