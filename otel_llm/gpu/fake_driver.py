"""A stand-in for NVIDIA's driver library, for machines without a GPU.

It imitates `libnvidia-ml.so.1` as NVML's reference manual describes it, below the real binding: `pynvml` calls its
functions with its own C structures, so structure layouts, versions, error codes and the two-step protocols are used for
real. It refuses what the driver refuses: calls before `nvmlInit`, unknown handles, wrong structure versions, buffers
that are too small, on MIG instances everything but memory, and the utilisation of a device that is divided into such.
Its energy counter moves every 100 ms, as real ones do. It is no recording of a driver; tests give it figures that were
recorded on real machines, and what those could not tell (`tests/data/nvml/machines.json`).

    with fake_driver.installed(FakeDriver([FakeGpu()])):
        ...  # pynvml works
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from otel_llm.gpu.fake_devices import FakeGpu, FakeProcess

__all__ = ["FakeDriver", "FakeGpu", "FakeProcess", "installed"]

SUCCESS, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND, INSUFFICIENT_SIZE = 0, 1, 2, 3, 6, 7
GPU_IS_LOST, ARGUMENT_VERSION_MISMATCH = 15, 25
ENERGY_REFRESH_SECONDS = 0.1

_UNSIGNED, _UNSIGNED_64 = 1, 3  # NVML_VALUE_TYPE_UNSIGNED_INT, _UNSIGNED_LONG_LONG
_MEMORY_V2, _TEMPERATURE_V1 = 0x02000028, 0x0100000C
_FIRST_HANDLE = 0x1000


class FakeDriver:
    """The library: its attributes are the functions that `pynvml` looks up. `clock` gives seconds."""

    def __init__(
        self,
        gpus: Sequence[FakeGpu],
        *,
        clock: Callable[[], float] = time.monotonic,
        missing: frozenset[str] = frozenset(),
        version: str = "580.00",
    ) -> None:
        self.gpus = list(gpus)
        self.version = version
        self.calls: dict[str, int] = {}
        self._clock = clock
        self._missing = missing  # functions that this driver is too old for
        self._initialized = 0
        self._refreshed = clock()
        self._all = [one for gpu in self.gpus for one in (gpu, *gpu.mig)]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = None if name in self._missing else _FUNCTIONS.get(name)
        if function is None:
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            if not self._initialized and name not in {"nvmlInitWithFlags", "nvmlErrorString"}:
                return UNINITIALIZED
            return function(self, *arguments)

        return call

    def find(self, handle: Any) -> FakeGpu | None:
        """The device of a handle."""
        address = ctypes.cast(handle, ctypes.c_void_p).value or 0
        index = address - _FIRST_HANDLE
        return self._all[index] if 0 <= index < len(self._all) else None

    def hand_out(self, gpu: FakeGpu, reference: Any) -> int:
        """Write a device's handle to where the binding wants it."""
        index = next(number for number, one in enumerate(self._all) if one is gpu)
        ctypes.cast(reference, ctypes.POINTER(ctypes.c_void_p))[0] = _FIRST_HANDLE + index
        return SUCCESS

    def start(self) -> int:
        """One `nvmlInit`."""
        self._initialized += 1
        return SUCCESS

    def shut_down(self) -> int:
        """Undo one `nvmlInit`."""
        self._initialized -= 1
        return SUCCESS

    def refresh(self) -> None:
        """Move the energy counters, in steps of `ENERGY_REFRESH_SECONDS`."""
        steps = int((self._clock() - self._refreshed) / ENERGY_REFRESH_SECONDS + 1e-9)
        self._refreshed += steps * ENERGY_REFRESH_SECONDS
        for gpu in self.gpus:
            gpu.millijoules += (gpu.watts or 0.0) * 1000 * steps * ENERGY_REFRESH_SECONDS

    def microseconds(self) -> int:
        """The driver's clock."""
        return int(self._clock() * 1e6)


