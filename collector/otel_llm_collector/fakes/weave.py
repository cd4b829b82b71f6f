"""W&B Weave."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.fakes.server import FakeServer, Refused, Request, otlp_spans


class FakeWeave(FakeServer):
    """W&B Weave's OTLP intake, after W&B's documentation: protobuf only, key and project required."""

    def __init__(self, api_key: str) -> None:
        super().__init__()
        self._api_key = api_key
        self.spans: dict[tuple[str, str], list[Any]] = {}  # by entity and project

    def answer(self, request: Request) -> tuple[int, Any]:
        """See the class."""
        if (request.method, request.path) not in {("POST", "/agents/otel/v1/traces"), ("POST", "/otel/v1/traces")}:
            raise Refused(404, f"no {request.method} {request.path}")
        if request.headers.get("wandb-api-key") != self._api_key:
            raise Refused(401, "Unauthorized")
        otlp_spans(request)
        for level in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            values = {one.key: one.value.string_value for one in level.resource.attributes}
            if not values.get("wandb.entity") or not values.get("wandb.project"):
                raise Refused(400, "wandb.entity and wandb.project are required")
            found = self.spans.setdefault((values["wandb.entity"], values["wandb.project"]), [])
            found += [span for scope in level.scope_spans for span in scope.spans]
        return 200, None
