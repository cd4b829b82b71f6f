# /// script
# dependencies = ["ollama", "opentelemetry-instrumentation-ollama"]
# [tool.record]
# dialect = "openllmetry"
# environment = "ollama"
# scenarios = ["ollama_chat", "ollama_stream", "ollama_tools"]
# ///
"""OpenLLMetry's instrumentation of Ollama's client."""

from ollama_scenarios import run
from opentelemetry.instrumentation.ollama import OllamaInstrumentor
from otlp import provider

OllamaInstrumentor().instrument(tracer_provider=provider())
run()
