"""Writes `src/wire/schema.rs`: which OTLP fields are text, numbers and messages, from `opentelemetry-proto`.

`python collector/native/schema.py` after `opentelemetry-proto` changed; a test compares.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TARGET = Path(__file__).parent / "src/wire/schema.rs"
ROOTS = (ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest)

_HEAD = """\
//! Which OTLP fields are text, numbers and messages. Written by `schema.py` from `opentelemetry-proto`.

/// What stands in a field. `Unknown` fields are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unknown,
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    Text,
    PackedVarint,
    PackedFixed64,
    Message(&'static Message),
}

/// The fields of a message by their number.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub fields: &'static [Kind],
}
"""
_WIRE = {
    FieldDescriptor.TYPE_STRING: "Text",
    FieldDescriptor.TYPE_BYTES: "Bytes",
    FieldDescriptor.TYPE_DOUBLE: "Fixed64",
    FieldDescriptor.TYPE_FIXED64: "Fixed64",
    FieldDescriptor.TYPE_SFIXED64: "Fixed64",
    FieldDescriptor.TYPE_FIXED32: "Fixed32",
    FieldDescriptor.TYPE_BOOL: "Varint",
    FieldDescriptor.TYPE_INT32: "Varint",
    FieldDescriptor.TYPE_INT64: "Varint",
    FieldDescriptor.TYPE_UINT32: "Varint",
    FieldDescriptor.TYPE_UINT64: "Varint",
    FieldDescriptor.TYPE_SINT32: "Varint",
    FieldDescriptor.TYPE_ENUM: "Varint",
}


def rust() -> str:
    """The file's text."""
    messages: dict[str, Descriptor] = {}
    for root in ROOTS:
        _collect(root.DESCRIPTOR, messages)
    return "\n".join([_HEAD, *(_message(one) for _, one in sorted(messages.items()))])


def _collect(message: Descriptor, found: dict[str, Descriptor]) -> None:
    if _name(message) not in found:
        found[_name(message)] = message
        for field in message.fields:
            if field.message_type is not None:
                _collect(field.message_type, found)


def _name(message: Descriptor) -> str:
    words = message.full_name.rpartition(".v1.")[2].replace(".", "")
    return "".join("_" + letter if letter.isupper() else letter for letter in words).strip("_").upper()


def _message(message: Descriptor) -> str:
    by_number = {field.number: field for field in message.fields}
    lines = [f"pub static {_name(message)}: Message = Message {{", "    fields: &["]
    for number in range(max(by_number) + 1):
        field = by_number.get(number)
        if field is not None:
            lines.append(f"        // {field.name}")
        lines.append(f"        {_kind(field)},")
    return "\n".join([*lines, "    ],", "};", ""])


def _kind(field: FieldDescriptor | None) -> str:
    if field is None:
        return "Kind::Unknown"
    if field.message_type is not None:
        return f"Kind::Message(&{_name(field.message_type)})"
    kind = _WIRE[field.type]
    return f"Kind::Packed{kind}" if field.is_packed else f"Kind::{kind}"


if __name__ == "__main__":
    TARGET.write_text(rust(), encoding="utf-8")
