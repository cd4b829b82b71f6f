"""What local models use of the GPUs, on their spans: the real binding over a stand-in for the driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import local_work
from otel_llm.gpu.fake_driver import FakeDriver, FakeGpu, FakeProcess, installed
from otel_llm.gpu.meter import GpuMeter, own_pids
from otel_llm.gpu.nvml import Nvml

pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed; pip install 'otel-llm[gpu]' gives it")

ME, OTHER = 1000, 2000


class Machine:
    """A device, a clock that is moved by hand, and the meter that measures."""

    def __init__(self, gpu: FakeGpu, *, uses_cuda: bool = False) -> None:
        self.gpu = gpu
        self.now = 100.0
        self.driver = FakeDriver([gpu], clock=lambda: self.now)
        self.uses_cuda = uses_cuda

    def open(self) -> None:
        """Open the device; the driver must be installed."""
        self.nvml = Nvml()
        self.meter = GpuMeter(self.nvml, clock=lambda: self.now, pids=[ME], uses_cuda=lambda: self.uses_cuda)
        self.meter.take(self.nvml.read_work())

    def wait(self, seconds: float) -> None:
        """Let time pass, read every 100 ms."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.meter.take(self.nvml.read_work())


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A device that only this process uses, at 300 W and half busy."""
    found = Machine(FakeGpu(uuid="GPU-a", watts=300, busy_percent=50, processes=[FakeProcess(ME, 1 << 30, 50)]))
    with installed(found.driver):
        found.open()
        local_work.meter = found.meter
        yield found
        local_work.meter = None


def only(spans: InMemorySpanExporter) -> dict[str, Any]:
    """The attributes of the one span that ended."""
    (span,) = spans.get_finished_spans()
    return dict(span.attributes or {})


def test_a_local_call_says_what_it_used(machine: Machine, spans: InMemorySpanExporter) -> None:
    """Joules, GPU-seconds, both per output token, method, samples, device and memory are on the span."""
    with otel_llm.chat(provider="transformers", model="tiny", local=True) as call:
        machine.wait(2)
        call.usage(output_tokens=40)
    found = only(spans)
    assert found[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(600)
    assert found[attr.OTEL_LLM_GPU_SECONDS] == pytest.approx(1.0)
    assert found[attr.OTEL_LLM_GPU_ENERGY_PER_OUTPUT_TOKEN] == pytest.approx(15)
    assert found[attr.OTEL_LLM_GPU_SECONDS_PER_OUTPUT_TOKEN] == pytest.approx(0.025)
    assert found[attr.OTEL_LLM_GPU_METHOD] == "counter_share"
    assert found[attr.OTEL_LLM_GPU_SAMPLE_COUNT] == 20
    assert found[attr.OTEL_LLM_GPU_LOW_CONFIDENCE] is False
    assert found[attr.OTEL_LLM_GPU_DEVICE_IDS] == ("GPU-a",)
    assert found[attr.OTEL_LLM_GPU_MEMORY_PEAK] == 1 << 30


def test_concurrent_calls_share(machine: Machine, spans: InMemorySpanExporter) -> None:
    """Two calls at the same time get half each; their sum and what is left is the counter."""
    with otel_llm.chat(provider="p", local=True), otel_llm.embedding(provider="p", local=True):
        machine.wait(1)
    joules = [span.attributes[attr.OTEL_LLM_GPU_ENERGY] for span in spans.get_finished_spans()]  # type: ignore[index]
    assert joules == [pytest.approx(150), pytest.approx(150)]
    machine.wait(1)
    assert sum(joules) + machine.meter.left()["GPU-a"] == pytest.approx(machine.gpu.millijoules / 1000)


def test_remote_calls_are_not_measured(machine: Machine, spans: InMemorySpanExporter) -> None:
    """A call to somebody else's model burns nothing here, whatever the GPU does meanwhile."""
    with otel_llm.chat(provider="openai"):
        machine.wait(1)
    assert not [key for key in only(spans) if ".gpu." in key]


def test_of_a_device_in_company_only_our_part_counts(machine: Machine, spans: InMemorySpanExporter) -> None:
    """The driver's samples of process utilisation divide the device; another process' work is not ours."""
    machine.gpu.processes.append(FakeProcess(OTHER, 1 << 30, 150))
    with otel_llm.chat(provider="p", local=True):
        machine.wait(1)
    assert only(spans)[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(75)


def test_without_process_samples_processes_share_evenly(machine: Machine, spans: InMemorySpanExporter) -> None:
    """Where the driver has no samples, each process with a context gets the same."""
    machine.gpu.processes = [FakeProcess(ME, 1 << 30), FakeProcess(OTHER, 1 << 30), FakeProcess(3000, 1)]
    with otel_llm.chat(provider="p", local=True):
        machine.wait(1)
    assert only(spans)[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(100)


def test_a_process_without_a_context_uses_nothing(machine: Machine, spans: InMemorySpanExporter) -> None:
    """A device that only others use gives no attributes, not zeros."""
    machine.gpu.processes = [FakeProcess(OTHER, 1 << 30, 90)]
    with otel_llm.chat(provider="p", local=True):
        machine.wait(1)
    assert not [key for key in only(spans) if ".gpu." in key]


def test_in_a_container_the_only_process_is_ours(machine: Machine, spans: InMemorySpanExporter) -> None:
    """The driver names the host's ids; the single process on the device is us if CUDA is loaded here."""
    machine.gpu.processes = [FakeProcess(OTHER, 1 << 30, 90)]
    machine.uses_cuda = True
    with otel_llm.chat(provider="p", local=True):
        machine.wait(1)
    assert only(spans)[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(300)


def test_without_a_counter_power_times_time(spans: InMemorySpanExporter) -> None:
    """A device without an energy counter is measured by its power, and the method says so."""
    lacking = frozenset({"nvmlDeviceGetTotalEnergyConsumption"})
    found = Machine(FakeGpu(watts=200, processes=[FakeProcess(ME, 1, 10)], unsupported=lacking))
    with installed(found.driver):
        found.open()
        local_work.meter = found.meter
        try:
            with otel_llm.chat(provider="p", local=True):
                found.wait(1)
        finally:
            local_work.meter = None
    assert only(spans)[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(200)
    assert only(spans)[attr.OTEL_LLM_GPU_METHOD] == "instant_power"


def test_short_calls_are_marked(machine: Machine, spans: InMemorySpanExporter) -> None:
    """Fewer than three readings within the span: the number is there, with low confidence."""
    machine.wait(1)
    with otel_llm.chat(provider="p", local=True):
        machine.now += 0.05
    assert only(spans)[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(15)
    assert only(spans)[attr.OTEL_LLM_GPU_LOW_CONFIDENCE] is True


def test_a_stream_is_measured_until_it_ends(machine: Machine, spans: InMemorySpanExporter) -> None:
    """A generator's span counts the time of its steps, and a caller's break ends it."""

    @otel_llm.chat(provider="p", local=True)
    def answer() -> Iterator[str]:
        for word in ("one", "two", "three"):
            machine.wait(0.5)
            yield word

    stream = answer()
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert only(spans)[attr.OTEL_LLM_GPU_ENERGY] == pytest.approx(300)
    assert machine.meter.in_flight == 0


def test_our_own_id_is_among_those_looked_for() -> None:
    """The plain process id is always one of them."""
    assert __import__("os").getpid() in own_pids()
