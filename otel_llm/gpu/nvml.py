"""Reads NVIDIA devices through NVML: one `Reading` per device, everything in it from the same moment.

The binding is `nvidia-ml-py` (imported as `pynvml`, the extra `gpu`). What a device does not support is asked once and
never again; nothing is reported as zero that was not measured. No call here blocks for a sampling window: PCIe and
NVLink come as byte counters, power as the instantaneous value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

VENDOR = "NVIDIA"

_ALL_LINKS = 0xFFFFFFFF  # NVLink counters summed over the links
_KIB = 1024
_BYTES_OF_COUNTER = 1 << 32  # the driver's PCIe counters wrap here
_UNION = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}  # NVML_VALUE_TYPE_*

# Field ids, asked in one call: name here -> (constant of the binding, scope).
_FIELDS = {
    "power_mw": ("NVML_FI_DEV_POWER_INSTANT", 0),
    "memory_celsius": ("NVML_FI_DEV_MEMORY_TEMP", 0),
    "pcie_transmit": ("NVML_FI_DEV_PCIE_COUNT_TX_BYTES", 0),
    "pcie_receive": ("NVML_FI_DEV_PCIE_COUNT_RX_BYTES", 0),
    "pcie_replays": ("NVML_FI_DEV_PCIE_REPLAY_COUNTER", 0),
    "nvlink_transmit_kib": ("NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX", _ALL_LINKS),
    "nvlink_receive_kib": ("NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX", _ALL_LINKS),
    "ecc_corrected": ("NVML_FI_DEV_ECC_SBE_VOL_TOTAL", 0),
    "ecc_uncorrected": ("NVML_FI_DEV_ECC_DBE_VOL_TOTAL", 0),
    "remap_pending": ("NVML_FI_DEV_REMAPPED_PENDING", 0),
    "remap_failure": ("NVML_FI_DEV_REMAPPED_FAILURE", 0),
}

# Why clocks are held down, by bit; idle and settings of the operator are not throttling.
THROTTLE_REASONS = {
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake",
}

# Errors that will be the same next time.
_NEVER = ("NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "NO_PERMISSION", "ARGUMENT_VERSION_MISMATCH", "INVALID_ARGUMENT")

_CLOCKS = {"graphics": "NVML_CLOCK_GRAPHICS", "sm": "NVML_CLOCK_SM", "memory": "NVML_CLOCK_MEM"}


class UnavailableError(Exception):
    """There is nothing to read here; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Device:
    """What does not change about a device. A MIG instance has the device it is part of as its `parent`."""

    id: str
    index: int
    model: str
    driver: str
    parent: str | None = None
    slices: int | None = None  # compute slices of a MIG instance


@dataclass(slots=True)
class Reading:
    """One device at one moment. None and missing keys are what the device does not tell; joules and bytes only grow."""

    device: Device
    busy: dict[str, float] = field(default_factory=dict)  # task -> share of time in which some kernel ran
    memory_used: int | None = None  # bytes, without what the driver reserves
    memory_total: int | None = None
    joules: float | None = None
    watts: float | None = None
    watts_limit: float | None = None
    celsius: dict[str, float] = field(default_factory=dict)
    fan: float | None = None  # share of its highest speed
    hertz: dict[str, float] = field(default_factory=dict)
    throttled: dict[str, bool] = field(default_factory=dict)
    pcie_bytes: dict[str, int] = field(default_factory=dict)
    nvlink_bytes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    state: str = "ok"
    process_bytes: dict[int, int] = field(default_factory=dict)  # pid -> bytes of device memory
    process_busy: dict[int, float] = field(default_factory=dict)  # pid -> share of time on the multiprocessors


@dataclass(slots=True)
class _Handle:
    """An opened device: the binding's handle, what it does not support, and what its counters were."""

    device: Device
    raw: Any
    instances: list[_Handle] = field(default_factory=list)
    unsupported: set[str] = field(default_factory=set)
    fields: list[str] = field(default_factory=lambda: list(_FIELDS))
    counted: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> (last raw value, total so far)
    seen: int = 0  # timestamp of the newest sample of process utilisation


