"""Runs of experiments: the `otel_llm.experiment.*` log events, as one small model that each tracker reads.

A run is known by its id; its events say parameters, tags, notes, status, metrics with their step, and references to
artifacts. Events may come again and in any order, so what trackers make of them is the same when they do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events

from otel_llm_collector.any_value import plain
from otel_llm_collector.contract import Parcel
from otel_llm_collector.deliver.events import event_name
from otel_llm_collector.deliver.otlp import SHAPES, walk

RUNS = frozenset(
    {
        events.OTEL_LLM_EXPERIMENT_RUN,
        events.OTEL_LLM_EXPERIMENT_METRICS,
        events.OTEL_LLM_EXPERIMENT_ARTIFACT,
    }
)
UNUSABLE = "events of experiments need an experiment, a run id, and a metric's name and number or an artifact's name"
_NANOS_PER_MS = 1_000_000
_MAX_ID_CHARACTERS = 250  # longer ids are nobody's
_OTHER = re.compile(r"[^A-Za-z0-9_\-. /]")


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of one step."""

    name: str
    value: float  # may be no finite number
    step: int | None
    epoch: float | None
    time_ms: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """A reference to what a run made or used; `details` has what is known of kind, uri, size and sha256."""

    name: str
    details: dict[str, str | int]


@dataclass(slots=True)
class Run:
    """What one parcel says of a run."""

    experiment: str
    run_id: str
    first_ms: int  # of the events seen
    last_ms: int
    name: str = ""
    status: str = ""
    tags: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.status not in ("", "running")


def runs(parcel: Parcel) -> tuple[list[Run], int]:
    """The runs that a parcel of logs speaks of, and how many of its events about runs say nothing usable."""
    shape = SHAPES[parcel.signal]
    found: dict[tuple[str, str], Run] = {}
    unusable = 0
    for _, _, record in walk(shape.request.FromString(parcel.payload), shape):
        name = event_name(record)
        if name in RUNS:
            values = {one.key: plain(one.value, bytes.hex) for one in record.attributes}
            time_ms = (record.time_unix_nano or record.observed_time_unix_nano) // _NANOS_PER_MS
            unusable += not _add(found, name, values, time_ms)
    return list(found.values()), unusable


def tracker_name(name: str) -> str:
    """`name` with the characters that all trackers take in names of metrics and parameters; others become _."""
    return _OTHER.sub("_", name)[:_MAX_ID_CHARACTERS] or "_"


def _add(found: dict[tuple[str, str], Run], event: str, values: Mapping[str, Any], time_ms: int) -> bool:
    """Add one event to its run; False when it says nothing usable."""
    key = (str(values.get(attr.OTEL_LLM_EXPERIMENT_NAME, "")), str(values.get(attr.OTEL_LLM_EXPERIMENT_RUN_ID, "")))
    metric = _metric(values, time_ms) if event == events.OTEL_LLM_EXPERIMENT_METRICS else None
    artifact = _artifact(values) if event == events.OTEL_LLM_EXPERIMENT_ARTIFACT else None
    says = metric or artifact or event == events.OTEL_LLM_EXPERIMENT_RUN
    if not all(key) or max(map(len, key)) > _MAX_ID_CHARACTERS or not says:
        return False
    run = found.setdefault(key, Run(*key, first_ms=time_ms, last_ms=time_ms))
    run.first_ms, run.last_ms = min(run.first_ms, time_ms), max(run.last_ms, time_ms)
    if metric:
        run.metrics.append(metric)
    elif artifact:
        run.artifacts.append(artifact)
    else:
        _describe(run, values)
    return True


def _describe(run: Run, values: Mapping[str, Any]) -> None:
    run.name = str(values.get(attr.OTEL_LLM_EXPERIMENT_RUN_NAME, "")) or run.name
    run.status = str(values.get(attr.OTEL_LLM_EXPERIMENT_STATUS, "")) or run.status
    tags = values.get(attr.OTEL_LLM_EXPERIMENT_TAGS)
    run.tags += [str(tag) for tag in tags if str(tag) not in run.tags] if isinstance(tags, list) else []
    if note := str(values.get(attr.OTEL_LLM_EXPERIMENT_NOTE, "")):
        run.notes.append(note)
    try:
        parameters = json.loads(values.get(attr.OTEL_LLM_EXPERIMENT_PARAMETERS, "{}"))
    except (TypeError, ValueError, RecursionError):
        parameters = None
    if isinstance(parameters, dict):
        run.parameters |= parameters


def _metric(values: Mapping[str, Any], time_ms: int) -> Metric | None:
    name, value = values.get(attr.OTEL_LLM_EXPERIMENT_METRIC_NAME), values.get(attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE)
    if not name or not isinstance(value, (int, float)):
        return None
    step, epoch = values.get(attr.OTEL_LLM_TRAINING_STEP), values.get(attr.OTEL_LLM_TRAINING_EPOCH)
    return Metric(
        str(name),
        float(value),
        step if isinstance(step, int) else None,
        float(epoch) if isinstance(epoch, (int, float)) else None,
        time_ms,
    )


def _artifact(values: Mapping[str, Any]) -> Artifact | None:
    name = str(values.get(attr.OTEL_LLM_ARTIFACT_NAME, ""))
    said = {
        "kind": values.get(attr.OTEL_LLM_ARTIFACT_KIND),
        "uri": values.get(attr.OTEL_LLM_ARTIFACT_URI),
        "size": values.get(attr.OTEL_LLM_ARTIFACT_SIZE),
        "sha256": values.get(attr.OTEL_LLM_ARTIFACT_SHA256),
    }
    return Artifact(name, {key: value for key, value in said.items() if value is not None}) if name else None
