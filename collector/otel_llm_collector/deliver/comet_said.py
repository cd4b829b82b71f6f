"""What Comet is told: telemetry as experiments with metrics, parameters, tags and other words.

A run of `otel_llm.experiment` is an experiment of its own. What services and machines measure goes to one experiment
for each service, with points by interval. Keys of experiments are computed, so that the same is always the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics
from otel_llm_semconv.enums import GenAiOperationName as Operation

from otel_llm_collector.any_value import plain
from otel_llm_collector.deliver.runs import Run, tracker_name

_EXPERIMENT_KEY = "comet.experiment.key"  # attribute of a resource that names its experiment instead
_KEY_LENGTHS = range(32, 51)  # of letters and digits, as Comet's client checks it
_CALLS = frozenset({
    Operation.CHAT, Operation.GENERATE_CONTENT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS,
})  # fmt: skip
_MAX_COUNT = 2**53  # of tokens of a call; nobody means more
_NUMBERS = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
# Metrics of a GPU to the names that Comet's own client gives them, and the factor between their units.
_GPU = {
    metrics.HW_GPU_UTILIZATION.name: ("gpu_utilization", 100.0),
    metrics.HW_GPU_MEMORY_UTILIZATION.name: ("memory_utilization", 100.0),
    metrics.HW_GPU_MEMORY_USAGE.name: ("used_memory", 1.0),
    metrics.HW_GPU_MEMORY_LIMIT.name: ("total_memory", 1.0),
    metrics.HW_POWER.name: ("power_usage", 1000.0),
    metrics.HW_TEMPERATURE.name: ("temperature", 1.0),
}
_NOT_IN_NAMES = frozenset({
    attr.HW_TYPE, attr.HW_ID, attr.HW_NAME, attr.HW_MODEL, attr.HW_VENDOR, attr.HW_DRIVER_VERSION, attr.HW_PARENT,
    attr.OTEL_LLM_EXPERIMENT_NAME, attr.OTEL_LLM_EXPERIMENT_RUN_ID,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """An experiment of Comet."""

    key: str
    name: str
    project: str


@dataclass(frozen=True, slots=True)
class Point:
    """One number of a metric."""

    name: str
    value: float
    step: int | None
    epoch: float | None
    time_ms: int

    @property
    def number(self) -> float | str:
        """The value as Comet writes it in JSON."""
        return self.value if math.isfinite(self.value) else _NUMBERS[str(self.value)]


@dataclass(slots=True)
class Said:
    """What is said of an experiment at once."""

    place: Place
    first_ms: int
    last_ms: int
    points: list[Point] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a model."""

    place: Place
    span: bytes  # its trace and span id
    time_ms: int
    model: str
    input: int
    output: int
    cost: float | None
    seconds: float
    first_seconds: float | None
    failed: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A point of a metric; `adds`: it is the change since the one before."""

    place: Place
    name: str
    time_ms: int
    value: float
    adds: bool


def said(run: Run, workspace: str, project: str) -> Said:
    """A run as Comet is told of it; without a `project` in that of its experiment's name."""
    where = Place(_key("run", workspace, run.experiment, run.run_id), run.name, project or run.experiment)
    result = Said(where, run.first_ms, run.last_ms, tags=run.tags, is_over=run.is_over)
    result.points = [Point(tracker_name(one.name), one.value, one.step, one.epoch, one.time_ms) for one in run.metrics]
    for name, value in run.parameters.items():
        scalar = (
            value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
        )
        result.parameters[tracker_name(name)] = value if scalar else json.dumps(value)
    result.others = {"Name": run.name} if run.name else {}
    result.others |= {"experiment": run.experiment, "run_id": run.run_id}
    result.others |= {"status": run.status} if run.status else {}
    result.others |= {f"note {hashlib.sha256(one.encode()).hexdigest()[:8]}": one for one in run.notes}
    result.others |= {f"artifact {one.name}": json.dumps(one.details) for one in run.artifacts}
    return result


