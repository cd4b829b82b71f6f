"""Metrics of this machine (`system.*`) and of this process (`process.*`), through psutil (the extra `gpu`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics as metric
from otel_llm_semconv.metrics import Metric

from otel_llm.gpu.metrics import instrument

_CPU_MODES = ("user", "system", "nice", "idle", "iowait", "irq", "steal")
_NAMES = {"irq": "interrupt"}  # psutil's name -> the convention's
_MEMORY_STATES = ("used", "free", "buffers", "cached", "shared")


class Machine:
    """Reads psutil. `machine_wide()` says whether this process is the one of its host that reports for the host."""

    def __init__(self, machine_wide: Callable[[], bool] = lambda: True, psutil: Any = None) -> None:
        self._psutil = psutil or import_module("psutil")
        self._machine_wide = machine_wide
        self._process = self._psutil.Process()
        self._psutil.cpu_times_percent()  # percentages are since the last call: the first one says nothing
        self._process.cpu_percent()

    def create(self, meter: Meter) -> None:
        """Create every metric."""
        of_machine: dict[Metric, Callable[[], Iterable[Observation]]] = {
            metric.SYSTEM_CPU_UTILIZATION: self._cpu,
            metric.SYSTEM_MEMORY_USAGE: self._memory,
            metric.SYSTEM_MEMORY_UTILIZATION: self._memory_share,
            metric.SYSTEM_PAGING_USAGE: self._swap,
            metric.SYSTEM_DISK_IO: self._disks,
            metric.SYSTEM_NETWORK_IO: self._networks,
        }
        of_process: dict[Metric, Callable[[], Iterable[Observation]]] = {
            metric.PROCESS_CPU_TIME: self._own_cpu,
            metric.PROCESS_CPU_UTILIZATION: self._own_cpu_share,
            metric.PROCESS_MEMORY_USAGE: lambda: [Observation(self._process.memory_info().rss)],
            metric.PROCESS_THREAD_COUNT: lambda: [Observation(self._process.num_threads())],
            metric.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: self._own_files,
        }
        for one, take in of_machine.items():
            instrument(meter, one, self._callback(take, self._machine_wide))
        for one, take in of_process.items():
            instrument(meter, one, self._callback(take, lambda: True))

    def after_fork(self) -> None:
        """Look at the child from now on."""
        self._process = self._psutil.Process()

    def _callback(
        self, take: Callable[[], Iterable[Observation]], reports: Callable[[], bool]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            if not reports():
                return []
            try:
                return list(take())
            except (OSError, self._psutil.Error, NotImplementedError):
                return []  # what this system does not tell, or not to this user

        return observe

    def _cpu(self) -> Iterable[Observation]:
        times = self._psutil.cpu_times_percent()
        for mode in _CPU_MODES:
            if hasattr(times, mode):
                yield Observation(getattr(times, mode) / 100, {attr.CPU_MODE: _NAMES.get(mode, mode)})

    def _memory(self) -> Iterable[Observation]:
        memory = self._psutil.virtual_memory()
        for state in _MEMORY_STATES:
            if hasattr(memory, state):
                yield Observation(getattr(memory, state), {attr.SYSTEM_MEMORY_STATE: state})

    def _memory_share(self) -> Iterable[Observation]:
        memory = self._psutil.virtual_memory()
        for state in _MEMORY_STATES:
            if hasattr(memory, state):
                yield Observation(getattr(memory, state) / memory.total, {attr.SYSTEM_MEMORY_STATE: state})

    def _swap(self) -> Iterable[Observation]:
        swap = self._psutil.swap_memory()
        yield Observation(swap.used, {attr.SYSTEM_PAGING_STATE: "used"})
        yield Observation(swap.free, {attr.SYSTEM_PAGING_STATE: "free"})

    def _disks(self) -> Iterable[Observation]:
        for device, counters in (self._psutil.disk_io_counters(perdisk=True) or {}).items():
            yield Observation(counters.read_bytes, {attr.SYSTEM_DEVICE: device, attr.DISK_IO_DIRECTION: "read"})
            yield Observation(counters.write_bytes, {attr.SYSTEM_DEVICE: device, attr.DISK_IO_DIRECTION: "write"})

    def _networks(self) -> Iterable[Observation]:
        for name, counters in (self._psutil.net_io_counters(pernic=True) or {}).items():
            known = {attr.NETWORK_INTERFACE_NAME: name}
            yield Observation(counters.bytes_recv, {**known, attr.NETWORK_IO_DIRECTION: "receive"})
            yield Observation(counters.bytes_sent, {**known, attr.NETWORK_IO_DIRECTION: "transmit"})

    def _own_cpu(self) -> Iterable[Observation]:
        times = self._process.cpu_times()
        yield Observation(times.user, {attr.CPU_MODE: "user"})
        yield Observation(times.system, {attr.CPU_MODE: "system"})

    def _own_cpu_share(self) -> Iterable[Observation]:
        yield Observation(self._process.cpu_percent() / 100 / (os.cpu_count() or 1))

    def _own_files(self) -> Iterable[Observation]:
        yield Observation(self._process.num_fds())  # not on Windows
