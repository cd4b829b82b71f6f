"""A plain OpenTelemetry set-up for the programs: every span and log record goes out over OTLP/HTTP."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


def provider() -> TracerProvider:
    """The global tracer provider, which sends each span as it ends."""
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(made)
    return made
