"""OpenTelemetry metrics over the newest readings of the devices: one snapshot, one callback for each metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics as metric
from otel_llm_semconv.enums import HwState, HwType, OtelLlmGpuLink
from otel_llm_semconv.metrics import Metric

from otel_llm.gpu.nvml import VENDOR, Reading

_Values = Iterable[tuple[float, dict[str, Any]]]
_GPU = {attr.HW_TYPE: HwType.GPU.value}


def _one(value: float | None, **extra: Any) -> _Values:
    return [] if value is None else [(value, extra)]


def _each(values: dict[str, Any], key: str, scale: float = 1) -> Iterator[tuple[float, dict[str, Any]]]:
    for name, value in values.items():
        yield value * scale if scale != 1 else value, {key: name}


def _of_gpu(values: _Values) -> _Values:
    return [(value, {**_GPU, **extra}) for value, extra in values]


def _memory_share(reading: Reading) -> _Values:
    if reading.memory_used is None or not reading.memory_total:
        return []
    return [(reading.memory_used / reading.memory_total, {})]


def _links(reading: Reading) -> _Values:
    for link, values in (
        (OtelLlmGpuLink.PCIE, reading.pcie_bytes),
        (OtelLlmGpuLink.NVLINK, reading.nvlink_bytes),
    ):
        for direction, value in values.items():
            yield value, {attr.OTEL_LLM_GPU_LINK: link.value, attr.NETWORK_IO_DIRECTION: direction}


def _io(reading: Reading) -> _Values:
    """Bytes over all links, as upstream's metric means it."""
    for direction in {*reading.pcie_bytes, *reading.nvlink_bytes}:
        total = reading.pcie_bytes.get(direction, 0) + reading.nvlink_bytes.get(direction, 0)
        yield total, {attr.NETWORK_IO_DIRECTION: direction}


def _states(reading: Reading) -> _Values:
    if reading.device.parent is not None:
        return []
    return [
        (int(reading.state == state), {attr.HW_STATE: state.value})
        for state in (HwState.OK, HwState.DEGRADED, HwState.FAILED)
    ]


# Metric -> what a reading says of it.
_TABLE: dict[Metric, Callable[[Reading], _Values]] = {
    metric.HW_GPU_UTILIZATION: lambda reading: _each(reading.busy, attr.HW_GPU_TASK),
    metric.HW_GPU_MEMORY_USAGE: lambda reading: _one(reading.memory_used),
    metric.HW_GPU_MEMORY_LIMIT: lambda reading: _one(reading.memory_total),
    metric.HW_GPU_MEMORY_UTILIZATION: _memory_share,
    metric.HW_GPU_IO: _io,
    metric.HW_ENERGY: lambda reading: _of_gpu(_one(reading.joules)),
    metric.HW_POWER: lambda reading: _of_gpu(_one(reading.watts)),
    metric.HW_TEMPERATURE: lambda reading: _of_gpu(_each(reading.celsius, attr.HW_SENSOR_LOCATION)),
    metric.HW_ERRORS: lambda reading: _of_gpu(_each(reading.errors, attr.ERROR_TYPE)),
    metric.HW_STATUS: lambda reading: _of_gpu(_states(reading)),
    metric.OTEL_LLM_GPU_CLOCK_FREQUENCY: lambda reading: _each(reading.hertz, attr.OTEL_LLM_GPU_CLOCK_DOMAIN),
    metric.OTEL_LLM_GPU_POWER_LIMIT: lambda reading: _one(reading.watts_limit),
    metric.OTEL_LLM_GPU_THROTTLED: lambda reading: _each(
        {name: int(held) for name, held in reading.throttled.items()}, attr.OTEL_LLM_GPU_THROTTLE_REASON
    ),
    metric.OTEL_LLM_GPU_INTERCONNECT_IO: _links,
    metric.OTEL_LLM_GPU_FAN_SPEED: lambda reading: _one(reading.fan),
    metric.OTEL_LLM_GPU_PROCESS_MEMORY_USAGE: lambda reading: [
        (held, {attr.PROCESS_PID: pid}) for pid, held in reading.process_bytes.items()
    ],
}


def create(meter: Meter, readings: Callable[[], Sequence[Reading]]) -> None:
    """Create every metric; each export asks `readings` for the newest snapshot."""
    for one, take in _TABLE.items():
        instrument(meter, one, _callback(readings, take))


def instrument(meter: Meter, one: Metric, callback: Callable[[CallbackOptions], Iterable[Observation]]) -> None:
    """An observable instrument of the kind that the registry says."""
    make = {
        "counter": meter.create_observable_counter,
        "gauge": meter.create_observable_gauge,
        "updowncounter": meter.create_observable_up_down_counter,
    }[one.instrument]
    make(one.name, [callback], one.unit, one.brief)


def identity(reading: Reading) -> dict[str, Any]:
    """The attributes that say which device it is."""
    device = reading.device
    attributes = {
        attr.HW_ID: device.id,
        attr.HW_NAME: f"{device.model} {device.index}",
        attr.HW_MODEL: device.model,
        attr.HW_VENDOR: VENDOR,
        attr.HW_DRIVER_VERSION: device.driver,
    }
    return {**attributes, attr.HW_PARENT: device.parent} if device.parent else attributes


def _callback(
    readings: Callable[[], Sequence[Reading]], take: Callable[[Reading], _Values]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterator[Observation]:
        for reading in readings():
            known = identity(reading)
            for value, extra in take(reading):
                yield Observation(value, {**known, **extra})

    return observe
