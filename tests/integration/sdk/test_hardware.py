"""`watch_hardware` with its thread, the stock metrics SDK, real psutil, forked children and the host's lock."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_llm_semconv import metrics as metric
from otel_llm_semconv.metrics import OTHER_METRICS as METRICS

from otel_llm import hardware, local_work, providers
from otel_llm.gpu.fake_driver import FakeDriver, FakeGpu, FakeProcess, installed
from otel_llm.gpu.nvml import Nvml
from otel_llm.hardware import HostLock, Watch

pytestmark = pytest.mark.integration
psutil = pytest.importorskip("psutil", reason="psutil is not installed; pip install 'otel-llm[gpu]' gives it")
pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed; pip install 'otel-llm[gpu]' gives it")

GPU_METRICS = {name for name in METRICS if name.startswith(("hw.", "otel_llm.gpu."))} - {
    metric.OTEL_LLM_GPU_REQUEST_ENERGY.name,
    metric.OTEL_LLM_GPU_REQUEST_TIME.name,
    metric.OTEL_LLM_GPU_OUTPUT_TOKEN_ENERGY.name,
}
SYSTEM_METRICS = {name for name in METRICS if name.startswith(("system.", "process."))}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """The stock metrics SDK, in memory."""
    found = InMemoryMetricReader()
    provider = MeterProvider([found], shutdown_on_exit=False)
    monkeypatch.setattr(providers, "meter_provider", lambda: provider)
    yield found
    provider.shutdown()


def points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    """The data points by metric."""
    found: dict[str, list[Any]] = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for one in scope.metrics:
                found[one.name] = list(one.data.data_points)
    return found


@pytest.fixture
def watch(reader: InMemoryMetricReader, tmp_path: Path) -> Iterator[Watch]:
    """Two devices and the machine, watched by a running thread."""
    gpus = [
        FakeGpu(uuid="GPU-a", fan_percent=30, processes=[FakeProcess(os.getpid(), 1 << 30, 80)]),
        FakeGpu(uuid="GPU-b", mig=[FakeGpu(uuid="MIG-1")]),
    ]
    with installed(FakeDriver(gpus)):
        found = Watch(Nvml(), system=psutil, seconds=0.2, lock_path=tmp_path / "host.lock")
        found.start()
        yield found
        found.stop()


def wait_for(condition: Any, seconds: float = 10.0) -> Any:
    """What `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing came in time"
        time.sleep(0.02)
    return found


def test_every_metric_of_the_registry_is_reported(reader: InMemoryMetricReader, watch: Watch) -> None:
    """Each `hw.*`, `system.*`, `process.*` and GPU metric has points, with no attribute that the registry lacks."""
    known = {"hw.model", "hw.vendor", "hw.driver_version", "hw.parent"}
    found = wait_for(lambda: points(reader) if metric.HW_POWER.name in points(reader) else None)
    wait_for(lambda: metric.OTEL_LLM_GPU_IDLE_ENERGY.name in points(reader))
    assert (GPU_METRICS | SYSTEM_METRICS) - set(points(reader)) == set()
    for name, one in found.items():
        for point in one:
            assert set(point.attributes) - known <= set(METRICS[name].attributes), name
    ids = {point.attributes["hw.id"] for point in found[metric.HW_GPU_MEMORY_USAGE.name]}
    assert ids == {"GPU-a", "GPU-b", "MIG-1"}
    assert watch.cost_seconds < 0.005
    (memory,) = points(reader)[metric.PROCESS_MEMORY_USAGE.name]
    assert memory.value == pytest.approx(psutil.Process().memory_info().rss, rel=0.3)


def test_one_process_of_a_host_reports_for_it(reader: InMemoryMetricReader, watch: Watch, tmp_path: Path) -> None:
    """Where another process holds the lock, only `process.*` comes; when it ends, this one takes over."""
    now = [0.0]
    first, second = (HostLock(tmp_path / "other.lock", lambda: now[0]) for _ in range(2))
    assert first.held()
    assert not second.held()
    first.release()
    assert not second.held()  # asks again only after a while
    now[0] += hardware.LOCK_RETRY_SECONDS
    assert second.held()
    watch._host.release()
    other = HostLock(tmp_path / "host.lock")
    assert other.held()
    assert set(points(reader)) & (GPU_METRICS | SYSTEM_METRICS) - {metric.OTEL_LLM_GPU_IDLE_ENERGY.name} == {
        name for name in SYSTEM_METRICS if name.startswith("process.")
    }


def test_a_span_in_flight_is_measured_between_the_readings(watch: Watch) -> None:
    """The thread reads every 100 ms while a local model works, so a span of 0.7 s rests on several readings."""
    meter = watch._meter
    assert meter is not None
    assert local_work.meter is meter
    wait_for(lambda: watch._readings)
    share = meter.begin()
    time.sleep(0.7)
    assert meter._ledger.end(share, time.monotonic()).intervals >= 3


def test_no_driver_is_said_once_and_the_rest_goes_on(
    reader: InMemoryMetricReader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """One warning with the reason; the machine's metrics come; asking again gives the same watch and says nothing."""
    monkeypatch.setattr(hardware, "_lock_path", lambda: tmp_path / "host.lock")
    monkeypatch.setattr(hardware, "_watch", None)
    with caplog.at_level(logging.WARNING):
        watch = hardware.watch_hardware()
        again = hardware.watch_hardware()
    try:
        assert again is watch
        assert watch.gpus == []
        assert [record.message.split(":")[1] for record in caplog.records] == [" no GPU metrics"]
        assert metric.SYSTEM_MEMORY_USAGE.name in points(reader)
        assert not set(points(reader)) & GPU_METRICS
    finally:
        watch.stop()


FORKED = """
import os, sys, time
from otel_llm import hardware, local_work, providers
from otel_llm.gpu.fake_driver import FakeDriver, FakeGpu, FakeProcess, installed
from otel_llm.gpu.nvml import Nvml
from pathlib import Path

with installed(FakeDriver([FakeGpu(uuid="GPU-a")])):
    watch = hardware.Watch(Nvml(), seconds=0.1, lock_path=Path(sys.argv[1]))
    watch.start()
    while not watch._newest():
        time.sleep(0.01)
    child = os.fork()
    if child == 0:
        deadline = time.monotonic() + 10
        while watch._read_at == float("-inf") and time.monotonic() < deadline:
            time.sleep(0.01)
        measured = watch._read_at > 0 and local_work.meter is watch._meter
        os._exit(0 if measured and not watch._newest() else 1)
    _, status = os.waitpid(child, 0)
    print("child", os.waitstatus_to_exitcode(status), "parent", bool(watch._newest()))
"""


def test_a_forked_child_reads_again_and_leaves_reporting_to_its_parent(tmp_path: Path) -> None:
    """The child opens NVML anew and measures its own spans; the parent goes on reporting for the host."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path / "host.lock")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.split() == ["child", "0", "parent", "True"]


def test_a_watch_that_cannot_be_right_is_refused() -> None:
    """Reading more often than the counters move is an error that says what would be right."""
    with pytest.raises(ValueError, match=r"seconds is 0.01; use at least 0.1"):
        hardware.watch_hardware(seconds=0.01)
