"""Requests are cut between items; nothing is lost, repeated, or torn from its resource."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.otlp import SHAPES, walk
from otel_llm_collector.deliver.split import halves, split

LIMIT = 2000

# resources, each with scopes, each with the sizes of its spans
TREES = st.lists(st.lists(st.lists(st.integers(0, 1500), max_size=8), max_size=3), max_size=4)


def build(tree: list[list[list[int]]]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    number = 0
    for r, scopes in enumerate(tree):
        resource = request.resource_spans.add(schema_url="https://example.test/schema")
        resource.resource.attributes.add(key="service.name").value.string_value = f"service-{r}"
        for s, sizes in enumerate(scopes):
            scope = resource.scope_spans.add()
            scope.scope.name = f"scope-{s}"
            for size in sizes:
                number += 1
                scope.spans.add(name=f"{number}:" + "x" * size)
    return request


def flat(request: Any, signal: Signal) -> list[tuple[bytes, bytes, bytes]]:
    """Every item with what stands above it."""
    return [
        (resource.resource.SerializeToString(), scope.scope.SerializeToString(), item.SerializeToString())
        for resource, scope, item in walk(request, SHAPES[signal])
    ]


@given(TREES)
def test_pieces_hold_exactly_the_spans_of_the_whole(tree: list[list[list[int]]]) -> None:
    """Each piece is small enough; together they hold the same spans under the same resources and scopes, in order."""
    request = build(tree)
    items = len(flat(request, Signal.TRACES))
    pieces, too_large = split(Parcel(Signal.TRACES, request.SerializeToString(), items), LIMIT)
    assert not too_large
    assert all(len(piece.payload) <= LIMIT for piece in pieces)
    assert sum(piece.items for piece in pieces) == items
    together = [
        one for piece in pieces for one in flat(ExportTraceServiceRequest.FromString(piece.payload), Signal.TRACES)
    ]
    assert together == flat(request, Signal.TRACES)


def test_a_small_request_is_handed_on_as_it_is() -> None:
    """Below the limit the very same bytes go on, unparsed."""
    parcel = Parcel(Signal.TRACES, b"not even protobuf", 1)
    pieces, too_large = split(parcel, LIMIT)
    assert pieces == [parcel] and pieces[0] is parcel
    assert not too_large


def test_one_span_that_is_too_large_alone_goes_alone() -> None:
    """It is counted, and its neighbours are kept."""
    request = build([[[10, 5000, 10]]])
    pieces, too_large = split(Parcel(Signal.TRACES, request.SerializeToString(), 3), LIMIT)
    assert [parcel.items for parcel in too_large] == [1]
    assert sum(piece.items for piece in pieces) == 2


@given(st.integers(2, 400))
def test_a_large_metric_is_cut_between_its_points(points: int) -> None:
    """A metric over the limit becomes several of the same name with some points each, in order."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m", unit="s")
    metric.sum.is_monotonic = True
    for number in range(points):
        metric.sum.data_points.add(as_int=number, time_unix_nano=number)
    pieces, too_large = split(Parcel(Signal.METRICS, request.SerializeToString(), points), 1024)
    assert not too_large
    assert all(len(piece.payload) <= 1024 for piece in pieces)
    parts = [
        item
        for piece in pieces
        for _, _, item in walk(ExportMetricsServiceRequest.FromString(piece.payload), SHAPES[Signal.METRICS])
    ]
    assert {(part.name, part.unit, part.sum.is_monotonic) for part in parts} == {("m", "s", True)}
    assert [point.as_int for part in parts for point in part.sum.data_points] == list(range(points))
    assert sum(piece.items for piece in pieces) == points


@given(TREES)
def test_halves_hold_exactly_the_items_of_the_whole(tree: list[list[list[int]]]) -> None:
    """Two parts that differ by one item at most, in order, under the same resources and scopes."""
    request = build(tree)
    whole = flat(request, Signal.TRACES)
    parts = halves(Parcel(Signal.TRACES, request.SerializeToString(), len(whole)))
    together = [
        one for part in parts for one in flat(ExportTraceServiceRequest.FromString(part.payload), Signal.TRACES)
    ]
    assert together == whole
    assert [part.items for part in parts] == [n for n in ((len(whole) + 1) // 2, len(whole) // 2) if n]


def test_a_single_metric_is_halved_between_its_points() -> None:
    """A request of one metric with five points becomes two with three and two of them."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    for number in range(5):
        metric.gauge.data_points.add(as_int=number)
    parts = halves(Parcel(Signal.METRICS, request.SerializeToString(), 5))
    assert sorted(part.items for part in parts) == [2, 3]
    points = [
        point.as_int
        for part in parts
        for _, _, one in walk(ExportMetricsServiceRequest.FromString(part.payload), SHAPES[Signal.METRICS])
        for point in one.gauge.data_points
    ]
    assert points == [0, 1, 2, 3, 4]
