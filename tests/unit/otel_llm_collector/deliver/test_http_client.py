"""Small parts of the OTLP/HTTP destination; its behaviour over sockets is in the integration tests."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from otel_llm_collector.deliver.http_client import retry_after
from otel_llm_collector.deliver.otlp_http import OtlpHttpSettings
from pydantic import ValidationError

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Saturday, 21-Nov-26 12:01:00 GMT", 60.0),
        ("-7", None),
        ("soon", None),
        ("", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110 are read; a date in the past means now; anything else is no wish."""
    assert retry_after(header, lambda: NOW) == seconds


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "ftp://a", "http://", "", "http://a b", "/v1/traces"])
def test_what_is_no_url_is_refused(endpoint: str) -> None:
    """The endpoint of OTLP/HTTP is a URL with http or https and a host."""
    with pytest.raises(ValidationError, match="is not a URL"):
        OtlpHttpSettings.model_validate({"type": "otlp_http", "endpoint": endpoint})


def test_a_slash_at_the_end_of_the_endpoint_does_not_matter() -> None:
    """The signal's path is appended once either way."""
    settings = OtlpHttpSettings.model_validate({"type": "otlp_http", "endpoint": "http://a:1/base/"})
    assert settings.endpoint == "http://a:1/base"
