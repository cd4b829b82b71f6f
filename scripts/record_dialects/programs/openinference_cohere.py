# /// script
# dependencies = ["cohere", "openinference-instrumentation-cohere"]
# [tool.record]
# dialect = "openinference"
# environment = "cohere"
# scenarios = ["cohere_chat", "cohere_rerank"]
# ///
"""OpenInference's instrumentation of Cohere's client."""

from cohere_scenarios import run
from openinference.instrumentation.cohere import CohereInstrumentor
from otlp import provider

CohereInstrumentor().instrument(tracer_provider=provider())
run()
