"""OTLP/JSON becomes the same protobuf that a protobuf sender would have sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.errors import MalformedRequest
from otel_llm_collector.receive.otlp_json import to_protobuf

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"


def span(**changes: Any) -> dict[str, Any]:
    return {"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "chat", "startTimeUnixNano": "1", **changes}


def body(*spans: dict[str, Any]) -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "rag"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}).encode()


def decoded(request: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(request)


def test_ids_are_hex_and_numbers_may_be_strings_or_numbers() -> None:
    """The two ways of OTLP to write a 64-bit integer give the same span."""
    for number in ("1718000000000000000", 1718000000000000000):
        links = [{"traceId": TRACE_ID, "spanId": SPAN_ID}]
        request, rejects = to_protobuf(Signal.TRACES, body(span(startTimeUnixNano=number, kind=3, links=links)))
        [resource_spans] = decoded(request).resource_spans
        [one] = resource_spans.scope_spans[0].spans
        assert rejects == []
        assert one.trace_id.hex() == TRACE_ID
        assert one.links[0].span_id.hex() == SPAN_ID
        assert one.start_time_unix_nano == 1718000000000000000
        assert resource_spans.resource.attributes[0].value.string_value == "rag"


def test_a_bad_span_is_refused_and_its_neighbours_are_kept() -> None:
    """One span with a word where a number belongs costs only itself."""
    request, rejects = to_protobuf(Signal.TRACES, body(span(), span(startTimeUnixNano="soon"), span()))
    assert len(decoded(request).resource_spans[0].scope_spans[0].spans) == 2
    assert [(reject.reason, reject.count) for reject in rejects] == [("invalid_json_item", 1)]
    assert "soon" in rejects[0].message


def test_an_id_that_is_not_hex_keeps_a_wrong_length() -> None:
    """The engine refuses such a span by its length, so nothing here may repair it by accident."""
    request, rejects = to_protobuf(Signal.TRACES, body(span(traceId="not-hex-at-all!!")))
    assert rejects == []
    assert len(decoded(request).resource_spans[0].scope_spans[0].spans[0].trace_id) != 16


def test_unknown_keys_are_ignored() -> None:
    """OTLP: receivers ignore keys they do not know, at every level."""
    request, rejects = to_protobuf(Signal.TRACES, body(span(shinyNewField={"a": 1})))
    assert rejects == []
    assert decoded(request).resource_spans[0].scope_spans[0].spans[0].name == "chat"


def test_a_broken_utf8_byte_becomes_the_replacement_character() -> None:
    """One broken byte costs one character, not the request."""
    request, rejects = to_protobuf(Signal.TRACES, body(span(name="XX")).replace(b"XX", b"a\xff"))
    assert rejects == []
    assert decoded(request).resource_spans[0].scope_spans[0].spans[0].name == "a�"


def test_metrics_and_logs() -> None:
    """The other two signals are read, exemplar and record ids included."""
    exemplar = {"traceId": TRACE_ID, "spanId": SPAN_ID, "asDouble": 1.5, "timeUnixNano": "5"}
    point = {"timeUnixNano": "5", "asInt": "7", "exemplars": [exemplar]}
    metric = {"name": "m", "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True}}
    request, rejects = to_protobuf(
        Signal.METRICS, json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()
    )
    metrics = ExportMetricsServiceRequest.FromString(request)
    [read] = metrics.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points
    assert rejects == []
    assert (read.as_int, read.exemplars[0].trace_id.hex()) == (7, TRACE_ID)

    record = {"traceId": TRACE_ID, "body": {"stringValue": "hello"}, "severityNumber": 9}
    request, rejects = to_protobuf(
        Signal.LOGS, json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    )
    [log_record] = ExportLogsServiceRequest.FromString(request).resource_logs[0].scope_logs[0].log_records
    assert rejects == []
    assert (log_record.trace_id.hex(), log_record.body.string_value) == (TRACE_ID, "hello")


@pytest.mark.parametrize(
    "bad", [b"", b"{", b"[]", b"1", b"null", b'{"resourceSpans": 1}', b'{"resourceSpans": [1]}', b"[" * 100_000]
)
def test_what_is_no_such_request_is_malformed(bad: bytes) -> None:
    """Not JSON, not an object, or not the lists of OTLP: one clear sentence, whatever the nesting."""
    with pytest.raises(MalformedRequest):
        to_protobuf(Signal.TRACES, bad)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["traceId", "kind", "attributes", "events", "links", "status", "name"]), json_values
    )
)
def test_any_json_in_a_span_is_read_or_refused(changes: dict[str, Any]) -> None:
    """Whatever a field holds, the span is either kept or counted as refused."""
    try:
        request, rejects = to_protobuf(Signal.TRACES, body(span(**changes), span()))
    except MalformedRequest:
        pytest.fail("one span must not cost the request")
    kept = len(decoded(request).resource_spans[0].scope_spans[0].spans)
    assert kept + sum(reject.count for reject in rejects) == 2
