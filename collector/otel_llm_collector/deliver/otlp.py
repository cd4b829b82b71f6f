"""OTLP requests seen from the sending side: the names of their levels, and what an answer says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_llm_collector.contract import Receipt, Signal


@dataclass(frozen=True, slots=True)
class Shape:
    """A signal's request and response classes and the names of its three levels."""

    request: type[Message]
    response: type[Message]
    resources: str
    scopes: str
    items: str
    rejected: str
    service: str


SHAPES = {
    Signal.TRACES: Shape(
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
        "resource_spans",
        "scope_spans",
        "spans",
        "rejected_spans",
        "opentelemetry.proto.collector.trace.v1.TraceService",
    ),
    Signal.METRICS: Shape(
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
        "resource_metrics",
        "scope_metrics",
        "metrics",
        "rejected_data_points",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
    ),
    Signal.LOGS: Shape(
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
        "resource_logs",
        "scope_logs",
        "log_records",
        "rejected_log_records",
        "opentelemetry.proto.collector.logs.v1.LogsService",
    ),
}


def receipt(signal: Signal, response: Message) -> Receipt:
    """What a backend's OTLP response says."""
    partial = response.partial_success  # type: ignore[attr-defined]
    return Receipt(getattr(partial, SHAPES[signal].rejected), partial.error_message)


def walk(request: Any, shape: Shape) -> Iterator[tuple[Any, Any, Any]]:
    """Every item of `request` with the resource level and the scope level above it."""
    for resource in getattr(request, shape.resources):
        for scope in getattr(resource, shape.scopes):
            for item in getattr(scope, shape.items):
                yield resource, scope, item


def count(signal: Signal, item: Any) -> int:
    """Items in the sense of the counters: a metric counts its points."""
    if signal is not Signal.METRICS:
        return 1
    kind = item.WhichOneof("data")
    return len(getattr(item, kind).data_points) if kind else 0
