"""Finished spans in memory, for the helpers' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llm import content, guard
from otel_llm.sessions import SessionProcessor

_exporter = InMemorySpanExporter()


@pytest.fixture(scope="session", autouse=True)
def _provider() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SessionProcessor())
    provider.add_span_processor(SimpleSpanProcessor(_exporter))
    trace.set_tracer_provider(provider)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """`spans.get_finished_spans()`: what ended in this test."""
    _exporter.clear()
    content.configure("off", {})
    guard.forget()
    yield _exporter
    content.configure("off", {})
