"""Comet's experiments: what `comet upload` and our destination send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from otel_llm_collector.fakes.server import FakeServer, Refused, Request

_V2 = "/api/rest/v2/write/experiment/"
_KEY_LENGTHS = range(32, 51)
_NO_KEY, _EXISTS, _NO_ACCESS, _NO_PROJECT = 90212, 90999, 90210, 98219  # Comet's codes, from its client
_MAX_BODY_BYTES = 5 * 1024 * 1024


class CometRefused(Refused):
    """A refusal with Comet's own code, which its client reads."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(status, message)
        self.code = code


@dataclass(slots=True)
class CometExperiment:
    """An experiment as Comet shows it."""

    project: str
    workspace: str | None
    offline: bool
    metrics: dict[str, list[tuple[int | None, Any, float | None, int]]] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    times: tuple[int, int] | None = None
    uploads: int = 0  # how often an upload ended

    def values(self, metric: str) -> list[tuple[int | None, Any]]:
        """Steps and values of a metric, as they came."""
        return [(step, value) for step, value, _, _ in self.metrics.get(metric, [])]


class FakeComet(FakeServer):
    """Comet's server towards its client and its API, version 2.

    After comet_ml 3.58.8: its requests as recorded and the answers that its code reads (`connection_api.py`,
    `exceptions.py`), its JSON schemas of messages. Keys of experiments are 32 to 50 letters and digits; an experiment
    is made once unless the request says otherwise, and is there before anything is said of it.
    """

    def __init__(self, api_key: str) -> None:
        super().__init__()
        self._api_key = api_key
        self.experiments: dict[str, CometExperiment] = {}

    def answer(self, request: Request) -> tuple[int, Any]:
        """See the class."""
        url = urlsplit(request.path)
        if request.method == "GET" and url.path == "/clientlib/isAlive/ver":
            return 200, {"msg": "ok", "version": "3.58.8"}
        if request.headers.get("authorization") != self._api_key:
            code = {"msg": "API key not registered; it is sent as it is", "sdk_error_code": _NO_KEY}
            return (401 if url.path.startswith("/api/") else 400), code
        try:
            return 200, self._taken(request, url.path, parse_qs(url.query))
        except CometRefused as refused:
            return refused.status, {"msg": str(refused), "sdk_error_code": refused.code}

    def _taken(self, request: Request, path: str, query: Mapping[str, list[str]]) -> Any:
        routes = {
            "/clientlib/logger/add/run": self._add_run,
            "/clientlib/logger/get/run": self._get_run,
            "/clientlib/tags/add-tags-to-experiment": self._tag,
            "/clientlib/status-report/update": self._alive,
            "/clientlib/status-report/offline-metadata": self._times,
            "/clientlib/batch/logger/experiment/metric": self._metrics,
            "/clientlib/batch/logger/experiment/parameter": self._parameters,
            f"{_V2}log-other": self._other,
            f"{_V2}tags": self._tag,
            f"{_V2}set-start-end-time": self._times,
        }
        if path not in routes or request.method != "POST":
            raise Refused(404, f"no {request.method} {path}")
        if "/batch/" in path and request.headers.get("content-encoding") != "gzip":
            raise Refused(400, "batches come with gzip from every client")  # stricter than Comet
        if len(request.body) > _MAX_BODY_BYTES:
            raise Refused(413, "request too large")
        document = request.document()
        if not isinstance(document, dict):
            raise Refused(400, "not a JSON object")
        if document.get("apiKey", self._api_key) != self._api_key:
            raise CometRefused(400, _NO_KEY, "API key not registered")
        return routes[path](document)

    def _add_run(self, document: dict[str, Any]) -> Any:
        _has(document, experimentKey=str, local_timestamp=int, offline=bool, libVersion=str, getOrCreateEnabled=bool)
        key = document["experimentKey"]
        if not (key.isalnum() and len(key) in _KEY_LENGTHS):
            raise Refused(400, f"experimentKey {key} must be 32 to 50 letters and digits")
        if not document.get("projectName"):
            raise CometRefused(400, _NO_PROJECT, "no project name")
        if key in self.experiments and not document["getOrCreateEnabled"]:
            raise CometRefused(400, _EXISTS, f"experiment {key} already exists")
        made = CometExperiment(document["projectName"], document.get("teamName"), document["offline"])
        self.experiments.setdefault(key, made)
        return self._handshake(key)

    def _get_run(self, document: dict[str, Any]) -> Any:
        _has(document, previousExperiment=str, libVersion=str)
        self._experiment({"experimentKey": document["previousExperiment"]})
        return self._handshake(document["previousExperiment"])

    def _handshake(self, key: str) -> Any:
        return {"runId": f"run-{key[:8]}", "projectId": "p", "isGithub": False, "link": f"http://{self.address}/{key}"}

    def _experiment(self, document: dict[str, Any]) -> CometExperiment:
        found = self.experiments.get(str(document.get("experimentKey")))
        if found is None:
            raise CometRefused(400, _NO_ACCESS, f"no experiment {document.get('experimentKey')}")
        return found

    def _tag(self, document: dict[str, Any]) -> Any:
        experiment = self._experiment(document)
        tags = document.get("addedTags")
        if not isinstance(tags, list) or not tags or not all(isinstance(tag, str) for tag in tags):
            raise Refused(400, "addedTags must be texts")
        experiment.tags += [tag for tag in tags if tag not in experiment.tags]
        return {}

    def _alive(self, document: dict[str, Any]) -> Any:
        experiment = self._experiment(document)
        _has(document, is_alive=bool, offline=bool, local_timestamp=int)
        experiment.uploads += not document["is_alive"]
        waits = ("is_alive_beat_duration_millis", "gpu_monitor_interval_millis", "cpu_monitor_interval_millis")
        return dict.fromkeys(waits, 10_000)

    def _times(self, document: dict[str, Any]) -> Any:
        start = document.get("startTimestamp", document.get("startTimeMillis"))
        end = document.get("endTimestamp", document.get("endTimeMillis"))
        if not isinstance(start, int) or not isinstance(end, int) or end < start:
            raise Refused(400, f"not a time span: {start} to {end}")
        self._experiment(document).times = (start, end)
        return {}

    def _metrics(self, document: dict[str, Any]) -> Any:
        experiment = self._experiment(document)
        for one in _members(document):
            _has(one, metricName=str, timestamp=int)
            value = one.get("metricValue")
            step, epoch = one.get("step"), one.get("epoch")
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not one["metricName"] or not (number or value in ("NaN", "Infinity", "-Infinity")):
                raise Refused(400, f"not a metric: {one}")
            if not isinstance(step, (int, type(None))) or not isinstance(epoch, (int, float, type(None))):
                raise Refused(400, f"step and epoch must be numbers: {one}")
            experiment.metrics.setdefault(one["metricName"], []).append((step, value, epoch, one["timestamp"]))
        return {}

    def _parameters(self, document: dict[str, Any]) -> Any:
        experiment = self._experiment(document)
        for one in _members(document):
            _has(one, parameterName=str, timestamp=int)
            if not one["parameterName"] or isinstance(one.get("parameterValue"), dict):
                raise Refused(400, f"not a parameter: {one}")
            experiment.parameters[one["parameterName"]] = one.get("parameterValue")
        return {}

    def _other(self, document: dict[str, Any]) -> Any:
        experiment = self._experiment(document)
        _has(document, key=str)
        if "value" not in document:
            raise Refused(400, "value is missing")
        experiment.others[document["key"]] = document["value"]
        return {}


def _has(document: Mapping[str, Any], **fields: type) -> None:
    for name, kind in fields.items():
        if type(document.get(name)) is not kind:
            raise Refused(400, f"{name} must be {kind.__name__}: {json.dumps(document)[:200]}")


def _members(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    members = document.get("values")
    if not isinstance(members, list) or not members or not all(isinstance(one, dict) for one in members):
        raise Refused(400, "values must be objects")
    return members
