"""Log records that are events of certain names: what backends take of the logs over an API of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otel_llm_collector.contract import Parcel


def event_name(record: Any) -> str:
    """The name of the event that a log record is; older senders put it into an attribute. Empty when it is none."""
    if record.event_name:
        return str(record.event_name)
    return next((str(one.value.string_value) for one in record.attributes if one.key == "event.name"), "")


def only_events(parcel: Parcel, names: frozenset[str]) -> Parcel | None:
    """`parcel` of logs with nothing but events of these names; None when it has none."""
    if not any(name.encode() in parcel.payload for name in names):
        return None
    request = ExportLogsServiceRequest.FromString(parcel.payload)
    items = 0
    for level in request.resource_logs:
        for scope in level.scope_logs:
            kept = [record for record in scope.log_records if event_name(record) in names]
            if len(kept) < len(scope.log_records):
                del scope.log_records[:]
                scope.log_records.extend(kept)
            items += len(kept)
    return replace(parcel, payload=request.SerializeToString(), items=items) if items else None