class Nvml:
    """The devices of this machine. `binding` is `pynvml` unless a test or a recording stands in for it."""

    def __init__(self, binding: Any = None) -> None:
        try:
            self._nvml = binding or import_module("pynvml")
        except ImportError as error:
            text = "the package nvidia-ml-py is not installed; pip install 'otel-llm[gpu]'"
            raise UnavailableError(text) from error
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            raise UnavailableError(
                f"NVML does not start: {error}; is the NVIDIA driver installed and loaded?"
            ) from error
        self._never = {getattr(self._nvml, f"NVML_ERROR_{name}") for name in _NEVER}
        self._handles = list(self._open())

    @property
    def devices(self) -> list[Device]:
        """Every device, MIG instances behind the one they are part of."""
        return [one.device for handle in self._handles for one in (handle, *handle.instances)]

    def close(self) -> None:
        """Let go of the driver."""
        self._handles = []
        with suppress(self._nvml.NVMLError):  # it is gone already
            self._nvml.nvmlShutdown()

    def read(self) -> list[Reading]:
        """Everything that every device tells."""
        return [reading for handle in self._handles for reading in self._read(handle)]

    def read_work(self) -> list[Reading]:
        """Only what sharing among spans needs, for short intervals: energy, power, busy time, processes."""
        readings = []
        for handle in self._handles:
            reading = Reading(handle.device)
            try:
                self._read_energy(handle, reading, self._field_values(handle, ["power_mw"]))
                self._read_busy(handle, reading)
                self._read_processes(handle, reading)
            except self._nvml.NVMLError:
                reading.state = "failed"
            readings.append(reading)
        return readings

    def _open(self) -> Iterator[_Handle]:
        driver = self._text(self._nvml.nvmlSystemGetDriverVersion())
        for index in range(self._nvml.nvmlDeviceGetCount()):
            try:
                raw = self._nvml.nvmlDeviceGetHandleByIndex(index)
                identity = self._text(self._nvml.nvmlDeviceGetUUID(raw))
                model = self._text(self._nvml.nvmlDeviceGetName(raw))
            except self._nvml.NVMLError:
                continue  # lost, or not for this user: the others are read all the same
            handle = _Handle(Device(identity, index, model, driver), raw)
            handle.instances = list(self._open_instances(handle))
            yield handle

    def _open_instances(self, parent: _Handle) -> Iterator[_Handle]:
        """The MIG instances of a device."""
        mode = self._ask(parent, "mig", self._nvml.nvmlDeviceGetMigMode, parent.raw)
        if not mode or not mode[0]:
            return
        for index in range(self._nvml.nvmlDeviceGetMaxMigDeviceCount(parent.raw)):
            try:
                raw = self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(parent.raw, index)
                identity = self._text(self._nvml.nvmlDeviceGetUUID(raw))
                model = self._text(self._nvml.nvmlDeviceGetName(raw))
            except self._nvml.NVMLError:
                continue  # places without an instance answer "not found"
            handle = _Handle(Device(identity, index, model, parent.device.driver, parent.device.id), raw)
            attributes = self._ask(handle, "attributes", self._nvml.nvmlDeviceGetAttributes, raw)
            slices = int(attributes.gpuInstanceSliceCount) if attributes is not None else None
            yield _Handle(Device(identity, index, model, parent.device.driver, parent.device.id, slices), raw)

    def _read(self, handle: _Handle) -> Iterator[Reading]:
        reading = Reading(handle.device)
        try:
            values = self._field_values(handle, handle.fields)
            self._read_energy(handle, reading, values)
            self._read_busy(handle, reading)
            self._read_memory(handle, reading)
            self._read_clocks(handle, reading, values)
            self._read_links(handle, reading, values)
            self._read_health(reading, values)
            self._read_processes(handle, reading)
        except self._nvml.NVMLError:  # the device is lost or must be reset: what it said before that still counts
            reading.state = "failed"
        yield reading
        for instance in handle.instances:
            part = Reading(instance.device)
            self._read_memory(instance, part)  # the rest is not told per instance
            yield part

    def _ask(self, handle: _Handle, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function` says, None when the device cannot tell; raises when the device is lost."""
        if name in handle.unsupported:
            return None
        try:
            return function(*arguments)
        except self._nvml.NVMLError as error:
            if error.value in self._never:
                handle.unsupported.add(name)
            elif error.value in {self._nvml.NVML_ERROR_GPU_IS_LOST, self._nvml.NVML_ERROR_RESET_REQUIRED}:
                raise
            return None

    def _field_values(self, handle: _Handle, names: Sequence[str]) -> dict[str, float]:
        """Many fields in one call; those that the device does not have are not asked for again."""
        names = [name for name in names if name not in handle.unsupported]
        if not names:
            return {}
        wanted = [(getattr(self._nvml, _FIELDS[name][0]), _FIELDS[name][1]) for name in names]
        answers = self._ask(handle, "fields", self._nvml.nvmlDeviceGetFieldValues, handle.raw, wanted)
        values = {}
        for name, answer in zip(names, answers or (), strict=False):
            if answer.nvmlReturn == self._nvml.NVML_SUCCESS:
                values[name] = getattr(answer.value, _UNION[answer.valueType])
            elif answer.nvmlReturn in self._never:
                handle.unsupported.add(name)
                handle.fields = [one for one in handle.fields if one != name]
        return values

    def _read_energy(self, handle: _Handle, reading: Reading, values: dict[str, float]) -> None:
        millijoules = self._ask(handle, "energy", self._nvml.nvmlDeviceGetTotalEnergyConsumption, handle.raw)
        milliwatts = values.get("power_mw")
        if milliwatts is None:
            milliwatts = self._ask(handle, "power", self._nvml.nvmlDeviceGetPowerUsage, handle.raw)
        reading.joules = None if millijoules is None else millijoules / 1000
        reading.watts = None if milliwatts is None else milliwatts / 1000

    def _read_busy(self, handle: _Handle, reading: Reading) -> None:
        rates = self._ask(handle, "busy", self._nvml.nvmlDeviceGetUtilizationRates, handle.raw)
        if rates is not None:
            reading.busy["general"] = rates.gpu / 100

    def _read_memory(self, handle: _Handle, reading: Reading) -> None:
        version = self._nvml.nvmlMemory_v2
        memory = self._ask(handle, "memory_v2", self._nvml.nvmlDeviceGetMemoryInfo, handle.raw, version)
        if memory is None:  # an older driver, whose `used` has the reserved part in it
            memory = self._ask(handle, "memory", self._nvml.nvmlDeviceGetMemoryInfo, handle.raw)
        if memory is not None:
            reading.memory_used, reading.memory_total = int(memory.used), int(memory.total)

    def _read_clocks(self, handle: _Handle, reading: Reading, values: dict[str, float]) -> None:
        nvml = self._nvml
        for name, constant in _CLOCKS.items():
            megahertz = self._ask(
                handle, f"clock_{name}", nvml.nvmlDeviceGetClockInfo, handle.raw, getattr(nvml, constant)
            )
            if megahertz is not None:
                reading.hertz[name] = megahertz * 1e6
        reasons = self._ask(handle, "throttle", nvml.nvmlDeviceGetCurrentClocksEventReasons, handle.raw)
        if reasons is None:  # the name that drivers before 535 know
            reasons = self._ask(handle, "throttle_old", nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle.raw)
        if reasons is not None:
            reading.throttled = {name: bool(reasons & bit) for bit, name in THROTTLE_REASONS.items()}
        limit = self._ask(handle, "limit", nvml.nvmlDeviceGetEnforcedPowerLimit, handle.raw)
        reading.watts_limit = None if limit is None else limit / 1000
        fan = self._ask(handle, "fan", nvml.nvmlDeviceGetFanSpeed, handle.raw)
        reading.fan = None if fan is None else fan / 100
        for task, function in (
            ("encoder", nvml.nvmlDeviceGetEncoderUtilization),
            ("decoder", nvml.nvmlDeviceGetDecoderUtilization),
        ):
            rate = self._ask(handle, task, function, handle.raw)
            if rate is not None:
                reading.busy[task] = rate[0] / 100
        core = self._ask(handle, "celsius", nvml.nvmlDeviceGetTemperatureV, handle.raw, nvml.NVML_TEMPERATURE_GPU)
        if core is None:
            core = self._ask(
                handle, "celsius_old", nvml.nvmlDeviceGetTemperature, handle.raw, nvml.NVML_TEMPERATURE_GPU
            )
        if core is not None:
            reading.celsius["gpu"] = float(core)
        if values.get("memory_celsius"):  # 0 where the memory has no sensor
            reading.celsius["memory"] = float(values["memory_celsius"])

    def _read_links(self, handle: _Handle, reading: Reading, values: dict[str, float]) -> None:
        for direction in ("receive", "transmit"):
            name = f"pcie_{direction}"
            if name in values:
                reading.pcie_bytes[direction] = self._grown(handle, name, int(values[name]))
            if (kib := values.get(f"nvlink_{direction}_kib")) is not None:
                reading.nvlink_bytes[direction] = int(kib) * _KIB

    def _grown(self, handle: _Handle, name: str, value: int) -> int:
        """A total that only grows, from a counter of the driver that may wrap."""
        before, total = handle.counted.get(name, (value, value))
        step = value - before
        if step < 0:
            step = value + _BYTES_OF_COUNTER - before if before < _BYTES_OF_COUNTER else value
        handle.counted[name] = (value, total + step)
        return total + step

    def _read_health(self, reading: Reading, values: dict[str, float]) -> None:
        for kind, name in (
            ("corrected", "ecc_corrected"),
            ("uncorrected", "ecc_uncorrected"),
            ("pcie_replay", "pcie_replays"),
        ):
            if name in values:
                reading.errors[kind] = int(values[name])
        if values.get("remap_failure"):
            reading.state = "failed"
        elif values.get("remap_pending") or values.get("ecc_uncorrected"):
            reading.state = "degraded"

    def _read_processes(self, handle: _Handle, reading: Reading) -> None:
        processes = self._ask(handle, "processes", self._nvml.nvmlDeviceGetComputeRunningProcesses, handle.raw)
        for process in processes or ():
            reading.process_bytes[process.pid] = process.usedGpuMemory or 0
        samples = self._ask(handle, "process_busy", self._nvml.nvmlDeviceGetProcessUtilization, handle.raw, handle.seen)
        by_process: dict[int, list[int]] = {}
        for sample in samples or ():
            by_process.setdefault(sample.pid, []).append(sample.smUtil)
            handle.seen = max(handle.seen, int(sample.timeStamp))
        reading.process_busy = {pid: sum(found) / len(found) / 100 for pid, found in by_process.items()}

    @staticmethod
    def _text(value: bytes | str) -> str:
        return value.decode(errors="replace") if isinstance(value, bytes) else value
