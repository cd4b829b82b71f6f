"""The salvage walk keeps what can be kept and never does more than refuse what is broken."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.engine.wire import fields, salvage
from otel_llm_collector.errors import MalformedRequest


def request_of(names: list[str]) -> bytes:
    """A request with spans of these names."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for name in names:
        scope.spans.add(trace_id=bytes(range(16)), name=name)
    return request.SerializeToString()


@given(st.lists(st.text(max_size=10), max_size=6))
def test_fields_rebuild_the_message(names: list[str]) -> None:
    """The fields of any real request, put together again, are the request."""
    request = request_of(names)
    assert b"".join(field for _, field in fields(request)) == request


@given(st.lists(st.sampled_from(["good", "BAD"]), max_size=8))
def test_only_refused_items_go(names: list[str]) -> None:
    """Exactly the refused items are missing, the others are in order."""
    rest, dropped = salvage(request_of(names), lambda item: b"BAD" not in item, lambda _: True)
    assert dropped == names.count("BAD")
    kept = [span.name for one in ExportTraceServiceRequest.FromString(rest).resource_spans
            for scope in one.scope_spans for span in scope.spans]  # fmt: skip
    assert kept == [name for name in names if name == "good"]


@given(st.binary(max_size=200))
def test_random_bytes_are_walked_or_refused(data: bytes) -> None:
    """Nothing but `MalformedRequest` ever comes out."""
    with contextlib.suppress(MalformedRequest):
        rest, dropped = salvage(data, lambda _: True, lambda _: True)
        assert dropped == 0
        assert len(rest) <= len(data)


def test_time_is_linear() -> None:
    """Ten times the bytes take about ten times the time, not a hundred times."""

    def seconds(spans: int) -> float:
        request = request_of(["x" * 20] * spans)
        started = time.process_time()
        salvage(request, lambda _: True, lambda _: True)
        return time.process_time() - started

    seconds(100)
    small = min(seconds(1000) for _ in range(5))
    assert min(seconds(10_000) for _ in range(3)) < 40 * small


def test_a_broken_envelope_is_malformed() -> None:
    """When the level around the spans cannot be read, there is nothing to keep."""
    with pytest.raises(MalformedRequest, match="resource or scope"):
        salvage(request_of(["a"]), lambda _: True, lambda _: False)
