"""Opik: traces over OTLP/HTTP, feedback and evaluation results over its REST API.

Opik makes a trace of each request's root spans and gives everything ids of its own, computed from the OTLP id and the
trace's earliest start. So whole traces are sent, and those starts are remembered, in memory or at `ids_path`: a score
reaches the right trace also when it comes days later. A score on the root span is shown on the trace.
Delivery: at least once; repeated spans and scores replace themselves.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pydantic import Field, SecretStr

from otel_llm_collector import limits
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.http_client import HttpClient, HttpDestination, Url
from otel_llm_collector.deliver.otlp_http import post_otlp
from otel_llm_collector.deliver.profile import ProfileChoice
from otel_llm_collector.deliver.scores import Score, scores
from otel_llm_collector.deliver.settings import HeaderValue, ScoredSettings
from otel_llm_collector.deliver.traces import WholeTraceSettings
from otel_llm_collector.errors import NotYet

_WORKSPACE = "comet-workspace"
_PROJECT = "projectname"
_MAX_SCORES = 1000  # in one request, as Opik's API says
_NANOS_PER_MS = 1_000_000


class OpikSettings(ScoredSettings):
    """Opik, self-hosted or at Comet."""

    whole_traces: WholeTraceSettings | None = Field(
        default_factory=WholeTraceSettings,
        description="Wait for the spans of a trace, which Opik shows as one; null: send each request at once.",
    )
    type: Literal["opik"] = Field(description="opik")
    endpoint: Url = Field(
        description="Base URL of the API: http://127.0.0.1:5173/api, or https://www.comet.com/opik/api."
    )
    api_key: HeaderValue = Field(SecretStr(""), description="API key; not needed by a self-hosted Opik.")
    workspace: str = Field("default", min_length=1, description="Workspace of the project.")
    workspace_from: str = Field("", description="Attribute of the resource that names the workspace instead.")
    project: str = Field("Default Project", min_length=1, description="Project; made when it is not there.")
    project_from: str = Field("", description="Attribute of the resource that names the project instead.")
    ids_path: ConfigPath | None = Field(
        None, description="File that remembers the traces' ids for later scores; null: in memory, gone at a restart."
    )
    profile: ProfileChoice = Field(
        "opik", validate_default=True, description="Name or path of the profile; null: attributes leave as they are."
    )

    def routes(self) -> dict[str, str]:
        """Workspace and project, where attributes name them."""
        named = {_WORKSPACE: self.workspace_from, _PROJECT: self.project_from}
        return super().routes() | {header: attribute for header, attribute in named.items() if attribute}


class Opik(HttpDestination):
    """The destination."""

    def __init__(self, settings: OpikSettings) -> None:
        self._settings = settings
        headers = {_WORKSPACE: settings.workspace, _PROJECT: settings.project}
        if key := settings.api_key.get_secret_value():
            headers["authorization"] = key  # as it is: Opik knows no "Bearer"
        self.client = HttpClient(settings, settings.endpoint, headers)
        self._traces: KnownTraces | None = None

    async def start(self) -> None:
        """Open the client and the ids."""
        self._traces = KnownTraces(str(self._settings.ids_path or ":memory:"))
        await super().start()

    async def shutdown(self) -> None:
        """Close both."""
        await super().shutdown()
        if self._traces is not None:
            self._traces.close()
            self._traces = None

    async def send(self, parcel: Parcel) -> Receipt:
        """Send whole traces, or scores for those that Opik has; see `contract.Destination`."""
        assert self._traces is not None  # noqa: S101 - start comes first, by contract
        if parcel.signal is Signal.TRACES:
            receipt = await post_otlp(self.client, self._settings, "/v1/private/otel/v1/traces", parcel)
            self._traces.remember(ExportTraceServiceRequest.FromString(parcel.payload))
            return receipt
        return await self._score(parcel, self._traces)

    async def _score(self, parcel: Parcel, traces: KnownTraces) -> Receipt:
        found, refused = scores(parcel)
        project = parcel.headers.get(_PROJECT, self._settings.project)
        bodies: dict[str, list[dict[str, Any]]] = {}
        early = 0
        for score in found:
            if score.number is None:
                refused += 1
                continue
            target = traces.target(score)
            if target is not None:
                bodies.setdefault(target[0], []).append({**target[1], **_body(score, project)})
            elif score.is_fresh(self._settings.score_wait_seconds, time.time()):
                early += 1
            else:
                refused += 1
        for path, body in bodies.items():
            for first in range(0, len(body), _MAX_SCORES):
                await self.client.call(
                    "PUT",
                    f"/v1/private/{path}/feedback-scores",
                    {"scores": body[first : first + _MAX_SCORES]},
                    headers=_only(parcel.headers, _WORKSPACE),
                )
        if early:
            msg = f"{early} scores came before their traces"
            raise NotYet(msg)
        why = "scores need a name, a number or a label that says yes or no, and a trace that was sent to this Opik"
        return Receipt(refused, why if refused else "")


class KnownTraces:
    """When each trace began and what its root span is, as it was first sent: what Opik computes its ids from."""

    def __init__(self, path: str) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = NORMAL")
        self._file.execute(
            "CREATE TABLE IF NOT EXISTS traces"
            " (number INTEGER PRIMARY KEY, trace BLOB UNIQUE, start_ms INTEGER NOT NULL, root BLOB)"
        )

    def close(self) -> None:
        self._file.close()

    def remember(self, request: ExportTraceServiceRequest) -> None:
        """Note the traces of a request that Opik took; what is known already stays, except that a root may appear."""
        starts: dict[bytes, int] = {}
        roots: dict[bytes, bytes] = {}
        for level in request.resource_spans:
            for scope in level.scope_spans:
                for span in scope.spans:
                    start = span.start_time_unix_nano // _NANOS_PER_MS
                    starts[span.trace_id] = min(start, starts.get(span.trace_id, start))
                    if not span.parent_span_id:
                        roots[span.trace_id] = span.span_id
        self._file.execute("BEGIN")
        self._file.executemany(
            "INSERT INTO traces (trace, start_ms, root) VALUES (?, ?, ?)"
            " ON CONFLICT (trace) DO UPDATE SET root = coalesce(root, excluded.root)",
            [(trace, start, roots.get(trace)) for trace, start in starts.items()],
        )
        self._file.execute(
            "DELETE FROM traces WHERE number <= (SELECT max(number) FROM traces) - ?", (limits.MAX_OPIK_TRACES,)
        )
        self._file.execute("COMMIT")

    def target(self, score: Score) -> tuple[str, dict[str, str]] | None:
        """Which resource of the API a score is for, and its id there; None when its trace is not known."""
        if not score.trace_id:
            return "traces/threads", {"thread_id": score.conversation_id}
        row = self._file.execute("SELECT start_ms, root FROM traces WHERE trace = ?", (score.trace_id,)).fetchone()
        if row is None:
            return None
        if score.span_id and score.span_id != row[1]:
            return "spans", {"id": str(opik_id(score.span_id, row[0]))}
        return "traces", {"id": str(opik_id(score.trace_id, row[0]))}


def opik_id(otlp_id: bytes, start_ms: int) -> uuid.UUID:
    """The id that Opik gives a trace or span: a UUIDv7 of its trace's start in ms and a hash of the OTLP id."""
    content = bytearray(start_ms.to_bytes(6, "big") + hashlib.sha256(otlp_id).digest()[:10])
    content[6] = content[6] & 0x0F | 0x70
    content[8] = content[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(content))


def _body(score: Score, project: str) -> dict[str, Any]:
    return {
        "project_name": project,
        "name": score.name,
        "value": score.number,
        "category_name": score.label or None,
        "reason": score.explanation or None,
        "source": "sdk",
    }


def _only(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {name: headers[name]} if name in headers else {}
