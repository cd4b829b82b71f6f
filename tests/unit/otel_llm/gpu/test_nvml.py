"""Reading devices through the real binding, over a stand-in for the driver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from otel_llm.gpu.fake_driver import FakeDriver, FakeGpu, FakeProcess, installed
from otel_llm.gpu.nvml import Nvml, UnavailableError

pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed; pip install 'otel-llm[gpu]' gives it")

MIB = 1 << 20


@contextmanager
def opened(*gpus: FakeGpu, **options: object) -> Iterator[tuple[Nvml, FakeDriver]]:
    """The devices behind the real binding."""
    with installed(FakeDriver(gpus, **options)) as driver:  # type: ignore[arg-type]
        nvml = Nvml()
        yield nvml, driver
        nvml.close()


def test_a_reading_has_what_the_device_tells() -> None:
    """Every number comes out in the unit of the conventions: joules, watts, bytes, hertz, fractions."""
    gpu = FakeGpu(
        uuid="GPU-a",
        watts=412.5,
        busy_percent=87,
        throttle_bits=0x4 | 0x40 | 0x1,
        ecc=(3, 0),
        pcie_replays=2,
        fan_percent=40,
        processes=[FakeProcess(7, 5 * MIB, 60), FakeProcess(8, MIB, 20)],
    )
    gpu.millijoules = 1_234_567.0
    with opened(gpu, clock=lambda: 10.0) as (nvml, _):
        (reading,) = nvml.read()
    assert reading.device.id == "GPU-a"
    assert reading.device.model == "NVIDIA H200"
    assert reading.joules == pytest.approx(1234.567)
    assert reading.watts == 412.5
    assert reading.watts_limit == 700
    assert reading.busy == {"general": 0.87, "encoder": 0, "decoder": 0}
    assert reading.memory_used == 60 << 30  # without what the driver reserves
    assert reading.memory_total == 141 << 30
    assert reading.celsius == {"gpu": 55, "memory": 61}
    assert reading.hertz == {"graphics": 1.98e9, "sm": 1.98e9, "memory": 3.201e9}
    assert [name for name, held in reading.throttled.items() if held] == ["sw_power_cap", "hw_thermal_slowdown"]
    assert reading.pcie_bytes == {"transmit": 10_000_000, "receive": 20_000_000}
    assert reading.nvlink_bytes == {"transmit": 4096 * 1024, "receive": 8192 * 1024}
    assert reading.errors == {"corrected": 3, "uncorrected": 0, "pcie_replay": 2}
    assert reading.process_bytes == {7: 5 * MIB, 8: MIB}
    assert reading.process_busy == {7: 0.6, 8: 0.2}
    assert reading.fan == 0.4
    assert reading.state == "ok"


def test_what_a_device_lacks_is_absent_and_asked_once() -> None:
    """No zero stands for what was not measured, and a refusal is not provoked again."""
    lacking = frozenset({"nvmlDeviceGetTotalEnergyConsumption", "186", "nvmlDeviceGetEncoderUtilization", "3", "4"})
    with opened(FakeGpu(unsupported=lacking, nvlink_kib=None)) as (nvml, driver):
        first, second = nvml.read()[0], nvml.read()[0]
    assert first.joules is None
    assert second.joules is None
    assert second.watts == 350  # the older call answers
    assert second.nvlink_bytes == {}
    assert second.errors == {"pcie_replay": 0}
    assert "encoder" not in second.busy
    assert driver.calls["nvmlDeviceGetTotalEnergyConsumption"] == 1
    assert driver.calls["nvmlDeviceGetEncoderUtilization"] == 1


def test_an_older_driver_is_read_by_its_older_functions() -> None:
    """Without the newer calls the numbers are the same, but memory includes what the driver reserves."""
    missing = frozenset(
        {"nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetTemperatureV"}
    )
    with opened(FakeGpu(throttle_bits=0x20), missing=missing) as (nvml, _):
        (reading,) = nvml.read()
    assert reading.memory_used == 61 << 30
    assert reading.throttled["sw_thermal_slowdown"]
    assert reading.celsius["gpu"] == 55


def test_counters_that_wrap_go_on_growing() -> None:
    """The driver's PCIe counters have 32 bits; the metric's total has no such end."""
    gpu = FakeGpu(pcie_bytes=(2**32 - 100, 0))
    with opened(gpu) as (nvml, _):
        before = nvml.read()[0].pcie_bytes["transmit"]
        gpu.pcie_bytes = (2**32 + 900, 0)
        after = nvml.read()[0].pcie_bytes["transmit"]
    assert after - before == 1000


def test_a_mig_instance_tells_its_memory_and_its_parent_the_rest() -> None:
    """Instances are devices of their own with a parent; energy and utilisation are the parent's alone."""
    parts = [FakeGpu(uuid="MIG-1", slices=3, memory_total=70 << 30, memory_used=9 << 30), FakeGpu(uuid="MIG-2")]
    with opened(FakeGpu(uuid="GPU-a", mig=parts)) as (nvml, _):
        whole, first, second = nvml.read()
    assert whole.watts == 350
    assert (first.device.id, first.device.parent, first.device.slices) == ("MIG-1", "GPU-a", 3)
    assert second.device.parent == "GPU-a"
    assert first.memory_used == 9 << 30
    assert first.joules is None
    assert first.busy == {}


