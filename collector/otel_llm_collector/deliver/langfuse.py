"""Langfuse: traces over OTLP/HTTP, feedback and evaluation results as scores.

Langfuse answers before it has read what it took, so that an answer of success is no proof of more. It refuses a whole
request for one span with a bad id. Delivery: at least once; spans and scores replace themselves.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import Field, SecretStr

from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.http_client import HttpClient, HttpDestination, Url
from otel_llm_collector.deliver.otlp_http import post_otlp
from otel_llm_collector.deliver.profile import ProfileChoice
from otel_llm_collector.deliver.scores import Score, scores
from otel_llm_collector.deliver.settings import HeaderValue, ScoredSettings


class LangfuseSettings(ScoredSettings):
    """Langfuse, self-hosted or its cloud."""

    type: Literal["langfuse"] = Field(description="langfuse")
    endpoint: Url = Field(description="Base URL, for example https://cloud.langfuse.com or http://127.0.0.1:3000.")
    public_key: HeaderValue = Field(SecretStr(""), description="Public key of the project, pk-lf-….")
    secret_key: HeaderValue = Field(SecretStr(""), description="Secret key of the project, sk-lf-….")
    profile: ProfileChoice = Field(
        "langfuse",
        validate_default=True,
        description="Name or path of the profile; null: attributes leave as they are.",
    )


class Langfuse(HttpDestination):
    """The destination."""

    def __init__(self, settings: LangfuseSettings) -> None:
        self._settings = settings
        pair = f"{settings.public_key.get_secret_value()}:{settings.secret_key.get_secret_value()}"
        headers = {
            "authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "x-langfuse-ingestion-version": "4",
        }
        self.client = HttpClient(settings, settings.endpoint, headers)

    async def send(self, parcel: Parcel) -> Receipt:
        """Send spans, or scores; see `contract.Destination`."""
        if parcel.signal is Signal.TRACES:
            return await post_otlp(self.client, self._settings, "/api/public/otel/v1/traces", parcel)
        found, unusable = scores(parcel)
        for score in found:
            await self.client.call("POST", "/api/public/scores", _body(score), headers=parcel.headers)
        why = "scores need a name, a value or label, and a trace or conversation"
        return Receipt(unusable, why if unusable else "")


def _body(score: Score) -> dict[str, Any]:
    numeric = score.value is not None
    body = {
        "id": score.identifier,  # the same again replaces it
        "name": score.name,
        "value": score.value if numeric else score.label,
        "dataType": "NUMERIC" if numeric else "CATEGORICAL",
        "comment": score.explanation or None,
        "traceId": score.trace_id.hex() or None,
        "observationId": score.span_id.hex() or None,
        "sessionId": None if score.trace_id else score.conversation_id,
    }
    return {key: value for key, value in body.items() if value is not None}
