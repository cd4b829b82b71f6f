# /// script
# dependencies = [
#   "openai>=1.92,<3", "opentelemetry-sdk==1.44.0", "opentelemetry-exporter-otlp==1.44.0",
#   "opentelemetry-instrumentation==0.65b0", "requests", "schedule", "xmltodict", "chromadb",
# ]
# [tool.record]
# dialect = "openlit"
# environment = "openlit_chroma"
# without_dependencies = ["openlit==1.45.0"]  # its full list does not resolve today
# scenarios = ["retrieval"]
# ///
"""OpenLIT's instrumentation of Chroma."""

import openlit
from chroma_scenarios import run

openlit.init(application_name="recorded", disable_metrics=True, disable_batch=True, collect_system_metrics=False)
run()