def calls(payload: bytes, workspace: str, project: str) -> Iterator[Call]:
    """The calls to models among the spans of a request."""
    for level in ExportTraceServiceRequest.FromString(payload).resource_spans:
        where = _of_service(level.resource, workspace, project)
        for scope in level.scope_spans:
            for span in scope.spans:
                values = {one.key: plain(one.value, bytes.hex) for one in span.attributes}
                if values.get(attr.GEN_AI_OPERATION_NAME) in _CALLS:
                    yield _call(where, span, values)


def _call(where: Place, span: Any, values: Mapping[str, Any]) -> Call:
    model = values.get(attr.GEN_AI_RESPONSE_MODEL) or values.get(attr.GEN_AI_REQUEST_MODEL) or "unknown"
    return Call(
        where,
        span.trace_id + span.span_id,
        span.end_time_unix_nano // 1_000_000,
        tracker_name(str(model)),
        _count(values.get(attr.GEN_AI_USAGE_INPUT_TOKENS)),
        _count(values.get(attr.GEN_AI_USAGE_OUTPUT_TOKENS)),
        _number(values.get(attr.OTEL_LLM_COST_TOTAL)),
        max(0, span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        _number(values.get(attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK)),
        span.status.code == Status.STATUS_CODE_ERROR,
    )


def values(level: Any, metric: Any, workspace: str, project: str) -> Iterator[Value]:
    """The points of a metric: numbers as they are, of histograms how many and their mean."""
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind) if kind else None
    where = _of_service(level.resource, workspace, project)
    for point in data.data_points if data is not None else ():
        labels = {one.key: plain(one.value, bytes.hex) for one in point.attributes}
        name, factor = _named(metric.name, labels)
        time_ms = point.time_unix_nano // 1_000_000
        adds = getattr(data, "aggregation_temporality", 0) == 1  # DELTA
        if kind in ("gauge", "sum"):
            which = point.WhichOneof("value")
            if which:
                number = float(getattr(point, which)) * factor
                yield Value(where, name, time_ms, number, adds and kind == "sum")
        elif kind != "summary" and point.count:
            yield Value(where, f"{name}/count", time_ms, float(point.count), adds)
            yield Value(where, f"{name}/mean", time_ms, point.sum / point.count, adds=False)


def _named(name: str, labels: Mapping[str, Any]) -> tuple[str, float]:
    """A metric's name in Comet with what tells its series apart, and the factor for its values."""
    suffix = "/".join(str(value) for key, value in sorted(labels.items()) if key not in _NOT_IN_NAMES)
    if labels.get(attr.HW_TYPE) == "gpu" or name.startswith(("hw.gpu.", "otel_llm.gpu.")):
        index = str(labels.get(attr.HW_NAME) or labels.get(attr.HW_ID) or "0").rpartition(" ")[2]
        plain_name, factor = _GPU.get(name, (name, 1.0))
        name = f"sys.gpu.{index}.{plain_name}"
        return tracker_name(f"{name}/{suffix}" if suffix else name), factor
    return tracker_name(f"{name}/{suffix}" if suffix else name), 1.0


def _of_service(resource: Any, workspace: str, project: str) -> Place:
    found = {one.key: str(plain(one.value, bytes.hex)) for one in resource.attributes}
    name = found.get(attr.SERVICE_NAME) or "unknown_service"
    key = found.get(_EXPERIMENT_KEY, "")
    if key.isalnum() and key.isascii() and len(key) in _KEY_LENGTHS:
        return Place(key, name, project)
    return Place(_key("service", workspace, project, name), name, project)


def _key(*words: str) -> str:
    """The key of the experiment that these words tell from others."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:32]


def _count(value: Any) -> int:
    return int(min(max(_number(value) or 0, 0), _MAX_COUNT))


def _number(value: Any) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None
