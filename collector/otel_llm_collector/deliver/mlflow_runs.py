"""Runs of experiments in MLflow: parameters, metrics, tags, notes and references to artifacts over its REST API.

MLflow gives runs ids of its own, so a run is looked up by a tag that is computed from its id here, and made when it is
not there. It keeps one of several equal points, refuses a second value for a parameter (the tag `changed.NAME` gets
it), and takes a limited number of things in one request. So the same events may come again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from otel_llm_semconv import attributes as attr

from otel_llm_collector import limits
from otel_llm_collector.deliver.http_client import HttpClient
from otel_llm_collector.deliver.runs import Run, tracker_name
from otel_llm_collector.errors import Permanent

_API = "/api/2.0/mlflow"
_KEY = "otel_llm.run_key"  # the tag that a run is looked up by; a hash, which needs no quoting
_NOTE = "mlflow.note.content"  # what MLflow shows as the description
_STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
_MAX_METRICS, _MAX_PARAMETERS, _MAX_TAGS = 800, 100, 100  # in one request; MLflow takes 1000 of all together
_MAX_PARAMETER_CHARACTERS, _MAX_TAG_CHARACTERS = 6000, 5000
_NUMBERS = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


@dataclass(slots=True)
class _Known:
    """A run as MLflow has it."""

    run_id: str
    parameters: dict[str, str] = field(default_factory=dict)
    note: str = ""
    status_ms: int = 0  # when its status was said that MLflow has


class MlflowRuns:
    """Writes runs; `experiment_id` finds or makes an experiment by its name."""

    def __init__(self, client: HttpClient, experiment_id: Callable[[str], Awaitable[str]]) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._known: dict[str, _Known] = {}
        self._looking = asyncio.Lock()

    async def write(self, run: Run) -> None:
        """Bring MLflow's run up to what `run` says."""
        key = hashlib.sha256(f"{run.experiment}\0{run.run_id}".encode()).hexdigest()[:32]
        known = await self._find(run, key)
        try:
            await self._log(run, known)
        except Permanent:
            self._known.pop(key, None)  # it may have been deleted: look it up again
            raise

    async def _find(self, run: Run, key: str) -> _Known:
        async with self._looking:  # two would make it twice
            known = self._known.pop(key, None)
            if known is None:
                experiment = await self._experiment_id(run.experiment)
                known = await self._search(experiment, key) or await self._create(experiment, key, run)
            self._known[key] = known
            while len(self._known) > limits.MAX_TRACKED_RUNS:
                del self._known[next(iter(self._known))]
            return known

    async def _search(self, experiment: str, key: str) -> _Known | None:
        query = {"experiment_ids": [experiment], "filter": f"tags.`{_KEY}` = '{key}'", "max_results": 1}
        document = (await self._client.call("POST", f"{_API}/runs/search", query)).document()
        found = document.get("runs") if isinstance(document, dict) else None
        if not isinstance(found, list) or not found:
            return None
        return _known(found[0])

    async def _create(self, experiment: str, key: str, run: Run) -> _Known:
        tags = {_KEY: key, attr.OTEL_LLM_EXPERIMENT_RUN_ID: run.run_id}
        document: dict[str, Any] = {"experiment_id": experiment, "start_time": run.first_ms, "tags": _pairs(tags)}
        if run.name:
            document["run_name"] = run.name
        answer = await self._client.call("POST", f"{_API}/runs/create", document)
        return _Known(field_of(answer.document(), "run", "info", "run_id"))

    async def _log(self, run: Run, known: _Known) -> None:
        said = {tracker_name(key): _text(value) for key, value in run.parameters.items()}
        said = {key: value[:_MAX_PARAMETER_CHARACTERS] for key, value in said.items()}
        new = {key: value for key, value in said.items() if key not in known.parameters}
        changed = {key: value for key, value in said.items() if known.parameters.get(key, value) != value}
        note = "\n\n".join([known.note] * bool(known.note) + [one for one in run.notes if one not in known.note])
        tags = {f"changed.{key}": value for key, value in changed.items()}
        tags |= {tracker_name(tag): "" for tag in run.tags}
        tags |= {f"artifact.{tracker_name(one.name)}": json.dumps(one.details) for one in run.artifacts}
        if note != known.note:
            tags[_NOTE] = note[-_MAX_TAG_CHARACTERS:]
        await self._batches("metrics", list(_metrics(run)), _MAX_METRICS, known)
        await self._batches("params", _pairs(new), _MAX_PARAMETERS, known)
        await self._batches("tags", _pairs(tags), _MAX_TAGS, known)
        known.parameters |= new
        known.note = note
        if run.status in _STATUS and run.last_ms >= known.status_ms:
            update: dict[str, Any] = {"run_id": known.run_id, "status": _STATUS[run.status]}
            update |= {"end_time": run.last_ms} if run.is_over else {}
            update |= {"run_name": run.name} if run.name else {}
            await self._client.call("POST", f"{_API}/runs/update", update)
            known.status_ms = run.last_ms

    async def _batches(self, kind: str, members: list[dict[str, Any]], size: int, known: _Known) -> None:
        for first in range(0, len(members), size):
            document = {"run_id": known.run_id, kind: members[first : first + size]}
            await self._client.call("POST", f"{_API}/runs/log-batch", document)


def _known(run: Any) -> _Known:
    try:
        info, data = run["info"], run.get("data", {})
        parameters = {one["key"]: str(one.get("value", "")) for one in data.get("params", [])}
        note = next((str(one["value"]) for one in data.get("tags", []) if one["key"] == _NOTE), "")
        return _Known(field_of(info, "run_id"), parameters, note, int(info.get("end_time") or 0))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = "answered with a run that is none; endpoint has to be an MLflow tracking server"
        raise Permanent(msg) from error


def _metrics(run: Run) -> Iterator[dict[str, Any]]:
    """The metrics, and the epochs as a metric of their own, which MLflow has no field for."""
    said = {(one.name, one.step) for one in run.metrics}
    epochs: set[int] = set()
    for one in run.metrics:
        point = {"timestamp": one.time_ms, "step": one.step or 0}
        value: float | str = one.value if math.isfinite(one.value) else _NUMBERS[str(one.value)]
        yield {"key": tracker_name(one.name), "value": value, **point}
        if one.epoch is not None and one.step is not None and one.step not in epochs:
            epochs.add(one.step)
            if ("epoch", one.step) not in said:
                yield {"key": "epoch", "value": one.epoch, **point}


def _pairs(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value[:_MAX_PARAMETER_CHARACTERS]} for key, value in values.items()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def field_of(document: Any, *path: str) -> str:
    """A word of an answer."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    if not isinstance(document, str):
        msg = f"answered without {'.'.join(path)}; endpoint has to be an MLflow tracking server"
        raise Permanent(msg)
    return document
