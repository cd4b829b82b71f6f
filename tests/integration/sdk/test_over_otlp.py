"""A training on a GPU as a collector gets it: spans, metrics, events over real OTLP/HTTP, from a program of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import HttpSink
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events, metrics

pytestmark = pytest.mark.integration

PROGRAM = """
import logging, os, sys, time
import otel_llm
from otel_llm.gpu.fake_driver import FakeDriver, FakeGpu, FakeProcess, installed

gpu = FakeGpu(uuid="GPU-a", watts=300, busy_percent=50, processes=[FakeProcess(os.getpid(), 1 << 30, 50)])
with installed(FakeDriver([gpu])):
    handle = otel_llm.configure("trainer", hardware=True, instrument=False)
    otel_llm.logging.setup(stream=sys.stdout)
    with otel_llm.experiment("over-otlp", parameters={"lr": 0.1}) as run:
        with otel_llm.training_step() as step:
            time.sleep(1.0)
            step.progress(loss=0.5, tokens=100)
            logging.getLogger("train").info("stepped", extra={"api_key": "abc", "loss": 0.5})
    assert handle.force_flush(10)
"""


def value(any_value: Any) -> Any:
    """A value of OTLP."""
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(one) for one in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None


def attributes(item: Any) -> dict[str, Any]:
    """The attributes of an item."""
    return {one.key: value(one.value) for one in item.attributes}


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> dict[Signal, list[Any]]:
    """What arrived, by signal."""
    if importlib.util.find_spec("pynvml") is None or importlib.util.find_spec("psutil") is None:
        pytest.skip("nvidia-ml-py or psutil is not installed; pip install 'otel-llm[gpu]' gives them")

    async def run() -> dict[Signal, list[Any]]:
        async with HttpSink() as sink:
            environment = {
                **os.environ,
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.address}",
                "TMPDIR": str(tmp_path_factory.mktemp("lock")),  # no other program of this host holds its lock
            }
            ended = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", PROGRAM],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            assert ended.stderr == ""
            return {
                signal: [item for one in sink.taken if one.signal is signal for item in one.items()]
                for signal in Signal
            }

    return asyncio.run(run())


def test_the_step_says_what_it_used(taken: dict[Signal, list[Any]]) -> None:
    """About a second at 300 W and half busy, from the energy counter, on the span of the step."""
    spans = {span.name: span for span in taken[Signal.TRACES]}
    assert set(spans) == {"experiment over-otlp", "training_step"}
    found = attributes(spans["training_step"])
    assert found[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(300, rel=0.35)
    assert found[attr.OTEL_LLM_GPU_SECONDS] == pytest.approx(0.5, rel=0.35)
    assert found[attr.OTEL_LLM_GPU_DEVICE_IDS] == ["GPU-a"]
    assert found[attr.OTEL_LLM_TRAINING_LOSS] == 0.5
    assert spans["training_step"].parent_span_id == spans["experiment over-otlp"].span_id


def test_metrics_have_their_instruments(taken: dict[Signal, list[Any]]) -> None:
    """Counters are monotonic sums, gauges gauges, histograms have the registry's boundaries."""
    found = {metric.name: metric for metric in taken[Signal.METRICS]}
    assert found[metrics.HW_ENERGY.name].sum.is_monotonic
    assert not found[metrics.HW_GPU_MEMORY_USAGE.name].sum.is_monotonic
    (power,) = found[metrics.HW_POWER.name].gauge.data_points
    assert power.as_double == 300
    assert attributes(power)[attr.HW_ID] == "GPU-a"
    (energy,) = found[metrics.OTEL_LLM_GPU_REQUEST_ENERGY.name].histogram.data_points
    assert list(energy.explicit_bounds) == list(metrics.OTEL_LLM_GPU_REQUEST_ENERGY.boundaries)
    (loss,) = found[metrics.OTEL_LLM_TRAINING_PROGRESS_LOSS.name].gauge.data_points
    assert loss.as_double == 0.5
    assert {metrics.SYSTEM_MEMORY_USAGE.name, metrics.PROCESS_CPU_TIME.name} <= set(found)


def test_events_and_logs_are_log_records(taken: dict[Signal, list[Any]]) -> None:
    """The run's events have names, and the program's log line the ids of its span and no secret."""
    spans = {span.name: span for span in taken[Signal.TRACES]}
    by_event: dict[str, list[Any]] = {}
    for record in taken[Signal.LOGS]:
        by_event.setdefault(record.event_name, []).append(record)
    started, *_, ended = by_event[events.OTEL_LLM_EXPERIMENT_RUN]
    assert attributes(started)[attr.OTEL_LLM_EXPERIMENT_STATUS] == "running"
    assert attributes(ended)[attr.OTEL_LLM_EXPERIMENT_STATUS] == "finished"
    assert json.loads(attributes(ended)[attr.OTEL_LLM_EXPERIMENT_PARAMETERS]) == {"lr": 0.1}
    (line,) = [record for record in by_event[""] if value(record.body) == "stepped"]
    assert line.span_id == spans["training_step"].span_id
    assert attributes(line)["api_key"] == "[redacted]"
