# /// script
# dependencies = ["google-genai<3", "opentelemetry-instrumentation-google-genai"]
# [tool.record]
# dialect = "otel_current"
# environment = "google_genai_2"
# scenarios = ["google_chat", "google_stream", "google_tools"]
# ///
"""OpenTelemetry's own instrumentation of Google's client."""

import os

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

from google_scenarios import run
from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor
from otlp import provider

GoogleGenAiSdkInstrumentor().instrument(tracer_provider=provider())
run()
