"""Measures the GPU work of this process and writes each span's share of it on the span.

Which part of a device's work is this process' own: by the driver's samples of process utilisation where it has them,
else evenly by processes. In a container the driver's process ids are the host's, so a device with a single process is
taken for ours when this process has CUDA loaded.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from opentelemetry.trace import Span
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics as metric
from otel_llm_semconv.enums import OtelLlmGpuMethod as Method

from otel_llm import providers
from otel_llm.gpu.ledger import Ledger, Share, Used, Work
from otel_llm.gpu.nvml import Nvml, Reading

logger = logging.getLogger(__name__)

ENOUGH_INTERVALS = 3  # fewer readings than this within a span are marked: the counters move every 100 ms


class GpuMeter:
    """The ledger of this process, fed with readings. Safe to use from any thread."""

    def __init__(
        self,
        nvml: Nvml,
        *,
        clock: Callable[[], float] = time.monotonic,
        pids: Collection[int] | None = None,
        uses_cuda: Callable[[], bool] | None = None,
        began: Callable[[], None] = lambda: None,
    ) -> None:
        self.nvml = nvml
        self._clock = clock
        self._pids = frozenset(own_pids() if pids is None else pids)
        self._uses_cuda = uses_cuda or cuda_is_loaded
        self._began = began  # told when the first span of several begins
        self._lock = threading.Lock()
        self._ledger = Ledger(clock())
        self._method = Method.COUNTER_SHARE
        self._estimated: dict[str, tuple[float, float]] = {}  # device -> (time, joules) where there is no counter
        self._own: dict[str, tuple[frozenset[int], float]] = {}  # device -> (its processes, our share)
        meter = providers.meter("otel_llm.gpu")
        self._energy, self._time, self._token_energy = (
            meter.create_histogram(
                one.name, one.unit, one.brief, explicit_bucket_boundaries_advisory=list(one.boundaries)
            )
            for one in (
                metric.OTEL_LLM_GPU_REQUEST_ENERGY,
                metric.OTEL_LLM_GPU_REQUEST_TIME,
                metric.OTEL_LLM_GPU_OUTPUT_TOKEN_ENERGY,
            )
        )

    @property
    def in_flight(self) -> int:
        """How many spans share at the moment."""
        return self._ledger.in_flight

    def left(self) -> dict[str, float]:
        """Joules of this process by device that no span was in flight for."""
        with self._lock:
            return dict(self._ledger.left)

    def begin(self) -> Share:
        """A span of a local model starts."""
        with self._lock:
            share = self._ledger.begin(self._clock())
            first = self._ledger.in_flight == 1
        if first:
            self._began()
        return share

    def end(self, begun: Share, span: Span) -> None:
        """The span is about to end: write its share on it, and into the histograms."""
        with self._lock:
            used = self._ledger.end(begun, self._clock())
        if used.devices and span.is_recording():
            self._write(used, span)

    def take(self, readings: list[Reading]) -> None:
        """Share out what happened since the last readings."""
        now = self._clock()
        works = [self._work(reading, now) for reading in readings if reading.device.parent is None]
        with self._lock:
            self._ledger.tick(now, [one for one in works if one is not None])

    def _work(self, reading: Reading, now: float) -> Work | None:
        joules = reading.joules
        if joules is None:
            if reading.watts is None:
                return None
            self._method = Method.INSTANT_POWER
            at, before = self._estimated.get(reading.device.id, (now, 0.0))
            joules = before + reading.watts * (now - at)
            self._estimated[reading.device.id] = (now, joules)
        own, own_bytes = self._own_part(reading)
        return Work(reading.device.id, joules, reading.busy.get("general"), own, own_bytes)

    def _own_part(self, reading: Reading) -> tuple[float, int]:
        """Our share of the device's work, and the memory that it holds there."""
        processes = frozenset(reading.process_bytes)
        mine = processes & self._pids
        if not mine and len(processes) == 1 and self._uses_cuda():
            mine = processes
        if not mine:
            return 0.0, 0
        own_bytes = sum(reading.process_bytes[pid] for pid in mine)
        busy = sum(reading.process_busy.values())
        if busy > 0:
            own = sum(reading.process_busy.get(pid, 0.0) for pid in mine) / busy
            self._own[reading.device.id] = (processes, own)
            return own, own_bytes
        before = self._own.get(reading.device.id)
        if before is not None and before[0] == processes:
            return before[1], own_bytes  # no new sample: as it was
        return len(mine) / len(processes), own_bytes

    def _write(self, used: Used, span: Span) -> None:
        span.set_attributes(
            {
                attr.OTEL_LLM_GPU_ENERGY: used.joules,
                attr.OTEL_LLM_GPU_METHOD: self._method.value,
                attr.OTEL_LLM_GPU_SAMPLE_COUNT: used.intervals,
                attr.OTEL_LLM_GPU_LOW_CONFIDENCE: used.intervals < ENOUGH_INTERVALS,
                attr.OTEL_LLM_GPU_DEVICE_IDS: sorted(used.devices),
            }
        )
        if used.gpu_seconds is not None:
            span.set_attribute(attr.OTEL_LLM_GPU_SECONDS, used.gpu_seconds)
        if used.peak_bytes:
            span.set_attribute(attr.OTEL_LLM_GPU_MEMORY_PEAK, used.peak_bytes)
        written = getattr(span, "attributes", None) or {}
        operation = written.get(attr.GEN_AI_OPERATION_NAME) or written.get(attr.OTEL_LLM_OPERATION_NAME)
        model = written.get(attr.GEN_AI_REQUEST_MODEL)
        labels = {attr.GEN_AI_OPERATION_NAME: operation, attr.GEN_AI_REQUEST_MODEL: model}
        labels = {key: value for key, value in labels.items() if value}
        self._energy.record(used.joules, labels)
        if used.gpu_seconds is not None:
            self._time.record(used.gpu_seconds, labels)
        tokens = written.get(attr.GEN_AI_USAGE_OUTPUT_TOKENS)
        if isinstance(tokens, int) and tokens > 0:
            span.set_attribute(attr.OTEL_LLM_GPU_ENERGY_PER_OUTPUT_TOKEN, used.joules / tokens)
            if used.gpu_seconds is not None:
                span.set_attribute(attr.OTEL_LLM_GPU_SECONDS_PER_OUTPUT_TOKEN, used.gpu_seconds / tokens)
            self._token_energy.record(used.joules / tokens, labels)


def own_pids() -> set[int]:
    """Our ids in every namespace that it can see: the driver knows the outermost one."""
    pids = {os.getpid()}
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("NSpid:"):
                pids.update(int(one) for one in line.split()[1:])
    except (OSError, ValueError):
        pass  # no Linux: the plain id it is
    return pids


def cuda_is_loaded() -> bool:
    """Whether this process has the CUDA driver mapped."""
    try:
        return "libcuda.so" in Path("/proc/self/maps").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
