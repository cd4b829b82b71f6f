"""The section `processors`: what the engine does beyond prices and measurements, all of it off unless asked for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from otel_llm_collector.engine import redact


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
