"""Comet's experiments: training runs, and what models, services and GPUs do by interval; archives or its REST API.

With `path` it writes Comet's offline archives, which `comet upload` sends; without, it sends itself. Traces and
feedback are Opik's business, at the same account: see the destination `opik`. Here calls to models become numbers per
model and interval. Delivery: at least once; what an archive holds was synced to the disk before it counts as sent.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar, Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from pydantic import Field, SecretStr, model_validator

from otel_llm_collector import limits
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.comet_archive import Archives
from otel_llm_collector.deliver.comet_intervals import Intervals
from otel_llm_collector.deliver.comet_rest import CometRest
from otel_llm_collector.deliver.comet_said import Call, Place, Said, Value, calls, said, values
from otel_llm_collector.deliver.http_client import HttpClient, HttpDestination, Url
from otel_llm_collector.deliver.runs import RUNS, UNUSABLE, runs
from otel_llm_collector.deliver.settings import HeaderValue, NetworkSettings
from otel_llm_collector.errors import CollectorError, Retryable, Unacceptable

logger = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_TOO_MANY = (
    f"an experiment has {limits.MAX_COMET_NAMES} metrics at most, and {limits.MAX_COMET_EXPERIMENTS} services have one"
)


class CometSettings(NetworkSettings):
    """Comet's experiments."""

    log_events: ClassVar[frozenset[str]] = RUNS

    type: Literal["comet"] = Field(description="comet")
    path: ConfigPath | None = Field(
        None, description="Folder of offline archives for comet upload; null: sent over the REST API, with api_key."
    )
    endpoint: Url = Field("https://www.comet.com", description="Base URL of Comet, for the REST API.")
    api_key: HeaderValue = Field(SecretStr(""), description="API key, for the REST API.")
    workspace: str = Field("", description="Workspace; empty: the default one of the API key.")
    project: str = Field("otel-llm", min_length=1, description="Project of the experiments of services.")
    runs_project: str = Field("", description="Project of training runs; empty: one named as their experiment.")
    metrics: list[str] = Field(
        ["hw.*", "otel_llm.gpu.*", "otel_llm.training.*"], description="Names of metrics to send, * for any characters."
    )
    interval_seconds: int = Field(60, ge=1, le=86400, description="One point of each metric of a service in this time.")
    state_path: ConfigPath | None = Field(
        None, description="File of the intervals that are not over; null: in the folder path, or in memory without one."
    )
    archive_bytes: int = Field(limits.COMET_ARCHIVE_BYTES, ge=1024, description="An archive of this size is closed.")
    archive_seconds: float = Field(3600.0, gt=0, description="An archive of this age is closed.")
    folder_bytes: int = Field(
        limits.COMET_FOLDER_BYTES,
        ge=1024,
        description="With more archives in the folder nothing is written, but waits.",
    )

    @model_validator(mode="after")
    def _somewhere(self) -> CometSettings:
        if self.path is None and not self.api_key.get_secret_value():
            msg = "has neither path nor api_key; give one, for offline archives or for the REST API"
            raise ValueError(msg)
        return self


