"""Debug: says what would be sent, in the collector's own log.

To see that telemetry arrives and what the engine made of it. Content is left out unless `content: keep` is written.
Delivery: at least once.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Literal

from pydantic import Field

from otel_llm_collector.contract import Parcel, Receipt
from otel_llm_collector.deliver.otlp import SHAPES
from otel_llm_collector.deliver.otlp_json import to_json
from otel_llm_collector.deliver.settings import Content, DestinationSettings

logger = logging.getLogger(__name__)


class Verbosity(StrEnum):
    """How much is said of a request."""

    BASIC = "basic"
    DETAILED = "detailed"


class DebugSettings(DestinationSettings):
    """The collector's own log."""

    type: Literal["debug"] = Field(description="debug")
    content: Content = Field(Content.DROP, description="keep or drop prompts, answers, documents and the like.")
    verbosity: Verbosity = Field(
        Verbosity.BASIC, description="basic: a line of counts for each request; detailed: the request as OTLP JSON too."
    )
    max_chars: int = Field(10_000, ge=100, description="Most characters of a request that are shown.")


class Debug:
    """The destination."""

    def __init__(self, settings: DebugSettings) -> None:
        self._settings = settings

    async def start(self) -> None:
        """Nothing to open."""

    async def shutdown(self) -> None:
        """Nothing to close."""

    async def send(self, parcel: Parcel) -> Receipt:
        """Say it; see `contract.Destination`."""
        logger.info("debug: %d %s in %d bytes", parcel.items, parcel.signal.items, len(parcel.payload))
        if self._settings.verbosity is Verbosity.DETAILED:
            text = to_json(SHAPES[parcel.signal].request.FromString(parcel.payload))
            longer = "…" if len(text) > self._settings.max_chars else ""
            logger.info("debug: %s%s", text[: self._settings.max_chars], longer)
        return Receipt()