@contextmanager
def installed(driver: FakeDriver) -> Iterator[FakeDriver]:
    """Put `driver` below `pynvml`; afterwards everything is as before."""
    pynvml: Any = import_module("pynvml")
    before, functions = pynvml.nvmlLib, dict(pynvml._nvmlGetFunctionPointer_cache)  # noqa: SLF001 - its only seam
    pynvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001
    pynvml.nvmlLib = driver
    try:
        yield driver
    finally:
        pynvml.nvmlLib = before
        pynvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001
        pynvml._nvmlGetFunctionPointer_cache.update(functions)  # noqa: SLF001


_Function = Callable[..., Any]
_FUNCTIONS: dict[str, _Function] = {}


def _function(name: str) -> Callable[[_Function], _Function]:
    def add(function: _Function) -> _Function:
        _FUNCTIONS[name] = function
        return function

    return add


def _of_device(name: str, *, mig: bool = False) -> Callable[[_Function], _Function]:
    """A function whose first argument is a handle; `mig`: it works on MIG instances too."""

    def add(function: _Function) -> _Function:
        def call(driver: FakeDriver, handle: Any, *arguments: Any) -> Any:
            gpu = driver.find(handle)
            if gpu is None:
                return INVALID_ARGUMENT
            if gpu.lost:
                return GPU_IS_LOST
            if name in gpu.unsupported or (not mig and not any(gpu is one for one in driver.gpus)):
                return NOT_SUPPORTED
            return function(driver, gpu, *arguments)

        _FUNCTIONS[name] = call
        return function

    return add


def _write(reference: Any, value: float | None) -> int:
    if value is None:
        return NOT_SUPPORTED
    reference._obj.value = int(value)  # noqa: SLF001 - how ctypes hands out what `byref` was given
    return SUCCESS


def _write_text(buffer: Any, size: Any, text: str) -> int:
    if len(text) >= size.value:
        return INSUFFICIENT_SIZE
    buffer.value = text.encode()
    return SUCCESS


@_function("nvmlInitWithFlags")
def _init(driver: FakeDriver, flags: int) -> int:
    return driver.start()


@_function("nvmlShutdown")
def _shutdown(driver: FakeDriver) -> int:
    return driver.shut_down()


@_function("nvmlErrorString")
def _error_string(driver: FakeDriver, code: int) -> bytes:
    return f"error {code}".encode()


@_function("nvmlSystemGetDriverVersion")
def _driver_version(driver: FakeDriver, buffer: Any, size: Any) -> int:
    return _write_text(buffer, size, driver.version)


@_function("nvmlDeviceGetCount_v2")
def _count(driver: FakeDriver, count: Any) -> int:
    return _write(count, len(driver.gpus))


@_function("nvmlDeviceGetHandleByIndex_v2")
def _handle(driver: FakeDriver, index: Any, device: Any) -> int:
    if index.value >= len(driver.gpus):
        return INVALID_ARGUMENT
    return driver.hand_out(driver.gpus[index.value], device)


@_of_device("nvmlDeviceGetUUID", mig=True)
def _uuid(driver: FakeDriver, gpu: FakeGpu, buffer: Any, size: Any) -> int:
    return _write_text(buffer, size, gpu.uuid)


@_of_device("nvmlDeviceGetName", mig=True)
def _name(driver: FakeDriver, gpu: FakeGpu, buffer: Any, size: Any) -> int:
    return _write_text(buffer, size, gpu.name)


@_of_device("nvmlDeviceGetMigMode")
def _mig_mode(driver: FakeDriver, gpu: FakeGpu, current: Any, pending: Any) -> int:
    _write(current, bool(gpu.mig))
    return _write(pending, bool(gpu.mig))


@_of_device("nvmlDeviceGetMaxMigDeviceCount")
def _mig_count(driver: FakeDriver, gpu: FakeGpu, count: Any) -> int:
    return _write(count, 7 if gpu.mig else 0)


