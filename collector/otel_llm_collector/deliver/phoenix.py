"""Arize Phoenix: traces over OTLP/HTTP, feedback and evaluation results as annotations.

Phoenix reads OpenTelemetry's GenAI conventions itself; what it wants besides is the session on the root (profile
`phoenix`). It ignores spans that it has, so that a repeated request does no harm. Delivery: at least once.
"""

from __future__ import annotations

import time
from typing import Any, Literal

from pydantic import Field, SecretStr

from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.http_client import HttpClient, HttpDestination, Url
from otel_llm_collector.deliver.otlp_http import post_otlp
from otel_llm_collector.deliver.profile import ProfileChoice
from otel_llm_collector.deliver.scores import Score, scores
from otel_llm_collector.deliver.settings import ScoredSettings

_PROJECT = "x-project-name"
_NOT_YET = frozenset({404})  # the span that is annotated may still be on its way


class PhoenixSettings(ScoredSettings):
    """Arize Phoenix."""

    type: Literal["phoenix"] = Field(description="phoenix")
    endpoint: Url = Field(description="Base URL of Phoenix, for example http://127.0.0.1:6006.")
    api_key: SecretStr = Field(SecretStr(""), description="API key; sent as a bearer token.")
    project: str = Field("default", min_length=1, description="Project of the traces.")
    project_from: str = Field("", description="Attribute of the resource that names the project instead.")
    profile: ProfileChoice = Field(
        "phoenix", validate_default=True, description="Name or path of the profile; null: attributes leave as they are."
    )

    def routes(self) -> dict[str, str]:
        """The project, where an attribute names it."""
        return super().routes() | ({_PROJECT: self.project_from} if self.project_from else {})


class Phoenix(HttpDestination):
    """The destination."""

    def __init__(self, settings: PhoenixSettings) -> None:
        self._settings = settings
        key = settings.api_key.get_secret_value()
        authorization = {"authorization": f"Bearer {key}"} if key else {}
        self.client = HttpClient(settings, settings.endpoint, {_PROJECT: settings.project, **authorization})

    async def send(self, parcel: Parcel) -> Receipt:
        """Send spans, or annotate those that Phoenix has; see `contract.Destination`."""
        if parcel.signal is Signal.TRACES:
            return await post_otlp(self.client, self._settings, "/v1/traces", parcel)
        found, unusable = scores(parcel)
        for kind, id_name in (("span", "span_id"), ("trace", "trace_id"), ("session", "session_id")):
            of_kind = [score for score in found if _kind(score) == kind]
            if of_kind:
                wait = any(score.is_fresh(self._settings.score_wait_seconds, time.time()) for score in of_kind)
                data = [_annotation(score, id_name) for score in of_kind]
                path = f"/v1/{kind}_annotations?sync=true"
                await self.client.call("POST", path, {"data": data}, may_pass=_NOT_YET if wait else frozenset())
        return Receipt(unusable, "scores need a name, a value or label, and a trace or conversation" * bool(unusable))


def _kind(score: Score) -> str:
    return "span" if score.span_id else "trace" if score.trace_id else "session"


def _annotation(score: Score, id_name: str) -> dict[str, Any]:
    target = {"span_id": score.span_id.hex(), "trace_id": score.trace_id.hex(), "session_id": score.conversation_id}
    result = {"label": score.label or None, "score": score.value, "explanation": score.explanation or None}
    return {
        id_name: target[id_name],
        "name": score.name,
        "annotator_kind": score.evaluator,
        "identifier": score.feedback_id or score.judge,
        "result": {key: value for key, value in result.items() if value is not None},
    }
