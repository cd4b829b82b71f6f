# /// script
# dependencies = ["google-genai", "opentelemetry-instrumentation-google-generativeai"]
# [tool.record]
# dialect = "openllmetry"
# environment = "google_genai"
# scenarios = ["google_chat", "google_stream", "google_tools"]
# ///
"""OpenLLMetry's instrumentation of Google's client."""

from google_scenarios import run
from opentelemetry.instrumentation.google_generativeai import GoogleGenerativeAiInstrumentor
from otlp import provider

GoogleGenerativeAiInstrumentor().instrument(tracer_provider=provider())
run()
