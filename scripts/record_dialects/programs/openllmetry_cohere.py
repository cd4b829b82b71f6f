# /// script
# dependencies = ["cohere<6", "opentelemetry-instrumentation-cohere"]
# [tool.record]
# dialect = "openllmetry"
# environment = "cohere_5"
# scenarios = ["cohere_chat", "cohere_rerank"]
# ///
"""OpenLLMetry's instrumentation of Cohere's client."""

from cohere_scenarios import run
from opentelemetry.instrumentation.cohere import CohereInstrumentor
from otlp import provider

CohereInstrumentor().instrument(tracer_provider=provider())
run()
