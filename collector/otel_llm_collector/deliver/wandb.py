"""W&B Weave: traces over OTLP/HTTP.

Weave finds the project by two attributes of the resource, which this destination sets; the profile `weave` makes the
conversation its thread. Delivery: at least once.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.http_client import HttpClient, HttpDestination, Url
from otel_llm_collector.deliver.otlp_http import post_otlp
from otel_llm_collector.deliver.profile import ProfileChoice
from otel_llm_collector.deliver.settings import HeaderValue, NetworkSettings


class WandbSettings(NetworkSettings):
    """W&B Weave."""

    takes: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES})

    type: Literal["wandb"] = Field(description="wandb")
    endpoint: Url = Field(
        "https://trace.wandb.ai/agents/otel",
        description="Base URL; /v1/traces is appended.",
    )
    api_key: HeaderValue = Field(description="API key.")
    entity: str = Field(min_length=1, description="Team or user that owns the project.")
    project: str = Field(min_length=1, description="Project of the traces.")
    profile: ProfileChoice = Field(
        "weave", validate_default=True, description="Name or path of the profile; null: attributes leave as they are."
    )

    def resource_attributes(self) -> dict[str, str]:
        """Where Weave finds the project."""
        return {"wandb.entity": self.entity, "wandb.project": self.project}


class Wandb(HttpDestination):
    """The destination."""

    def __init__(self, settings: WandbSettings) -> None:
        self._settings = settings
        headers = {
            "wandb-api-key": settings.api_key.get_secret_value(),
            "project_id": f"{settings.entity}/{settings.project}",  # what older servers read
        }
        self.client = HttpClient(settings, settings.endpoint, headers)

    async def send(self, parcel: Parcel) -> Receipt:
        """Send spans; see `contract.Destination`."""
        return await post_otlp(self.client, self._settings, "/v1/traces", parcel)
