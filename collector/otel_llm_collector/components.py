"""Every component that a configuration can name: a literal table from its `type` or `kind` to its classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from otel_llm_collector.contract import Destination, History, Log
from otel_llm_collector.deliver.otlp_grpc import OtlpGrpc, OtlpGrpcSettings
from otel_llm_collector.deliver.otlp_http import OtlpHttp, OtlpHttpSettings
from otel_llm_collector.log.disk import DiskHistory, DiskLog, DiskLogConfig
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig


@dataclass(frozen=True, slots=True)
class Exporter:
    """A kind of destination: its settings class, and what makes one from settings."""

    config: type[BaseModel]
    build: Callable[[Any], Destination]


@dataclass(frozen=True, slots=True)
class LogKind:
    """A kind of log: its settings class, and what makes one from settings and the names of its readers.

    `history` opens what such a log holds for `replay`.
    """

    config: type[BaseModel]
    build: Callable[[Any, list[str]], Log]
    history: Callable[[Any], History] | None = None


EXPORTERS: dict[str, Exporter] = {
    "otlp_grpc": Exporter(OtlpGrpcSettings, OtlpGrpc),
    "otlp_http": Exporter(OtlpHttpSettings, OtlpHttp),
}

LOGS: dict[str, LogKind] = {
    "memory": LogKind(MemoryLogConfig, MemoryLog),
    "disk": LogKind(DiskLogConfig, DiskLog, DiskHistory),
}