class Comet(HttpDestination):
    """The destination."""

    def __init__(self, settings: CometSettings) -> None:
        self._settings = settings
        key = settings.api_key.get_secret_value()
        self.client = HttpClient(settings, settings.endpoint, {"authorization": key})
        self._rest = CometRest(self.client, key, settings.workspace)
        self._archives: Archives | None = None
        self._intervals: Intervals | None = None
        self._timer: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._names: dict[str, set[str]] = {}  # of metrics, by experiment

    async def start(self) -> None:
        """Open the folder, the intervals and the client."""
        one = self._settings
        if one.path is not None:
            archives = Archives(one.path, one.workspace, one.archive_bytes, one.archive_seconds, one.folder_bytes)
            await asyncio.to_thread(archives.start)
            self._archives = archives
        self._intervals = await asyncio.to_thread(Intervals, self._state_path(), one.interval_seconds, time.time())
        await super().start()
        self._timer = asyncio.create_task(self._tick())

    async def shutdown(self) -> None:
        """Say what is left, unless it is kept for the next start; close everything."""
        if self._timer is not None:
            async with self._writing:  # not in the middle of an interval, which would be told again
                self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
            self._timer = None
        if self._intervals is not None:
            try:
                async with self._writing:
                    await self._tell(every=self._state_path() is None)
                    if self._archives is not None:
                        await asyncio.to_thread(self._archives.shutdown)
            except (CollectorError, OSError, sqlite3.Error) as error:
                logger.warning("comet: what was measured last is not told: %s", error)
            self._intervals.close()
            self._intervals = None
        self._archives = None
        await super().shutdown()

    async def send(self, parcel: Parcel) -> Receipt:
        """Tell of runs, or keep what happened for its interval; see `contract.Destination`."""
        unusable = 0
        async with self._writing:
            if parcel.signal is Signal.LOGS:
                found, unusable = runs(parcel)
                for run in found:
                    await self._write(said(run, self._settings.workspace, self._settings.runs_project))
            else:
                try:
                    await self._tell()  # first: when this fails, nothing of the parcel is kept yet
                    too_many = await asyncio.to_thread(self._keep, parcel)
                except sqlite3.Error as error:
                    msg = f"{self._state_path()}: cannot be written: {error}"
                    raise Retryable(msg) from error
                return Receipt(too_many, _TOO_MANY if too_many else "")
        return Receipt(unusable, UNUSABLE if unusable else "")

    def _state_path(self) -> Path | None:
        folder = self._settings.path
        return self._settings.state_path or (folder / "open.sqlite" if folder is not None else None)

    def _keep(self, parcel: Parcel) -> int:
        """Keep what happened for its interval; how much of it has one name too many."""
        assert self._intervals is not None  # noqa: S101 - start comes first, by contract
        one = self._settings
        of_models: list[Call] = []
        points: list[Value] = []
        if parcel.signal is Signal.TRACES:
            of_models = list(calls(parcel.payload, one.workspace, one.project))
        else:
            for level in ExportMetricsServiceRequest.FromString(parcel.payload).resource_metrics:
                for metric in (metric for scope in level.scope_metrics for metric in scope.metrics):
                    if any(fnmatchcase(metric.name, pattern) for pattern in one.metrics):
                        points += values(level, metric, one.workspace, one.project)
        calls_kept = [call for call in of_models if self._has_room(call.place, f"llm/{call.model}")]
        points_kept = [point for point in points if self._has_room(point.place, point.name)]
        if calls_kept or points_kept:
            self._intervals.add(calls_kept, points_kept, time.time())
        return min(parcel.items, len(of_models) - len(calls_kept) + len(points) - len(points_kept))

    def _has_room(self, where: Place, name: str) -> bool:
        """Whether an experiment may have a metric of this name: names that anybody can send are not without end."""
        if where.key not in self._names and len(self._names) >= limits.MAX_COMET_EXPERIMENTS:
            return False
        names = self._names.setdefault(where.key, set())
        if len(names) < limits.MAX_COMET_NAMES:
            names.add(name)
        return name in names

    async def _tell(self, *, every: bool = False) -> None:
        """Say what intervals hold that are over."""
        assert self._intervals is not None  # noqa: S101 - start comes first, by contract
        for interval in await asyncio.to_thread(self._intervals.due, time.time(), every=every):
            for one in await asyncio.to_thread(self._intervals.said, interval):
                try:
                    await self._write(one)
                except Unacceptable as error:  # it must not hold back what comes later
                    logger.warning("comet: %s of one interval dropped: %s", one.place.name, error)
            await asyncio.to_thread(self._intervals.told, interval)

    async def _write(self, one: Said) -> None:
        if self._archives is None:
            await self._rest.write(one, int(time.time() * 1000))
            return
        try:
            await asyncio.to_thread(self._archives.write, one)
        except OSError as error:
            msg = f"{self._settings.path}: cannot be written: {error.strerror or error}"
            raise Retryable(msg) from error

    async def _tick(self) -> None:
        """Tell of intervals and close archives also when nothing comes."""
        said_so = False
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            try:
                async with self._writing:
                    await self._tell()
                    if self._archives is not None:
                        await asyncio.to_thread(self._archives.tick)
                said_so = False
            except (CollectorError, OSError, sqlite3.Error) as error:
                if not said_so:
                    logger.warning("comet: %s; tried again", error)
                said_so = True
