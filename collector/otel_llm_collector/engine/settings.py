"""The sections `processors`, `prices` and `genai`: what the engine does when it is asked to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from otel_llm_collector.engine import redact
from otel_llm_collector.plugins import PluginSettings


class RedactionConfig(BaseModel):
    """Personal data and secrets in content, span events and log bodies are replaced before anything is kept."""

    model_config = ConfigDict(extra="forbid")

    detectors: list[str] = Field(
        default_factory=lambda: list(redact.NAMES), description=f"Which detectors: {', '.join(redact.NAMES)}."
    )
    patterns: dict[str, str] = Field(
        default_factory=dict, description="Detectors of your own: name to pattern, in RE2's syntax (no look-around)."
    )
    action: redact.Action = Field(
        default=redact.Action.REPLACE,
        description="replace writes [email]; hash writes a keyed hash; drop gives up the whole text.",
    )
    hash_key: SecretStr | None = Field(default=None, description="Secret of the keyed hash; needed with action: hash.")

    @field_validator("detectors")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in redact.NAMES:
                msg = f"names no detector; write some of {', '.join(redact.NAMES)}"
                raise ValueError(msg)
        return value

    @field_validator("patterns")
    @classmethod
    def _linear(cls, value: dict[str, str]) -> dict[str, str]:
        for name, pattern in value.items():
            problem = redact.pattern_problem(pattern)
            if problem:
                msg = f"{name}: {problem}; write a pattern that RE2 takes and that matches some text"
                raise ValueError(msg)
            if name in redact.NAMES or not name.isidentifier():
                msg = f"{name}: is no name for a detector; write a word that is not one of {', '.join(redact.NAMES)}"
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _hash_needs_key(self) -> RedactionConfig:
        if self.action is redact.Action.HASH and not (self.hash_key and self.hash_key.get_secret_value()):
            msg = "action: hash has no hash_key; set hash_key to a secret, for example ${env:REDACTION_KEY}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> RedactionConfig:
        problem = redact.table_problem(self.rows()) if self.patterns else None
        if problem:
            msg = f"patterns: {problem}"
            raise ValueError(msg)
        return self

    def key(self) -> bytes:
        """The secret of the keyed hash."""
        return self.hash_key.get_secret_value().encode() if self.hash_key else b""

    def rows(self) -> list[redact.Detector]:
        """The rows of the table that are on, in their order, then the patterns of one's own."""
        own = [redact.Detector(name, pattern) for name, pattern in self.patterns.items()]
        return [row for row in redact.DETECTORS if row.name in self.detectors] + own


class ContentConfig(BaseModel):
    """How much content is kept of each field."""

    model_config = ConfigDict(extra="forbid")

    max_field_bytes: int = Field(
        default=0, ge=0, description="Most bytes of one prompt, answer or document list; 0 for no bound."
    )
    blobs: Literal["keep", "replace"] = Field(
        default="keep", description="replace puts type, size and hash in the place of base64 images and files."
    )


class ProcessorsConfig(BaseModel):
    """What is done to telemetry before it is kept."""

    model_config = ConfigDict(extra="forbid")

    redaction: RedactionConfig | None = Field(default=None, description="Personal data and secrets; off by default.")
    content: ContentConfig = Field(default_factory=ContentConfig, description="How much content is kept.")
    plugins: dict[str, PluginSettings] = Field(
        default_factory=dict, description="Your own Python on chosen spans, in this order, named by you."
    )


class GenAiConfig(BaseModel):
    """How the spans of GenAI libraries are read, and which of OpenTelemetry's metrics are derived from them."""

    model_config = ConfigDict(extra="forbid")

    originals: Literal["keep", "drop"] = Field(
        default="keep", description="drop removes another dialect's attributes once OpenTelemetry's say the same."
    )
    dialects: list[Path] = Field(
        default_factory=list, description="Dialect tables of your own (YAML), beside those that come with it."
    )
    metrics: Literal["none", "old", "new", "both"] = Field(
        default="none",
        description="OpenTelemetry's client metrics beside otel_llm_*: as until September 2026 (old), as since (new).",
    )


class OwnPrice(BaseModel):
    """What a model costs you: by tokens, by call, by GPU time, or any of them together. US dollars."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, description="The model's name; `*` stands for any text, case does not matter.")
    provider: str = Field(default="*", description="The provider's name (gen_ai.provider.name), in the same way.")
    input_per_million: float | None = Field(default=None, ge=0, le=1e6, description="One million input tokens.")
    output_per_million: float | None = Field(default=None, ge=0, le=1e6, description="One million output tokens.")
    cache_read_per_million: float | None = Field(
        default=None, ge=0, le=1e6, description="One million input tokens from the cache; as input if not given."
    )
    cache_write_per_million: float | None = Field(
        default=None, ge=0, le=1e6, description="One million input tokens written to the cache; as input if not given."
    )
    per_request: float = Field(default=0, ge=0, le=1e6, description="One call.")
    gpu_second: float | None = Field(
        default=None, ge=0, le=1e6, description="One GPU-second of a self-hosted model (otel_llm.gpu.seconds)."
    )

    @model_validator(mode="after")
    def _costs_something(self) -> OwnPrice:
        prices = (self.input_per_million, self.output_per_million, self.gpu_second)
        if all(price is None for price in prices) and not self.per_request:
            msg = f"{self.model}: has no price; give input_per_million, output_per_million, gpu_second or per_request"
            raise ValueError(msg)
        return self

    def matches(self, provider: str, model: str) -> bool:
        """Whether a call to `model` of `provider` has this price."""
        return _fits(self.model, model) and _fits(self.provider, provider)


def _fits(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.lower().split("*"))), name.lower(), re.DOTALL) is not None


class PricesConfig(BaseModel):
    """Prices of your own, before those of the price book."""

    model_config = ConfigDict(extra="forbid")

    models: list[OwnPrice] = Field(
        default_factory=list, description="Own prices; the first that matches is taken.", max_length=1000
    )
    aliases: dict[str, str] = Field(
        default_factory=dict, description="Your provider name to the price book's, for gateways: {my-gateway: openai}."
    )
    version: str = Field(default="1", description="Written on spans as otel_llm.cost.price_version of own prices.")
