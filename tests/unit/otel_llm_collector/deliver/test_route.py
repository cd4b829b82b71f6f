"""Splitting a request by attributes of its resources."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.route import routed


def parcel(*tenants: str) -> Parcel:
    request = ExportTraceServiceRequest()
    for number, tenant in enumerate(tenants):
        level = request.resource_spans.add()
        if tenant:
            level.resource.attributes.add(key="tenant").value.string_value = tenant
        level.scope_spans.add().spans.add(name=f"span-{number}")
    return Parcel(Signal.TRACES, request.SerializeToString(), len(tenants))


def test_each_value_leaves_in_a_request_of_its_own() -> None:
    """Spans stay with their value, each request says it in its header, and no span is lost."""
    parts = routed(parcel("a", "b", "a", ""), {"x-tenant": "tenant"})
    found = {}
    for part in parts:
        levels = ExportTraceServiceRequest.FromString(part.payload).resource_spans
        found[part.headers.get("x-tenant", "")] = [level.scope_spans[0].spans[0].name for level in levels]
        assert part.items == len(levels)
    assert found == {"a": ["span-0", "span-2"], "b": ["span-1"], "": ["span-3"]}


def test_one_value_keeps_the_bytes() -> None:
    """Nothing is rebuilt where there is nothing to split."""
    whole = parcel("a", "a")
    (part,) = routed(whole, {"x-tenant": "tenant"})
    assert part.payload is whole.payload
    assert part.headers == {"x-tenant": "a"}


def test_a_value_that_no_header_may_have_is_left_out() -> None:
    """Line breaks, other alphabets and endless text go to the destination's own tenant."""
    for value in ("a\r\nx: y", "größe", "x" * 300, "  "):
        (part,) = routed(parcel(value), {"x-tenant": "tenant"})
        assert part.headers == {}
