"""Prometheus remote write: OTLP metrics to Prometheus, Mimir, VictoriaMetrics and others that take it.

Version 2.0 is tried first. A server that knows only 1.0 may answer 204 to it and store nothing; one that has stored
something says how much in headers. Without them this destination goes over to 1.0 and sends the same request again.
Samples of a series must come in order, so one request is sent at a time. Delivery: at least once; a repeated sample
replaces itself.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import ClassVar, Literal

import cramjam
from pydantic import Field

from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.aside import aside
from otel_llm_collector.deliver.http_client import Answer, HttpClient, HttpDestination, Url
from otel_llm_collector.deliver.remote_write_format import Series, version_1, version_2
from otel_llm_collector.deliver.remote_write_series import Converter
from otel_llm_collector.deliver.settings import NetworkSettings
from otel_llm_collector.errors import Permanent

logger = logging.getLogger(__name__)

_SNAPPY = {"content-encoding": "snappy"}
_HEADERS = {
    1: {"content-type": "application/x-protobuf", "x-prometheus-remote-write-version": "0.1.0"},
    2: {
        "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "x-prometheus-remote-write-version": "2.0.0",
    },
}
_PROOFS = [f"x-prometheus-remote-write-{what}-written" for what in ("samples", "histograms", "exemplars")]


class Version(StrEnum):
    """Which version is spoken."""

    AUTO = "auto"
    ONE = "1"
    TWO = "2"


class PrometheusRemoteWriteSettings(NetworkSettings):
    """Prometheus remote write."""

    takes: ClassVar[frozenset[Signal]] = frozenset({Signal.METRICS})

    type: Literal["prometheus_remote_write"] = Field(description="prometheus_remote_write")
    endpoint: Url = Field(description="URL to write to, for example http://127.0.0.1:9090/api/v1/write.")
    version: Version = Field(
        Version.AUTO, description="1 or 2; auto: 2 where the server proves that it stores it, else 1."
    )
    external_labels: dict[str, str] = Field(default_factory=dict, description="Labels put on every series.")
    max_in_flight: int = Field(1, ge=1, le=1, description="Samples of a series must come in order: one at a time.")


class PrometheusRemoteWrite(HttpDestination):
    """The destination."""

    def __init__(self, settings: PrometheusRemoteWriteSettings) -> None:
        self.client = HttpClient(settings, settings.endpoint)
        self._converter = Converter(settings.external_labels)
        self._auto = settings.version is Version.AUTO
        self._version = 1 if settings.version is Version.ONE else 2

    async def send(self, parcel: Parcel) -> Receipt:
        """Send one request of metrics; see `contract.Destination`."""
        series = await aside(parcel.payload, lambda: self._converter.series(parcel.payload))
        unsent = self._converter.unsent  # read after `aside`: one request at a time
        if series:
            await self._write(series, parcel)
        return Receipt(unsent.total(), "not sent: points " + ", ".join(sorted(unsent)) if unsent else "")

    async def _write(self, series: list[Series], parcel: Parcel) -> None:
        if self._version == 2:  # noqa: PLR2004 - the version's name
            try:
                answer = await self._post(version_2(series), 2, parcel)
            except Permanent as error:
                if not self._auto or "answered 415" not in str(error):
                    raise
            else:
                if not self._auto or _proven(answer):
                    self._auto = False
                    return
            logger.warning("prometheus_remote_write: the server does not store version 2.0; going over to 1.0")
            self._version = 1
        await self._post(version_1(series), 1, parcel)

    async def _post(self, body: bytes, version: int, parcel: Parcel) -> Answer:
        packed = bytes(cramjam.snappy.compress_raw(body))
        return await self.client.request("POST", "", packed, {**_SNAPPY, **_HEADERS[version], **parcel.headers})


def _proven(answer: Answer) -> bool:
    """Whether the server says what it has written, as one that knows 2.0 must."""
    return any(name in answer.headers for name in _PROOFS)
