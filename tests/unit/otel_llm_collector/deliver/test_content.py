"""`content: drop` removes what people and models wrote and nothing else."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.content import without_content
from otel_llm_semconv import attributes as attr

FOREIGN = ["input.value", "llm.input_messages.0.message.content", "gen_ai.prompt.0.content"]


@pytest.mark.parametrize("key", [*sorted(attr.CONTENT), *FOREIGN])
def test_every_content_attribute_goes_from_spans_events_and_links(key: str) -> None:
    """What the registry, or another dialect, marks as content is removed at all three places, its neighbours stay."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="s")
    for place in (span, span.events.add(name="e"), span.links.add()):
        place.attributes.add(key="before").value.int_value = 1
        place.attributes.add(key=key).value.string_value = "secret"
        place.attributes.add(key="after").value.int_value = 2
    result = without_content(Signal.TRACES, request.SerializeToString())
    assert b"secret" not in result
    span = ExportTraceServiceRequest.FromString(result).resource_spans[0].scope_spans[0].spans[0]
    for place in (span, span.events[0], span.links[0]):
        assert [one.key for one in place.attributes] == ["before", "after"]


@pytest.mark.parametrize("named_by", ["event_name", "attribute"])
def test_bodies_of_genai_log_events_go(named_by: str) -> None:
    """A GenAI message event loses its body; other log records keep theirs."""
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    message = records.add()
    message.body.string_value = "secret"
    name = attr.GEN_AI_SYSTEM.removesuffix("system") + "user.message"
    if named_by == "event_name":
        message.event_name = name
    else:
        message.attributes.add(key="event.name").value.string_value = name
    records.add().body.string_value = "plain log line"
    result = without_content(Signal.LOGS, request.SerializeToString())
    first, second = ExportLogsServiceRequest.FromString(result).resource_logs[0].scope_logs[0].log_records
    assert not first.HasField("body")
    assert second.body.string_value == "plain log line"


def test_a_request_without_content_keeps_its_bytes() -> None:
    """Nothing is decoded or encoded when no content attribute occurs in the bytes."""
    payload = b"\xff not even protobuf"
    assert without_content(Signal.TRACES, payload) is payload
    assert without_content(Signal.METRICS, payload) is payload
