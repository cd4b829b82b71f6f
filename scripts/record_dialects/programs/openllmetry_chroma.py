# /// script
# dependencies = ["chromadb", "opentelemetry-instrumentation-chromadb"]
# [tool.record]
# dialect = "openllmetry"
# environment = "chroma"
# scenarios = ["retrieval"]
# ///
"""OpenLLMetry's instrumentation of Chroma."""

from chroma_scenarios import run
from opentelemetry.instrumentation.chromadb import ChromaInstrumentor
from otlp import provider

ChromaInstrumentor().instrument(tracer_provider=provider())
run()
