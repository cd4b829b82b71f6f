"""Comet's REST API: experiments made by key, numbers and parameters in batches as Comet's client sends them.

The key of an experiment is ours, and `add/run` takes it whether the experiment is there or not. Metrics and parameters
go to the client's batch routes; tags, other words and the end of a run to the documented API, version 2.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

from otel_llm_collector import limits
from otel_llm_collector.deliver.comet_said import Place, Said
from otel_llm_collector.deliver.http_client import HttpClient
from otel_llm_collector.errors import Permanent

_V2 = "/api/rest/v2/write/experiment"
_BATCH = "/clientlib/batch/logger/experiment"
_JSON = {"content-type": "application/json;charset=utf-8", "content-encoding": "gzip"}
_VALUES = 1000  # in one request
_CLIENT_VERSION = "3.58.8"  # of comet_ml, whose requests these are; Comet refuses versions that are too old


class CometRest:
    """Says it to Comet at once."""

    def __init__(self, client: HttpClient, api_key: str, workspace: str) -> None:
        self._client = client
        self._api_key = api_key
        self._workspace = workspace
        self._made: dict[str, set[tuple[str, str]]] = {}  # key to the other words that Comet has

    async def write(self, said: Said, now_ms: int) -> None:
        """Say it. Raises `Permanent` or `Retryable`."""
        key = said.place.key
        if key not in self._made:
            await self._make(said.place, now_ms)
        try:
            await self._say(said, key)
        except Permanent:
            self._made.pop(key, None)  # it may have been deleted
            raise

    async def _make(self, place: Place, now_ms: int) -> None:
        document = {
            "apiKey": self._api_key,
            "local_timestamp": now_ms,
            "experimentKey": place.key,
            "offline": True,  # nobody says that it is alive, and it is not marked as crashed for that
            "projectName": place.project,
            "teamName": self._workspace or None,
            "libVersion": _CLIENT_VERSION,
            "getOrCreateEnabled": True,
        }
        await self._client.call("POST", "/clientlib/logger/add/run", document)
        self._made[place.key] = set()
        if len(self._made) > limits.MAX_TRACKED_RUNS:
            del self._made[next(iter(self._made))]

    async def _say(self, said: Said, key: str) -> None:
        stamp = {"context": None, "timestamp": said.last_ms}
        parameters = [
            {"parameterName": name, "parameterValue": value, "step": None, "source": "manual", **stamp}
            for name, value in said.parameters.items()
        ]
        points = [
            {
                "metricName": one.name, "metricValue": one.number, "step": one.step, "epoch": one.epoch,
                "context": None, "timestamp": one.time_ms,
            }
            for one in said.points
        ]  # fmt: skip
        await self._batches("parameter", key, parameters)
        await self._batches("metric", key, points)
        if said.tags:
            await self._client.call("POST", f"{_V2}/tags", {"experimentKey": key, "addedTags": said.tags})
        for name, value in said.others.items():
            if (name, value) not in self._made.get(key, set()):
                document = {"experimentKey": key, "key": name, "value": value}
                await self._client.call("POST", f"{_V2}/log-other", document)
                self._made.setdefault(key, set()).add((name, value))
        if said.is_over:
            times = {"startTimeMillis": said.first_ms, "endTimeMillis": said.last_ms}
            await self._client.call("POST", f"{_V2}/set-start-end-time", {"experimentKey": key, **times})

    async def _batches(self, kind: str, key: str, members: list[dict[str, Any]]) -> None:
        for first in range(0, len(members), _VALUES):
            document = {"experimentKey": key, "values": members[first : first + _VALUES]}
            body = gzip.compress(json.dumps(document, allow_nan=False).encode(), compresslevel=1)
            await self._client.request("POST", f"{_BATCH}/{kind}", body, _JSON)