@_of_device("nvmlDeviceGetMigDeviceHandleByIndex")
def _mig_handle(driver: FakeDriver, gpu: FakeGpu, index: Any, device: Any) -> int:
    if index.value >= len(gpu.mig):
        return NOT_FOUND
    return driver.hand_out(gpu.mig[index.value], device)


@_of_device("nvmlDeviceGetAttributes_v2", mig=True)
def _attributes(driver: FakeDriver, gpu: FakeGpu, attributes: Any) -> int:
    if any(gpu is one for one in driver.gpus):
        return NOT_SUPPORTED  # only MIG instances have them
    attributes._obj.gpuInstanceSliceCount = gpu.slices  # noqa: SLF001
    return SUCCESS


@_of_device("nvmlDeviceGetMemoryInfo_v2", mig=True)
def _memory_v2(driver: FakeDriver, gpu: FakeGpu, memory: Any) -> int:
    info = memory._obj  # noqa: SLF001
    if info.version != _MEMORY_V2:
        return ARGUMENT_VERSION_MISMATCH
    info.total, info.reserved, info.used = gpu.memory_total, gpu.memory_reserved, gpu.memory_used
    info.free = gpu.memory_total - gpu.memory_reserved - gpu.memory_used
    return SUCCESS


@_of_device("nvmlDeviceGetMemoryInfo", mig=True)
def _memory(driver: FakeDriver, gpu: FakeGpu, memory: Any) -> int:
    info = memory._obj  # noqa: SLF001
    info.total, info.used = gpu.memory_total, gpu.memory_used + gpu.memory_reserved
    info.free = info.total - info.used
    return SUCCESS


@_of_device("nvmlDeviceGetTotalEnergyConsumption")
def _energy(driver: FakeDriver, gpu: FakeGpu, millijoules: Any) -> int:
    driver.refresh()
    return NOT_SUPPORTED if gpu.watts is None else _write(millijoules, gpu.millijoules)


@_of_device("nvmlDeviceGetPowerUsage")
def _power(driver: FakeDriver, gpu: FakeGpu, milliwatts: Any) -> int:
    return NOT_SUPPORTED if gpu.watts is None else _write(milliwatts, gpu.watts * 1000)


@_of_device("nvmlDeviceGetEnforcedPowerLimit")
def _power_limit(driver: FakeDriver, gpu: FakeGpu, milliwatts: Any) -> int:
    return _write(milliwatts, gpu.power_limit_watts * 1000)


@_of_device("nvmlDeviceGetUtilizationRates")
def _utilization(driver: FakeDriver, gpu: FakeGpu, rates: Any) -> int:
    if gpu.busy_percent is None or gpu.mig:
        return NOT_SUPPORTED
    rates._obj.gpu, rates._obj.memory = gpu.busy_percent, gpu.busy_percent // 2  # noqa: SLF001
    return SUCCESS


@_of_device("nvmlDeviceGetEncoderUtilization")
def _encoder(driver: FakeDriver, gpu: FakeGpu, percent: Any, period: Any) -> int:
    _write(period, 167_000)
    return _write(percent, None if gpu.mig else gpu.encoder_percent)


@_of_device("nvmlDeviceGetDecoderUtilization")
def _decoder(driver: FakeDriver, gpu: FakeGpu, percent: Any, period: Any) -> int:
    _write(period, 167_000)
    return _write(percent, None if gpu.mig else gpu.decoder_percent)


@_of_device("nvmlDeviceGetFanSpeed")
def _fan(driver: FakeDriver, gpu: FakeGpu, percent: Any) -> int:
    return _write(percent, gpu.fan_percent)


@_of_device("nvmlDeviceGetClockInfo")
def _clock_info(driver: FakeDriver, gpu: FakeGpu, kind: Any, megahertz: Any) -> int:
    if kind.value >= len(gpu.clocks):
        return NOT_SUPPORTED
    return _write(megahertz, gpu.clocks[kind.value])


