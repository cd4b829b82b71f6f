"""Settings that every destination has."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, model_validator

from otel_llm_collector import limits
from otel_llm_collector.config_types import ConfigPath
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.dead_letters import DeadLetterSettings
from otel_llm_collector.deliver.filter import FilterSettings
from otel_llm_collector.deliver.profile import ProfileChoice
from otel_llm_collector.deliver.sampling import SamplingSettings
from otel_llm_collector.deliver.scores import SCORES
from otel_llm_collector.deliver.traces import WholeTraceSettings
from otel_llm_collector.masking import Mask, secrets_in

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_MAX_SAID_CHARS = 300


class Content(StrEnum):
    """What happens to prompts, answers, documents, queries and tool arguments on the way to a destination."""

    KEEP = "keep"
    DROP = "drop"


class Compression(StrEnum):
    """How requests are compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class RetrySettings(BaseModel):
    """How a request is sent again: exponential back-off with jitter, or as the backend asks."""

    model_config = ConfigDict(extra="forbid")

    initial_seconds: float = Field(1.0, gt=0, le=300, description="Pause before the first retry, in seconds.")
    max_seconds: float = Field(30.0, gt=0, le=3600, description="Longest pause, in seconds.")
    max_elapsed_seconds: float | None = Field(
        limits.MAX_RETRY_SECONDS,
        ge=0,
        description="After this many seconds a request is dropped and counted; null, and the default of a log that "
        "outlives the process: never.",
    )

    def for_log(self, *, durable: bool) -> RetrySettings:
        """With a durable log nothing is given up unless the configuration says when."""
        if not durable or "max_elapsed_seconds" in self.model_fields_set:
            return self
        return self.model_copy(update={"max_elapsed_seconds": None})


class TlsSettings(BaseModel):
    """How the connection is secured."""

    model_config = ConfigDict(extra="forbid")

    insecure: bool = Field(False, description="true: no TLS at all.")
    ca_file: ConfigPath | None = Field(None, description="Certificates to trust, PEM; the system's when not given.")
    cert_file: ConfigPath | None = Field(None, description="Our certificate, PEM, for mutual TLS; needs key_file.")
    key_file: ConfigPath | None = Field(None, description="Key of our certificate, PEM; needs cert_file.")
    server_name: str | None = Field(None, description="Name that the backend's certificate is checked against.")

    @model_validator(mode="after")
    def _pair(self) -> TlsSettings:
        if (self.cert_file is None) != (self.key_file is None):
            msg = "has only one of cert_file and key_file; give both or none"
            raise ValueError(msg)
        return self


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        msg = "is no header name; write letters, digits and dashes"
        raise ValueError(msg)
    return name.lower()


def _header_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value().strip()  # a token read from a file ends with a newline
    if not (text.isascii() and text.isprintable()):
        msg = "holds a character that no header may have; write printable ASCII"
        raise ValueError(msg)
    return SecretStr(text)


HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]


class DestinationSettings(BaseModel):
    """What every destination can be told."""

    model_config = ConfigDict(extra="forbid")

    takes: ClassVar[frozenset[Signal]] = frozenset(Signal)  # the signals that the backend has a use for
    log_events: ClassVar[frozenset[str]] = frozenset()  # of the logs only these events are sent; empty: all logs

    type: str = Field(description="The kind of destination.")
    signals: list[Signal] = Field(
        default_factory=list, description="traces, metrics, logs; all that the backend takes when not given."
    )
    filter: FilterSettings | None = Field(None, description="Which items the destination gets; all when not given.")
    whole_traces: WholeTraceSettings | None = Field(
        None,
        description="Wait for the spans of a trace and send them together; each request goes at once if not given.",
    )
    sampling: SamplingSettings | None = Field(
        None, description="Which traces the destination gets; implies whole_traces. All when not given."
    )
    content: Content = Field(Content.KEEP, description="keep or drop prompts, answers, documents and the like.")
    profile: ProfileChoice = Field(
        None, description="Name or path of the profile that makes attributes what the backend reads; null: none."
    )
    max_request_bytes: int = Field(
        limits.MAX_EXPORT_BYTES, ge=1024, description="Larger requests are split below this size before compression."
    )
    merge_bytes: int = Field(
        limits.MERGE_BYTES,
        ge=0,
        description="Requests that wait are sent together up to this size; 0: each as it came.",
    )
    max_in_flight: int = Field(4, ge=1, le=64, description="Requests sent at one time.")
    retry: RetrySettings = Field(default_factory=RetrySettings, description="How requests are sent again.")
    dead_letters: DeadLetterSettings | None = Field(
        None, description="Keep what the destination will never take in a file; not kept when not given."
    )

    _mask: Mask | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _signals(self) -> DestinationSettings:
        foreign = [signal for signal in self.signals if signal not in self.takes]
        if foreign:
            takes = ", ".join(signal for signal in Signal if signal in self.takes)
            msg = f"sends no {' and no '.join(foreign)} to {self.type}; write some of {takes}"
            raise ValueError(msg)
        if not self.signals:
            self.signals = [signal for signal in Signal if signal in self.takes]
        return self

    def resource_attributes(self) -> dict[str, str]:
        """Attributes that the backend wants on each resource."""
        return {}

    def routes(self) -> dict[str, str]:
        """Headers whose value is an attribute of the resource: header to attribute."""
        return {}

    def said(self, answer: str | bytes) -> str:
        """What a backend or a library said, for errors and logs: short, and without any secret of these settings.

        Backends like to repeat the credentials that they refuse.
        """
        text = answer.decode("utf-8", errors="replace") if isinstance(answer, bytes) else answer
        if text:
            self._mask = self._mask or Mask(secrets_in(self))  # made once: a third of a millisecond
            text = " ".join(self._mask(text).split())
        return text if len(text) <= _MAX_SAID_CHARS else text[: _MAX_SAID_CHARS - 1] + "…"


class NetworkSettings(DestinationSettings):
    """What every destination behind a network can be told."""

    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Headers sent along, values kept secret."
    )
    headers_from: dict[HeaderName, str] = Field(
        default_factory=dict,
        description="Headers whose value is the named attribute of the resource; requests are split by it.",
    )
    compression: Compression = Field(Compression.GZIP, description="gzip, zstd (over HTTP) or none.")
    timeout_seconds: float = Field(10.0, gt=0, le=600, description="Longest wait for an answer, in seconds.")
    tls: TlsSettings = Field(default_factory=TlsSettings, description="How the connection is secured.")

    def routes(self) -> dict[str, str]:
        """See `headers_from`."""
        return dict(self.headers_from)


class ScoredSettings(NetworkSettings):
    """What destinations can be told that take traces over OTLP and scores over an API of their own."""

    takes: ClassVar[frozenset[Signal]] = frozenset({Signal.TRACES, Signal.LOGS})
    log_events: ClassVar[frozenset[str]] = SCORES

    score_wait_seconds: float = Field(
        60.0, ge=0, description="A score is given up when its trace is not there this many seconds after it was made."
    )
