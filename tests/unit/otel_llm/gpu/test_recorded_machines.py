"""Figures recorded on real machines, given to the stand-in for the driver, come out as OpenTelemetry means them.

`tests/data/nvml/machines.json` names the source of each. The figures are real and so is what each machine could not
tell; the driver in between is the stand-in. `python -m otel_llm.gpu record` makes a recording of the driver itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics as metric

import otel_llm
from otel_llm import local_work
from otel_llm.gpu.fake_driver import FakeDriver, FakeGpu, FakeProcess, installed
from otel_llm.gpu.meter import GpuMeter
from otel_llm.gpu.metrics import create
from otel_llm.gpu.nvml import THROTTLE_REASONS, Nvml

pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed; pip install 'otel-llm[gpu]' gives it")

DATA = Path(__file__).parents[3] / "data" / "nvml" / "machines.json"
MACHINES: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))["machines"]
MIB = 1 << 20
BITS = {name: bit for bit, name in THROTTLE_REASONS.items()} | {"gpu_idle": 0x1}
INSTANT_POWER = "186"  # NVML's number of the field
ME = 1000

every_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda one: one["name"].split(",")[0])


def device(machine: dict[str, Any]) -> FakeGpu:
    """The machine's device for the stand-in."""
    told = machine["figures"]
    instant = told["instant_watts"]
    return FakeGpu(
        uuid="GPU-recorded",
        name=told["model"],
        watts=told["watts"] if instant is None else instant,
        power_limit_watts=told["watts_limit"],
        busy_percent=told["busy_percent"],
        encoder_percent=told["encoder_percent"],
        decoder_percent=told["decoder_percent"],
        memory_total=told["memory_total_mib"] * MIB,
        memory_reserved=(told["memory_reserved_mib"] or 0) * MIB,
        memory_used=told["memory_used_mib"] * MIB,
        celsius=told["celsius"],
        memory_celsius=told["memory_celsius"],
        clocks=tuple(told["clocks_mhz"]),
        fan_percent=told["fan_percent"],
        ecc=tuple(told["ecc"]) if told["ecc"] else None,
        remap=tuple(int(said == "Yes") for said in told["remap"]) if told["remap"] else None,
        pcie_replays=told["pcie_replays"],
        nvlink_kib=None,
        throttle_bits=sum(BITS[name] for name in told["reasons"]),
        unsupported=frozenset() if instant is not None else frozenset({INSTANT_POWER}),
        mig=[
            FakeGpu(
                uuid=f"MIG-{index}",
                memory_total=one["memory_total_mib"] * MIB,
                memory_used=one["memory_used_mib"] * MIB,
            )
            for index, one in enumerate(machine["mig"])
        ],
    )


@contextmanager
def opened(machine: dict[str, Any], gpu: FakeGpu | None = None) -> Iterator[Nvml]:
    """The machine's device behind the real binding, with a driver that has what its version has."""
    missing = set() if machine["newer_reasons"] else {"nvmlDeviceGetCurrentClocksEventReasons"}
    if machine["figures"]["memory_reserved_mib"] is None:
        missing.add("nvmlDeviceGetMemoryInfo_v2")
    driver = FakeDriver([gpu or device(machine)], missing=frozenset(missing), version=machine["driver"])
    with installed(driver):
        nvml = Nvml()
        yield nvml
        nvml.close()


@every_machine
def test_a_recorded_device_is_read(machine: dict[str, Any]) -> None:
    """Each figure has the conventions' unit; what the machine said N/A to is absent, never zero."""
    told = machine["figures"]
    with opened(machine) as nvml:
        whole, *parts = nvml.read()
    watts = told["watts"] if told["instant_watts"] is None else told["instant_watts"]
    assert (whole.device.model, whole.device.driver) == (told["model"], machine["driver"])
    assert whole.watts == (None if watts is None else pytest.approx(watts))
    assert (whole.joules is None) == (watts is None)
    assert whole.watts_limit == told["watts_limit"]
    percents = {"general": "busy_percent", "encoder": "encoder_percent", "decoder": "decoder_percent"}
    assert whole.busy == {task: told[key] / 100 for task, key in percents.items() if told[key] is not None}
    assert whole.memory_used == told["memory_used_mib"] * 1_048_576
    assert whole.memory_total == told["memory_total_mib"] * 1_048_576
    celsius = {"gpu": told["celsius"], "memory": told["memory_celsius"]}
    assert whole.celsius == {place: value for place, value in celsius.items() if value is not None}
    assert list(whole.hertz.values()) == [megahertz * 1e6 for megahertz in told["clocks_mhz"]]
    assert whole.fan == (None if told["fan_percent"] is None else told["fan_percent"] / 100)
    assert {name for name, held in whole.throttled.items() if held} == set(told["reasons"]) - {"gpu_idle"}
    errors = dict(zip(("corrected", "uncorrected"), told["ecc"], strict=True)) if told["ecc"] else {}
    assert whole.errors == {**errors, "pcie_replay": told["pcie_replays"]}
    assert whole.state == "ok"
    assert [part.memory_total for part in parts] == [one["memory_total_mib"] * 1_048_576 for one in machine["mig"]]
    assert all(part.busy == {} and part.watts is None and part.device.parent == whole.device.id for part in parts)


