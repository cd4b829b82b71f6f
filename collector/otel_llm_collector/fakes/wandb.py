"""W&B's runs: what `wandb sync` sends."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from otel_llm_collector.fakes.server import FakeServer, Refused, Request

_STREAM = re.compile(r"/files/([^/]+)/([^/]+)/([^/]+)/file_stream")
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(slots=True)
class WandbRun:
    """A run as W&B shows it."""

    name: str
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    def values(self, metric: str) -> list[tuple[int, Any]]:
        """Steps and values of a metric, as they came."""
        return [(row["training_step"], row[metric]) for row in self.history if metric in row]


class FakeWandb(FakeServer):
    """W&B's server towards `wandb sync`.

    After the requests of wandb 0.31.0, recorded, and the answers that it goes on from. A run is made by UpsertBucket
    before its numbers come; lines of a file continue where the last ones ended.
    """

    def __init__(self, api_key: str) -> None:
        super().__init__()
        self._expected = "Basic " + base64.b64encode(f"api:{api_key}".encode()).decode()
        self.runs: dict[tuple[str, str, str], WandbRun] = {}  # by entity, project and id

    def answer(self, request: Request) -> tuple[int, Any]:
        """See the class."""
        if request.path.startswith("/sdk/otel/"):
            return 200, {}  # the client's own telemetry
        if request.method == "PUT" and request.path.startswith("/uploads/"):
            return 200, {}
        if request.headers.get("authorization") != self._expected:
            raise Refused(401, "user is not logged in")
        if request.method == "POST" and request.path == "/graphql":
            return 200, {"data": self._operation(request.document())}
        stream = _STREAM.fullmatch(request.path)
        if request.method == "POST" and stream is not None:
            self._stream(tuple(unquote(one) for one in stream.groups()), request.document())
            return 200, {"exitcode": None, "limits": {}}
        raise Refused(404, f"no {request.method} {request.path}")

    def _operation(self, document: Any) -> Any:
        said = document["variables"]
        name = document.get("operationName")
        if name == "CreateRunFiles":
            files = [{"name": one, "uploadUrl": f"http://{self.address}/uploads/{one}"} for one in said["files"]]
            return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}
        if name != "UpsertBucket":
            raise Refused(400, f"no operation {name}")
        if not _RUN_ID.fullmatch(said["name"]) or not said["project"]:
            raise Refused(400, f"invalid run {said['name']} in {said['project']}")
        key = (said["entity"] or "default", said["project"], said["name"])
        inserted = key not in self.runs
        run = self.runs.setdefault(key, WandbRun(said["displayName"] or said["name"]))
        run.name = said["displayName"] or run.name
        run.tags = said["tags"] or run.tags
        run.notes = said["notes"] or run.notes
        found = json.loads(said["config"] or "{}")
        run.config |= {key: one["value"] for key, one in found.items() if key != "_wandb"}
        entity, project, run_id = key
        bucket = {
            "id": "1",
            "name": run_id,
            "displayName": run.name,
            "description": None,
            "config": None,
            "sweepName": None,
            "project": {"id": "1", "name": project, "entity": {"id": "1", "name": entity}},
            "historyLineCount": len(run.history),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _stream(self, key: tuple[str, ...], document: Any) -> None:
        run = self.runs.get((key[0], key[1], key[2]))
        if run is None:
            raise Refused(404, f"no run {key}")
        files = document.get("files") or {}
        if "wandb-history.jsonl" in files:
            chunk = files["wandb-history.jsonl"]
            if chunk["offset"] > len(run.history):
                raise Refused(400, f"offset {chunk['offset']} is past the end, {len(run.history)}")
            run.history[chunk["offset"] :] = [json.loads(line) for line in chunk["content"]]
            steps = [row.get("_step") for row in run.history]
            if steps != list(range(len(steps))):
                raise Refused(400, f"rows must be numbered one after the other: {steps[:20]}")
        if "wandb-summary.json" in files:
            run.summary = json.loads(files["wandb-summary.json"]["content"][-1])
        if document.get("complete"):
            run.exit_code = document["exitcode"]
