"""Settings that every destination has."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from otel_llm_collector import limits
from otel_llm_collector.contract import Signal


class Content(StrEnum):
    """What happens to prompts, answers, documents, queries and tool arguments on the way to a destination."""

    KEEP = "keep"
    DROP = "drop"


class Compression(StrEnum):
    """How requests are compressed."""

    NONE = "none"
    GZIP = "gzip"


class RetrySettings(BaseModel):
    """How a request is sent again: exponential back-off with jitter, or as the backend asks."""

    model_config = ConfigDict(extra="forbid")

    initial_seconds: float = Field(1.0, gt=0, le=300, description="Pause before the first retry, in seconds.")
    max_seconds: float = Field(30.0, gt=0, le=3600, description="Longest pause, in seconds.")
    max_elapsed_seconds: float = Field(
        limits.MAX_RETRY_SECONDS, ge=0, description="After this many seconds a request is dropped and counted."
    )


class TlsSettings(BaseModel):
    """How the connection is secured."""

    model_config = ConfigDict(extra="forbid")

    insecure: bool = Field(False, description="true: no TLS at all.")
    ca_file: Path | None = Field(None, description="Certificates to trust, PEM; the system's when not given.")
    cert_file: Path | None = Field(None, description="Our certificate, PEM, for mutual TLS.")
    key_file: Path | None = Field(None, description="Key of our certificate, PEM.")


class DestinationSettings(BaseModel):
    """What every destination can be told."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="The kind of destination.")
    signals: list[Signal] = Field(default_factory=lambda: list(Signal), description="traces, metrics, logs.")
    content: Content = Field(Content.KEEP, description="keep or drop prompts, answers, documents and the like.")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Headers sent along, values kept secret.")
    compression: Compression = Field(Compression.GZIP, description="gzip or none.")
    timeout_seconds: float = Field(10.0, gt=0, le=600, description="Longest wait for an answer, in seconds.")
    max_request_bytes: int = Field(
        limits.MAX_EXPORT_BYTES, ge=1024, description="Larger requests are split below this size before compression."
    )
    max_in_flight: int = Field(4, ge=1, le=64, description="Requests sent at one time.")
    retry: RetrySettings = Field(default_factory=RetrySettings, description="How requests are sent again.")
    tls: TlsSettings = Field(default_factory=TlsSettings, description="How the connection is secured.")