@every_machine
def test_what_it_did_not_say_is_no_metric(machine: dict[str, Any]) -> None:
    """N/A is a missing point: no utilisation of a divided device, no power of one that tells none."""
    told = machine["figures"]
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    with opened(machine) as nvml:
        readings = nvml.read()
    create(provider.get_meter("test"), lambda: readings)
    data = reader.get_metrics_data()
    assert data is not None
    found = {one.name: list(one.data.data_points) for one in data.resource_metrics[0].scope_metrics[0].metrics}
    provider.shutdown()
    tasks = [told[key] for key in ("busy_percent", "encoder_percent", "decoder_percent")]
    assert len(found.get(metric.HW_GPU_UTILIZATION.name, [])) == sum(one is not None for one in tasks)
    for name, figure in (
        (metric.HW_POWER.name, told["watts"]),
        (metric.HW_ENERGY.name, told["watts"]),
        (metric.OTEL_LLM_GPU_FAN_SPEED.name, told["fan_percent"]),
    ):
        assert len(found.get(name, [])) == (figure is not None), name
    assert len(found[metric.HW_TEMPERATURE.name]) == 1 + (told["memory_celsius"] is not None)
    assert len(found[metric.HW_GPU_MEMORY_LIMIT.name]) == 1 + len(machine["mig"])
    held = [
        point.attributes[attr.OTEL_LLM_GPU_THROTTLE_REASON]
        for point in found[metric.OTEL_LLM_GPU_THROTTLED.name]
        if point.value
    ]
    assert set(held) == set(told["reasons"]) - {"gpu_idle"}


@every_machine
def test_a_span_on_such_a_device(machine: dict[str, Any], spans: InMemorySpanExporter) -> None:
    """Ten seconds at the recorded power: joules where there is power, busy seconds only where utilisation is told."""
    told = machine["figures"]
    gpu = device(machine)
    gpu.processes = [FakeProcess(ME, 1 << 30)]
    now = [0.0]
    missing = frozenset({"nvmlDeviceGetMemoryInfo_v2"}) if told["memory_reserved_mib"] is None else frozenset()
    with installed(FakeDriver([gpu], clock=lambda: now[0], missing=missing)):
        nvml = Nvml()
        meter = GpuMeter(nvml, clock=lambda: now[0], pids=[ME])
        meter.take(nvml.read_work())
        local_work.meter = meter
        try:
            with otel_llm.chat(provider="local", local=True) as call:
                for _ in range(100):
                    now[0] += 0.1
                    meter.take(nvml.read_work())
                call.usage(output_tokens=10)
        finally:
            local_work.meter = None
            nvml.close()
    [span] = spans.get_finished_spans()
    said = dict(span.attributes or {})
    if told["watts"] is None:
        assert attr.OTEL_LLM_GPU_ENERGY not in said
        return
    watts = told["watts"] if told["instant_watts"] is None else told["instant_watts"]
    assert said[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(watts * 10, rel=0.02)
    assert said[attr.OTEL_LLM_GPU_ENERGY_PER_OUTPUT_TOKEN] == pytest.approx(watts, rel=0.02)
    assert (attr.OTEL_LLM_GPU_SECONDS in said) == (told["busy_percent"] is not None)
    assert (attr.OTEL_LLM_GPU_SECONDS_PER_OUTPUT_TOKEN in said) == (told["busy_percent"] is not None)


def test_the_recordings_say_where_they_are_from() -> None:
    """Each has its repository, path, commit and day; a data centre's card, a divided one and a consumer's are there."""
    for machine in MACHINES:
        assert set(machine["source"]) == {"repository", "path", "commit", "taken"}
        assert len(machine["source"]["commit"]) == 40
    models = {machine["figures"]["model"]: machine for machine in MACHINES}
    assert models["NVIDIA H100 80GB HBM3"]["mig"] == []
    assert len(models["NVIDIA A100-SXM4-80GB"]["mig"]) == 4
    assert models["NVIDIA GeForce RTX 3090"]["figures"]["ecc"] is None
