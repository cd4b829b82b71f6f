"""Devices for the stand-in for NVIDIA's driver: what each would tell."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class FakeProcess:
    """A process with a context on a device."""

    pid: int
    memory: int = 2 << 30
    sm_percent: int = 0


@dataclass
class FakeGpu:
    """One device; every number may be changed while it is read. `watts` fills the energy counter over time.

    None is what the device does not support.
    """

    uuid: str = "GPU-00000000-0000-0000-0000-000000000000"
    name: str = "NVIDIA H200"
    watts: float | None = 350.0
    busy_percent: int | None = 80
    memory_total: int = 141 << 30
    memory_used: int = 60 << 30
    memory_reserved: int = 1 << 30
    celsius: int = 55
    memory_celsius: int | None = 61
    clocks: tuple[int, int, int] = (1980, 1980, 3201)  # MHz: graphics, SM, memory
    throttle_bits: int = 0
    power_limit_watts: float = 700.0
    fan_percent: int | None = None  # cards of data centres have none
    encoder_percent: int | None = 0
    decoder_percent: int | None = 0
    pcie_bytes: tuple[int, int] = (10_000_000, 20_000_000)  # transmitted, received
    pcie_replays: int = 0
    nvlink_kib: tuple[int, int] | None = (4096, 8192)
    ecc: tuple[int, int] | None = (0, 0)  # corrected, uncorrected
    remap: tuple[int, int] | None = (0, 0)  # pending, failed
    processes: list[FakeProcess] = field(default_factory=list)
    mig: list[FakeGpu] = field(default_factory=list)
    slices: int = 1  # of a MIG instance
    unsupported: frozenset[str] = frozenset()  # names of functions and numbers of fields that this model lacks
    lost: bool = False
    millijoules: float = 0.0