@_of_device("nvmlDeviceGetCurrentClocksEventReasons")
@_of_device("nvmlDeviceGetCurrentClocksThrottleReasons")
def _reasons(driver: FakeDriver, gpu: FakeGpu, reasons: Any) -> int:
    return _write(reasons, gpu.throttle_bits)


@_of_device("nvmlDeviceGetTemperature")
def _temperature(driver: FakeDriver, gpu: FakeGpu, sensor: Any, celsius: Any) -> int:
    return _write(celsius, gpu.celsius) if sensor.value == 0 else INVALID_ARGUMENT


@_of_device("nvmlDeviceGetTemperatureV")
def _temperature_v(driver: FakeDriver, gpu: FakeGpu, reading: Any) -> int:
    if reading._obj.version != _TEMPERATURE_V1:  # noqa: SLF001
        return ARGUMENT_VERSION_MISMATCH
    if reading._obj.sensorType != 0:  # noqa: SLF001
        return INVALID_ARGUMENT
    reading._obj.temperature = gpu.celsius  # noqa: SLF001
    return SUCCESS


@_of_device("nvmlDeviceGetFieldValues")
def _field_values(driver: FakeDriver, gpu: FakeGpu, count: Any, values: Any) -> int:
    fields: dict[int, tuple[int, float | None]] = {
        186: (_UNSIGNED, None if gpu.watts is None else gpu.watts * 1000),
        82: (_UNSIGNED, gpu.memory_celsius),
        197: (_UNSIGNED, gpu.pcie_bytes[0] % 2**32),
        198: (_UNSIGNED, gpu.pcie_bytes[1] % 2**32),
        94: (_UNSIGNED, gpu.pcie_replays),
        138: (_UNSIGNED_64, gpu.nvlink_kib[0] if gpu.nvlink_kib else None),
        139: (_UNSIGNED_64, gpu.nvlink_kib[1] if gpu.nvlink_kib else None),
        3: (_UNSIGNED_64, gpu.ecc[0] if gpu.ecc else None),
        4: (_UNSIGNED_64, gpu.ecc[1] if gpu.ecc else None),
        144: (_UNSIGNED, gpu.remap[0] if gpu.remap else None),
        145: (_UNSIGNED, gpu.remap[1] if gpu.remap else None),
    }
    for value in values._obj[: count.value]:  # noqa: SLF001
        kind, number = fields.get(value.fieldId, (_UNSIGNED, None))
        if number is None or str(value.fieldId) in gpu.unsupported:
            value.nvmlReturn = NOT_SUPPORTED
            continue
        value.nvmlReturn, value.valueType, value.timestamp = SUCCESS, kind, driver.microseconds()
        setattr(value.value, "uiVal" if kind == _UNSIGNED else "ullVal", int(number))
    return SUCCESS


@_of_device("nvmlDeviceGetComputeRunningProcesses_v3")
def _processes(driver: FakeDriver, gpu: FakeGpu, count: Any, found: Any) -> int:
    room = count._obj.value if found is not None else 0  # noqa: SLF001
    _write(count, len(gpu.processes))
    if len(gpu.processes) > room:
        return INSUFFICIENT_SIZE
    for place, process in zip(found or (), gpu.processes, strict=False):
        place.pid, place.usedGpuMemory = process.pid, process.memory
    return SUCCESS


@_of_device("nvmlDeviceGetProcessUtilization")
def _process_utilization(driver: FakeDriver, gpu: FakeGpu, samples: Any, count: Any, since: Any) -> int:
    now = driver.microseconds()
    working = [one for one in gpu.processes if one.sm_percent] if now > since.value else []
    if gpu.mig:
        return NOT_SUPPORTED
    if not working:
        return NOT_FOUND
    room = count._obj.value if samples is not None else 0  # noqa: SLF001
    _write(count, len(working))
    if len(working) > room:
        return INSUFFICIENT_SIZE
    for place, process in zip(samples, working, strict=False):
        place.pid, place.timeStamp, place.smUtil = process.pid, now, process.sm_percent
    return SUCCESS
