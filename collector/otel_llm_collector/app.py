"""The running collector: builds the components from a configuration, runs until told to stop, and stops in order.

Only this module may end the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry

from otel_llm_collector.alerting import Alerting
from otel_llm_collector.components import EXPORTERS, LOGS, processors
from otel_llm_collector.config import Config
from otel_llm_collector.contract import Engine, Signal
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.reader import Reader, Readers
from otel_llm_collector.engine import load_engine
from otel_llm_collector.engine.families import registered
from otel_llm_collector.log.disk import DiskLogConfig
from otel_llm_collector.masking import Mask, shown
from otel_llm_collector.measure.exemplars import Exemplars
from otel_llm_collector.measure.exposition import exposer, metadata
from otel_llm_collector.measure.incoming import IncomingFamilies
from otel_llm_collector.measure.otlp_metrics import OtlpMetrics
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.sampler import Live, Sampler, StoreBooks
from otel_llm_collector.measure.series import SeriesStore
from otel_llm_collector.measure.window_files import WindowFiles
from otel_llm_collector.pipeline import Admission, Lifecycle, Pipeline, Seal
from otel_llm_collector.plugins import Plugins
from otel_llm_collector.receive.otlp_grpc import OtlpGrpcReceiver
from otel_llm_collector.receive.otlp_http import OtlpHttpReceiver
from otel_llm_collector.serve.actions import Actions
from otel_llm_collector.serve.admin import AdminServer
from otel_llm_collector.serve.prometheus_api import PrometheusApi
from otel_llm_collector.telemetry import Telemetry

logger = logging.getLogger(__name__)

_NANO_PER_MS = 1_000_000


class App:
    """A collector built from a configuration; `start`, then `shutdown`. `reread` gives it anew, for `reload`."""

    def __init__(self, config: Config, engine: Engine, reread: Callable[[], Config] | None = None) -> None:
        self.telemetry = Telemetry()
        registry = self.telemetry.registry
        series = SeriesStore(registered(config.genai.metrics))
        registry.register(series)

        log = LOGS[config.log.kind].build(config.log, list(config.exporters))  # type: ignore[attr-defined]
        wanted = {name: frozenset(settings.signals) for name, settings in config.exporters.items()}
        books = Books(wanted, registry)
        self.readers = Readers(
            {
                name: Reader(name, log, EXPORTERS[settings.type].build(settings), settings, books)
                for name, settings in config.exporters.items()
            }
        )
        past = _past(config)
        window = WindowFiles(past, _window_folder(config), registry, time.time)
        incoming = OtlpMetrics(past, config.measure.promote)
        sampler = Sampler(registry, past)
        registry.register(StoreBooks(past, incoming, sampler))
        alerting = Alerting(config, past, sampler, registry, reread or (lambda: config), engine)
        self.reload = alerting.reload
        families = IncomingFamilies(past, incoming, partial(_names, registry), time.time)
        live = Live(past, sampler, time.time)
        described = partial(metadata, registry, families)
        queries = PrometheusApi(live, described, registry, time.time, series.exemplars)
        actions = Actions(config.server.token, alerting.reload, alerting.evaluator.silences, time.time)
        self.admin = AdminServer(
            config.server,
            exposer(registry, families),
            alerting.evaluator,
            lambda: cast("dict[str, Any]", shown(self._details(), Mask(alerting.config.secrets()))),
            lambda: alerting.config.shown(Mask(alerting.config.secrets())),
            queries,
            actions,
            self.telemetry.connection_closed,
        )
        exemplars = Exemplars(series, time.time)
        observers = {
            Signal.TRACES: [exemplars.observe, *alerting.observers],
            Signal.METRICS: [lambda payload: incoming.take(payload, time.time_ns() // _NANO_PER_MS)],
        }
        plugins = Plugins(config.processors.plugins, processors(), registry) if config.processors.plugins else None
        on_kept = _nobody if log.shared else books.kept  # of a shared log it may be another collector's to send
        self.intake = Admission(
            engine,
            log,
            series,
            self.telemetry,
            on_kept,
            plugins,
            observers=observers,
            on_noticed=alerting.on_noticed,
        )
        self.receivers: dict[str, OtlpGrpcReceiver | OtlpHttpReceiver] = {}
        if config.receivers.otlp.grpc is not None:
            self.receivers["OTLP/gRPC"] = OtlpGrpcReceiver(config.receivers.otlp.grpc, self.intake)
        if config.receivers.otlp.http is not None:
            self.receivers["OTLP/HTTP"] = OtlpHttpReceiver(
                config.receivers.otlp.http, self.intake, self.telemetry.connection_closed
            )

        # Sinks first. The log opens before its readers and closes after them; it is sealed before they are to finish.
        sinks_first: list[Lifecycle] = [
            log,
            self.readers,
            Seal(log),
            *([plugins] if plugins is not None else []),
            window,
            alerting.spend,
            alerting.evaluator,
            self.admin,
            *self.receivers.values(),
        ]
        self._pipeline = Pipeline(sinks_first)

    async def start(self) -> None:
        """Start everything; returns when telemetry is accepted. Raises `StartError`."""
        await self._pipeline.start()
        self.admin.ready = True

    async def shutdown(self) -> None:
        """Stop accepting, send what is left for a few seconds, stop."""
        self.admin.ready = False
        await self._pipeline.shutdown()

    def addresses(self) -> dict[str, str]:
        """What is listened on."""
        receivers = {name: receiver.address for name, receiver in self.receivers.items()}
        return {**receivers, "metrics, health, queries, alerts": f"{self.admin.scheme}://{self.admin.address}"}

    def _details(self) -> dict[str, Any]:
        return {"listening": self.addresses(), "exporters": self.readers.details()}


def _nobody(signal: Signal, items: int) -> None:
    """Nobody counts what a shared log keeps before it is read."""


def _names(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def _past(config: Config) -> Past:
    settings = config.measure
    resolution = min(settings.resolution_seconds, config.alerts.evaluation_seconds)
    return Past(settings.window_seconds, resolution, settings.max_series, settings.max_series_per_name)


def _window_folder(config: Config) -> Path | None:
    """Where the window is kept: where it is said, or beside a log on disk."""
    if config.measure.path is None and isinstance(config.log, DiskLogConfig):
        return config.log.path / "window"
    return config.measure.path


async def run(config: Config, reread: Callable[[], Config]) -> int:
    """Run a collector until SIGTERM or SIGINT, reloading its rules at SIGHUP; returns the exit code."""
    app = App(config, load_engine(os.environ, config.processors, config.prices, config.genai, config.folder), reread)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, app.reload))
    await app.start()
    for name, address in app.addresses().items():
        logger.info("%s on %s", name, address)
    logger.info("ready; forwarding to %s", ", ".join(config.exporters) or "nobody")
    await stop.wait()
    logger.info("stopping")
    await app.shutdown()
    return 0
