"""Who may come in: TLS of our own listeners, and the bearer token that senders show."""

from __future__ import annotations

import hmac

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from otel_llm_collector.config_types import ConfigPath


class ListenerTls(BaseModel):
    """The certificate of a listener; read when the collector starts."""

    model_config = ConfigDict(extra="forbid")

    cert_file: ConfigPath = Field(description="Our certificate and those between it and its root, PEM.")
    key_file: ConfigPath = Field(description="Key of our certificate, PEM.")
    client_ca_file: ConfigPath | None = Field(
        None, description="Only clients with a certificate of these authorities may come in, PEM (mutual TLS)."
    )


def is_allowed(token: SecretStr | None, authorization: str) -> bool:
    """Whether a request with this `authorization` header may come in; all may where there is no token."""
    if token is None:
        return True
    scheme, _, given = authorization.partition(" ")
    is_same = hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode())
    return is_same and scheme.lower() == "bearer"
