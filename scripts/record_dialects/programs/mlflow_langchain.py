# /// script
# dependencies = ["mlflow-tracing", "langchain", "langchain-openai"]
# [tool.record]
# dialect = "mlflow"
# environment = "mlflow_langchain"
# scenarios = ["chat", "chat_stream", "cached_reasoning", "agent", "retrieval"]
# ///
"""MLflow's tracing of LangChain."""

import os

os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT") + "/v1/traces"
os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"

import mlflow
from langchain_scenarios import run

mlflow.langchain.autolog()
run()
mlflow.flush_trace_async_logging()
