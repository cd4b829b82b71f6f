"""What OTLP over gRPC and over HTTP have in common: the services, and the answers."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_llm_collector.contract import Reject, Signal

Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
Response = ExportTraceServiceResponse | ExportMetricsServiceResponse | ExportLogsServiceResponse

GRPC_SERVICES = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
HTTP_PATHS = {f"/v1/{signal}": signal for signal in Signal}

_MAX_MESSAGE_CHARS = 2000


def answer(signal: Signal, rejects: Sequence[Reject]) -> Response:
    """The OTLP response to a request of which `rejects` were refused: partial success, or empty when all was kept."""
    refused = sum(reject.count for reject in rejects)
    message = "; ".join(f"{reject.count} x {reject.message}" for reject in rejects)[:_MAX_MESSAGE_CHARS]
    if signal is Signal.TRACES:
        traces = ExportTraceServiceResponse()
        if rejects:
            traces.partial_success.rejected_spans = refused
            traces.partial_success.error_message = message
        return traces
    if signal is Signal.METRICS:
        metrics = ExportMetricsServiceResponse()
        if rejects:
            metrics.partial_success.rejected_data_points = refused
            metrics.partial_success.error_message = message
        return metrics
    logs = ExportLogsServiceResponse()
    if rejects:
        logs.partial_success.rejected_log_records = refused
        logs.partial_success.error_message = message
    return logs
