"""`watch_hardware`: metrics of GPUs, machine and process from one thread, and GPU work on the spans of local models.

One process of a host reports for the host (a file lock decides which), so ten workers do not report ten times; each
process measures its own spans. The thread reads once a second, and every 100 ms while a local model's span is in
flight. Where there is no driver it says so once and the rest goes on.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics as metric

from otel_llm import local_work, providers
from otel_llm.gpu.meter import GpuMeter
from otel_llm.gpu.metrics import create, instrument
from otel_llm.gpu.nvml import Nvml, Reading, UnavailableError
from otel_llm.system import Machine

try:
    import fcntl
except ImportError:  # Windows: every process reports for the host
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

READ_SECONDS = 1.0
WORK_SECONDS = 0.1  # as often as the energy counters move
STALE_READS = 5  # readings older than this many intervals are not reported
LOCK_RETRY_SECONDS = 10.0

_lock = threading.Lock()
_watch: Watch | None = None


def watch_hardware(*, gpu: bool = True, system: bool = True, seconds: float = READ_SECONDS) -> Watch:
    """Report GPUs, machine and process as metrics; a second call returns the first one's watch.

    Args:
        gpu: Read NVIDIA devices; needs the extra `otel-llm[gpu]` and a driver, and does without when there is none.
        system: Read machine and process through psutil, part of the same extra.
        seconds: How often devices are read, at least 0.1.

    Raises:
        ValueError: `seconds` is too small.

    """
    global _watch  # noqa: PLW0603 - one per process
    if seconds < WORK_SECONDS:
        raise ValueError(f"watch_hardware: seconds is {seconds!r}; use at least {WORK_SECONDS}")
    with _lock:
        if _watch is None or _watch.stopped:
            nvml = _open() if gpu else None
            _watch = Watch(nvml, system=_psutil() if system else None, seconds=seconds)
            _watch.start()
        return _watch


def _open() -> Nvml | None:
    try:
        return Nvml()
    except UnavailableError as error:
        logger.warning("otel_llm: no GPU metrics: %s", error)
    except Exception as error:  # a broken driver must not stop the program
        logger.warning("otel_llm: no GPU metrics: NVML failed (%s: %s)", type(error).__name__, error)
    return None


def _psutil() -> Any:
    try:
        return import_module("psutil")
    except ImportError:
        logger.warning("otel_llm: no system metrics: psutil is not installed; pip install 'otel-llm[gpu]'")
        return None


class Watch:
    """The running thread. `gpus` names the devices; `cost_seconds` is the CPU time of the newest full reading."""

    def __init__(
        self,
        nvml: Nvml | None,
        *,
        system: Any = None,
        seconds: float = READ_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        lock_path: Path | None = None,
    ) -> None:
        self.cost_seconds = 0.0
        self.stopped = False
        self._seconds = seconds
        self._clock = clock
        self._readings: list[Reading] = []
        self._read_at = float("-inf")
        self._idle_told: dict[str, float] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._host = HostLock(lock_path or _lock_path(), clock)
        self._meter = GpuMeter(nvml, clock=clock, began=self._wake.set) if nvml is not None else None
        self._machine = Machine(self._host.held, system) if system is not None else None
        self._create()

    @property
    def gpus(self) -> list[str]:
        """UUIDs of the devices, MIG instances included."""
        return [device.id for device in self._meter.nvml.devices] if self._meter else []

    def start(self) -> None:
        """Read from now on, in a daemon thread; again in each forked child."""
        local_work.meter = self._meter
        self._run_thread()
        reference = weakref.ref(self)

        def after_fork() -> None:
            watch = reference()
            if watch is not None and not watch.stopped:
                watch._after_fork()  # noqa: SLF001 - our own

        os.register_at_fork(after_in_child=after_fork)

    def stop(self) -> None:
        """Read no more."""
        self.stopped = True
        self._wake.set()
        if local_work.meter is self._meter:
            local_work.meter = None
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)
        if self._meter is not None and not (self._thread and self._thread.is_alive()):
            self._meter.nvml.close()
        self._host.release()

    def read(self) -> None:
        """Read everything once; the thread calls this."""
        if self._meter is None:
            return
        before = time.thread_time()
        readings = self._meter.nvml.read()
        self._meter.take(readings)
        self._readings, self._read_at = readings, self._clock()
        self.cost_seconds = time.thread_time() - before

    def _create(self) -> None:
        meter = providers.meter("otel_llm.hardware")
        if self._meter is not None:
            create(meter, self._newest)
            instrument(meter, metric.OTEL_LLM_GPU_IDLE_ENERGY, self._idle)
        if self._machine is not None:
            self._machine.create(meter)

    def _newest(self) -> Sequence[Reading]:
        """The newest readings; none when another process reports, or when reading has stopped."""
        fresh = self._clock() - self._read_at <= STALE_READS * self._seconds
        return self._readings if fresh and not self.stopped and self._host.held() else []

    def _idle(self, _: CallbackOptions) -> Iterator[Observation]:
        if self._meter is not None:
            for device, joules in self._meter.left().items():
                told = self._idle_told[device] = max(self._idle_told.get(device, 0.0), joules)  # it only grows
                yield Observation(told, {attr.HW_ID: device})

    def _run_thread(self) -> None:
        if self._meter is not None:
            self._thread = threading.Thread(target=self._run, name="otel-llm-hardware", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        if self._meter is None:
            return
        failures = 0
        while not self.stopped:
            self._wake.clear()
            try:
                if self._clock() - self._read_at >= self._seconds:
                    self.read()
                else:
                    self._meter.take(self._meter.nvml.read_work())
            except Exception as error:
                failures += 1
                if failures == 1:
                    logger.warning("otel_llm: reading the GPUs failed: %s: %s", type(error).__name__, error)
                self._wake.wait(self._seconds)
                continue
            left = self._seconds - (self._clock() - self._read_at)
            if self._meter.in_flight:
                time.sleep(max(0.01, min(WORK_SECONDS, left)))
            else:
                self._wake.wait(max(0.01, left))

    def _after_fork(self) -> None:
        """NVML must be opened again in a child, which also has to stand in line for the host's lock."""
        self._host.after_fork()
        self._readings, self._read_at = [], float("-inf")
        self._wake = threading.Event()
        if self._machine is not None:
            self._machine.after_fork()
        if self._meter is not None:
            nvml = _open()
            self._meter = GpuMeter(nvml, clock=self._clock, began=self._wake.set) if nvml is not None else None
            local_work.meter = self._meter
        self._run_thread()


class HostLock:
    """One process of a host holds it; the others ask again now and then, so that one follows when it ends."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._file: Any = None
        self._asked = float("-inf")

    def held(self) -> bool:
        """Whether this process reports for the host."""
        if fcntl is None or self._file is not None:
            return True
        if self._clock() - self._asked < LOCK_RETRY_SECONDS:
            return False
        self._asked = self._clock()
        try:
            # Not through a link: the folder is everybody's.
            file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+")
        except OSError:
            return True  # no place for a lock: better twice than never
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let another process report."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def after_fork(self) -> None:
        """The parent goes on holding it."""
        self.release()  # closing the child's copy leaves the parent's lock in place
        self._asked = float("-inf")


def _lock_path() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"otel-llm-hardware-{user}.lock"
