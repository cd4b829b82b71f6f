# /// script
# dependencies = [
#   "openai<2", "httpx<0.28", "opentelemetry-instrumentation-openai-v2==2.1b0", "opentelemetry-sdk==1.36.0",
# ]
# [tool.record]
# dialect = "core_1_36"
# scenarios = ["chat", "chat_stream", "tools", "error", "cached_reasoning"]
# ///
"""OpenTelemetry's earlier instrumentation of the openai client, with the conventions up to 1.36."""

import os

os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"

from openai_scenarios import run
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk._events import EventLoggerProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from otlp import provider

logs = LoggerProvider()
logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
set_logger_provider(logs)
OpenAIInstrumentor().instrument(tracer_provider=provider(), event_logger_provider=EventLoggerProvider(logs))
run()
