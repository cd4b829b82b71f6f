"""Every component that a configuration can name: a literal table from its `type` or `kind` to its classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel

from otel_llm_collector.alert.apprise import AppriseSettings, messengers
from otel_llm_collector.alert.grouping import GroupingSettings, Messenger
from otel_llm_collector.contract import Destination, History, Log
from otel_llm_collector.deliver.comet import Comet, CometSettings
from otel_llm_collector.deliver.debug import Debug, DebugSettings
from otel_llm_collector.deliver.file import File, FileSettings
from otel_llm_collector.deliver.langfuse import Langfuse, LangfuseSettings
from otel_llm_collector.deliver.mlflow import Mlflow, MlflowSettings
from otel_llm_collector.deliver.opik import Opik, OpikSettings
from otel_llm_collector.deliver.otlp_grpc import OtlpGrpc, OtlpGrpcSettings
from otel_llm_collector.deliver.otlp_http import OtlpHttp, OtlpHttpSettings
from otel_llm_collector.deliver.phoenix import Phoenix, PhoenixSettings
from otel_llm_collector.deliver.prometheus_remote_write import PrometheusRemoteWrite, PrometheusRemoteWriteSettings
from otel_llm_collector.deliver.wandb import Wandb, WandbSettings
from otel_llm_collector.deliver.wandb_runs import WandbRuns, WandbRunsSettings
from otel_llm_collector.errors import StartError
from otel_llm_collector.log.disk import DiskHistory, DiskLog, DiskLogConfig
from otel_llm_collector.log.kafka import KafkaLog, KafkaLogConfig, kafka_history
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig
from otel_llm_collector.processing import GROUP, Processor


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
    "comet": Exporter(CometSettings, Comet),
    "debug": Exporter(DebugSettings, Debug),
    "file": Exporter(FileSettings, File),
    "langfuse": Exporter(LangfuseSettings, Langfuse),
    "mlflow": Exporter(MlflowSettings, Mlflow),
    "opik": Exporter(OpikSettings, Opik),
    "otlp_grpc": Exporter(OtlpGrpcSettings, OtlpGrpc),
    "otlp_http": Exporter(OtlpHttpSettings, OtlpHttp),
    "phoenix": Exporter(PhoenixSettings, Phoenix),
    "prometheus_remote_write": Exporter(PrometheusRemoteWriteSettings, PrometheusRemoteWrite),
    "wandb": Exporter(WandbSettings, Wandb),
    "wandb_runs": Exporter(WandbRunsSettings, WandbRuns),
}


@dataclass(frozen=True, slots=True)
class NotifierKind:
    """A way to tell people: its settings class, and what makes messengers from settings, one for each address."""

    config: type[GroupingSettings]
    build: Callable[[Any], list[Messenger]]


NOTIFIERS: dict[str, NotifierKind] = {
    "apprise": NotifierKind(AppriseSettings, messengers),
}
NOTIFIER_ENTRY_POINTS = "otel_llm_collector.notifiers"


def notifiers() -> dict[str, NotifierKind]:
    """The table above and what installed packages add by the entry point: objects like `NotifierKind`."""
    found = dict(NOTIFIERS)
    for point in entry_points(group=NOTIFIER_ENTRY_POINTS):
        if point.name in found:
            msg = f"{NOTIFIER_ENTRY_POINTS}: two notifiers are named {point.name}; uninstall one of their packages"
            raise StartError(msg)
        found[point.name] = point.load()
    return found


LOGS: dict[str, LogKind] = {
    "memory": LogKind(MemoryLogConfig, MemoryLog),
    "disk": LogKind(DiskLogConfig, DiskLog, DiskHistory),
    "kafka": LogKind(KafkaLogConfig, KafkaLog, kafka_history),
}

# type -> what loads it; filled by `processors` from the installed packages
PROCESSORS: dict[str, EntryPoint] = {}


def processors() -> dict[str, Callable[[], Callable[[Mapping[str, Any]], Processor]]]:
    """The processing plug-ins that installed packages offer, entered in the table above; nothing of them is imported.

    Raises `StartError` when two packages offer the same name.
    """
    for point in entry_points(group=GROUP):
        known = PROCESSORS.setdefault(point.name, point)
        if known.value != point.value:
            two = f"{known.value} and {point.value}"
            msg = f"processors.plugins: two packages offer the type {point.name} ({two}); uninstall one of them"
            raise StartError(msg)
    return {name: point.load for name, point in PROCESSORS.items()}
