"""Runs of experiments: what is read of their events, and what trackers make of words that nobody should send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otel_llm_collector.any_value import put
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.comet_said import said
from otel_llm_collector.deliver.runs import runs, tracker_name
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events

RUN, METRIC = events.OTEL_LLM_EXPERIMENT_RUN, events.OTEL_LLM_EXPERIMENT_METRICS
IDS = {attr.OTEL_LLM_EXPERIMENT_NAME: "sweep", attr.OTEL_LLM_EXPERIMENT_RUN_ID: "r1"}
LOSS = {attr.OTEL_LLM_EXPERIMENT_METRIC_NAME: "loss", attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE: 0.5}


def parcel(*records: tuple[str, dict[str, Any]]) -> Parcel:
    request = ExportLogsServiceRequest()
    out = request.resource_logs.add().scope_logs.add().log_records
    for number, (name, values) in enumerate(records, 1):
        record = out.add(event_name=name, time_unix_nano=number * 10**6)
        for key, value in values.items():
            put(record.attributes.add(key=key).value, value)
    return Parcel(Signal.LOGS, request.SerializeToString(), len(records))


def test_a_run_is_what_its_events_say_together() -> None:
    """Later words win, tags and notes add up, other runs and other events stay apart."""
    first = {attr.OTEL_LLM_EXPERIMENT_PARAMETERS: '{"lr": 1, "n": 2}', attr.OTEL_LLM_EXPERIMENT_TAGS: ["a"]}
    last = {attr.OTEL_LLM_EXPERIMENT_PARAMETERS: '{"lr": 3}', attr.OTEL_LLM_EXPERIMENT_STATUS: "failed"}
    other = {**IDS, attr.OTEL_LLM_EXPERIMENT_RUN_ID: "r2"}
    found, unusable = runs(parcel((RUN, IDS | first), (METRIC, other | LOSS), ("else", IDS), (RUN, IDS | last)))
    assert unusable == 0
    one, two = found
    assert (one.run_id, one.parameters, one.tags) == ("r1", {"lr": 3, "n": 2}, ["a"])
    assert (one.status, one.is_over, one.first_ms, one.last_ms) == ("failed", True, 1, 4)
    assert [(metric.name, metric.value, metric.step) for metric in two.metrics] == [("loss", 0.5, None)]


@pytest.mark.parametrize(
    "values",
    [
        {**LOSS},
        {**IDS, attr.OTEL_LLM_EXPERIMENT_METRIC_NAME: "loss"},
        {**IDS, **LOSS, attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE: "high"},
        {**IDS, **LOSS, attr.OTEL_LLM_EXPERIMENT_RUN_ID: "x" * 1000},
    ],
)
def test_an_event_that_says_nothing_usable_is_counted(values: dict[str, Any]) -> None:
    """The events beside it are read."""
    found, unusable = runs(parcel((METRIC, values), (METRIC, IDS | LOSS)))
    assert (len(found), unusable) == (1, 1)


@pytest.mark.parametrize("text", ["[1]", "{broken", "[" * 100_000, '{"a": NaN, "b": "\\ud800", "c": {"d": 1}}'])
def test_parameters_of_any_form_become_json_or_nothing(text: str) -> None:
    """What Comet is told can be written as strict JSON in UTF-8, whatever stood in the event."""
    (run,), _ = runs(parcel((RUN, IDS | {attr.OTEL_LLM_EXPERIMENT_PARAMETERS: text})))
    assert json.dumps(said(run, "", "").parameters, allow_nan=False).encode()


@pytest.mark.parametrize(("name", "there"), [("eval/loss", "eval/loss"), ("a[b]{c}", "a_b__c_"), ("", "_"), ("ü", "_")])
def test_names_have_what_every_tracker_takes(name: str, there: str) -> None:
    """MLflow refuses a whole request for one other character."""
    assert tracker_name(name) == there
