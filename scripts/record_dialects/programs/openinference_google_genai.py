# /// script
# dependencies = ["google-genai", "openinference-instrumentation-google-genai"]
# [tool.record]
# dialect = "openinference"
# environment = "google_genai"
# scenarios = ["google_chat", "google_stream", "google_tools"]
# ///
"""OpenInference's instrumentation of Google's client."""

from google_scenarios import run
from openinference.instrumentation.google_genai import GoogleGenAIInstrumentor
from otlp import provider

GoogleGenAIInstrumentor().instrument(tracer_provider=provider())
run()
