# /// script
# dependencies = ["ollama", "openinference-instrumentation-ollama"]
# [tool.record]
# dialect = "openinference"
# environment = "ollama"
# scenarios = ["ollama_chat", "ollama_stream", "ollama_tools"]
# ///
"""OpenInference's instrumentation of Ollama's client."""

from ollama_scenarios import run
from openinference.instrumentation.ollama import OllamaInstrumentor
from otlp import provider

OllamaInstrumentor().instrument(tracer_provider=provider())
run()
