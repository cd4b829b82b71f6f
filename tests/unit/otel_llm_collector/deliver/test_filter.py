"""Filters: what a destination gets of each signal."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.filter import Filter, FilterSettings
from otel_llm_collector.deliver.otlp import SHAPES, walk
from otel_llm_semconv import attributes as attr
from pydantic import ValidationError


def traces() -> Parcel:
    """Two services with a chat and a retrieval each, one chat of another model that failed."""
    request = ExportTraceServiceRequest()
    for service in ("shop", "search"):
        resource = request.resource_spans.add()
        resource.resource.attributes.add(key=attr.SERVICE_NAME).value.string_value = service
        scope = resource.scope_spans.add()
        chat = scope.spans.add(name=f"{service} chat")
        chat.attributes.add(key=attr.GEN_AI_OPERATION_NAME).value.string_value = "chat"
        chat.attributes.add(key=attr.GEN_AI_REQUEST_MODEL).value.string_value = "gpt-4o-mini"
        retrieval = scope.spans.add(name=f"{service} retrieval")
        retrieval.attributes.add(key=attr.GEN_AI_OPERATION_NAME).value.string_value = "retrieval"
        retrieval.attributes.add(key="hits").value.int_value = 7
    failed = scope.spans.add(name="search failed")
    failed.attributes.add(key=attr.GEN_AI_OPERATION_NAME).value.string_value = "chat"
    failed.attributes.add(key=attr.GEN_AI_RESPONSE_MODEL).value.string_value = "claude-sonnet-4"
    failed.attributes.add(key="retried").value.bool_value = True
    failed.attributes.add(key="tags").value.array_value.values.add(string_value="vip")
    return Parcel(Signal.TRACES, request.SerializeToString(), 5)


def left(parcel: Parcel, **settings: Any) -> list[str]:
    """The names of the items that pass, after a check of their count."""
    result = Filter(FilterSettings.model_validate(settings)).apply(parcel)
    shape = SHAPES[parcel.signal]
    request = shape.request.FromString(result.payload)
    names = [item.event_name if parcel.signal is Signal.LOGS else item.name for _, _, item in walk(request, shape)]
    if parcel.signal is not Signal.METRICS:
        assert len(names) == result.items
    assert all(getattr(level, shape.scopes) for level in getattr(request, shape.resources)), "an empty level is left"
    return names


ALL = ["shop chat", "shop retrieval", "search chat", "search retrieval", "search failed"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ALL),
        ({"include": {"service": "shop"}}, ALL[:2]),
        ({"exclude": {"service": "shop"}}, ALL[2:]),
        ({"include": {"service": ["shop", "search"], "operation": "chat"}}, [ALL[0], ALL[2], ALL[4]]),
        ({"include": {"model": "gpt-4*"}}, [ALL[0], ALL[2]]),
        ({"include": {"model": ["claude-sonnet-4"]}}, ALL[4:]),
        ({"include": [{"model": "claude-*"}, {"operation": "retrieval", "service": "shop"}]}, [ALL[1], ALL[4]]),
        ({"include": {"operation": "chat"}, "exclude": {"model": "gpt-*", "service": "search"}}, [ALL[0], ALL[4]]),
        ({"include": {"attributes": {"hits": 7}}}, [ALL[1], ALL[3]]),
        ({"include": {"attributes": {"retried": True}}}, ALL[4:]),
        ({"include": {"attributes": {"tags": "vip"}}}, ALL[4:]),
        ({"include": {"attributes": {"tags": "*"}}}, ALL[4:]),
        ({"exclude": {"attributes": {"hits": "*"}}}, [ALL[0], ALL[2], ALL[4]]),
        ({"include": {"service": "nobody"}}, []),
        ({"include": {"service": "shop", "model": "claude-*"}}, []),
        ({"include": {"signals": ["traces"]}}, ALL),
        ({"include": {"signals": ["logs"]}}, []),
        ({"exclude": {"signals": ["logs"]}}, ALL),
    ],
    ids=str,
)
def test_spans_pass_as_the_settings_say(settings: Any, names: list[str]) -> None:
    """Options of one selection hold together, selections of a list one by one, exclusion beats inclusion."""
    assert left(traces(), **settings) == names


def test_what_passes_whole_keeps_its_bytes() -> None:
    """A request in which everything is wanted is handed on as it is; where no word occurs it is not even parsed."""
    parcel = traces()
    assert Filter(FilterSettings.model_validate({"include": {"service": "s*"}})).apply(parcel) is parcel
    unreadable = Parcel(Signal.TRACES, b"\xff not protobuf", 3)
    assert Filter(FilterSettings.model_validate({"exclude": {"service": "shop"}})).apply(unreadable) is unreadable
    assert Filter(FilterSettings.model_validate({"include": {"service": "shop"}})).apply(unreadable).items == 0


def test_metric_points_and_log_records_pass_by_their_own_attributes() -> None:
    """Of a metric the points that are meant stay; log records go by theirs; a metric without points goes."""
    metrics = ExportMetricsServiceRequest()
    scope = metrics.resource_metrics.add().scope_metrics.add()
    for name, models in (("mixed", ["a", "b", "a"]), ("other", ["b"])):
        metric = scope.metrics.add(name=name)
        for model in models:
            metric.sum.data_points.add().attributes.add(key=attr.GEN_AI_REQUEST_MODEL).value.string_value = model
    parcel = Parcel(Signal.METRICS, metrics.SerializeToString(), 4)
    assert left(parcel, include={"model": "a"}) == ["mixed"]
    assert Filter(FilterSettings.model_validate({"include": {"model": "a"}})).apply(parcel).items == 2

    logs = ExportLogsServiceRequest()
    records = logs.resource_logs.add().scope_logs.add().log_records
    records.add(event_name="kept")
    records.add(event_name="noise").attributes.add(key="level").value.string_value = "debug"
    parcel = Parcel(Signal.LOGS, logs.SerializeToString(), 2)
    assert left(parcel, exclude={"signals": ["logs"], "attributes": {"level": "debug"}}) == ["kept"]


@pytest.mark.parametrize("wrong", [{"include": []}, {"include": {"service": []}}, {"exclude": {"modle": "x"}}])
def test_settings_that_mean_nothing_are_refused(wrong: Any) -> None:
    """An empty list, which would silently send nothing, and unknown words are errors."""
    with pytest.raises(ValidationError):
        FilterSettings.model_validate(wrong)