def test_a_lost_device_is_failed_and_the_others_are_read() -> None:
    """A device that fell off the bus does not take the others with it."""
    lost, well = FakeGpu(uuid="GPU-a"), FakeGpu(uuid="GPU-b")
    with opened(lost, well) as (nvml, _):
        lost.lost = True
        readings = nvml.read()
        work = nvml.read_work()
    assert [one.state for one in readings] == ["failed", "ok"]
    assert readings[1].watts == 350
    assert [one.joules is None for one in work] == [True, False]


@pytest.mark.parametrize(
    ("remap", "ecc", "state"), [((0, 0), (5, 0), "ok"), ((1, 0), (0, 0), "degraded"), ((1, 1), (0, 0), "failed")]
)
def test_health_follows_from_remapped_rows(remap: tuple[int, int], ecc: tuple[int, int], state: str) -> None:
    """Corrected errors are normal, a pending row is degraded, a failed remapping is failed."""
    with opened(FakeGpu(remap=remap, ecc=ecc)) as (nvml, _):
        assert nvml.read()[0].state == state


def test_without_a_driver_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver, or no binding: the sentence says which, and what would help."""

    class Driverless:
        class NVMLError(Exception):
            pass

        def nvmlInit(self) -> None:  # noqa: N802 - its name
            raise self.NVMLError("NVML Shared Library Not Found")

    with pytest.raises(UnavailableError, match=r"Not Found; is the NVIDIA driver installed"):
        Nvml(Driverless())
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    with pytest.raises(UnavailableError, match=r"pip install 'otel-llm\[gpu\]'"):
        Nvml()


def test_the_driver_is_let_go() -> None:
    """After `close` the library refuses, as the real one does."""
    pynvml = pytest.importorskip("pynvml")
    with installed(FakeDriver([FakeGpu()])):
        Nvml().close()
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetCount()


def test_a_reading_of_eight_devices_costs_little() -> None:
    """Median CPU of a full reading of 8 devices, binding and stand-in included, is below 5 ms."""
    gpus = [FakeGpu(uuid=f"GPU-{index}", processes=[FakeProcess(1), FakeProcess(2)]) for index in range(8)]
    with opened(*gpus) as (nvml, _):
        costs = []
        for _ in range(30):
            before = time.thread_time()
            nvml.read()
            costs.append(time.thread_time() - before)
    assert sorted(costs)[len(costs) // 2] < 0.005
