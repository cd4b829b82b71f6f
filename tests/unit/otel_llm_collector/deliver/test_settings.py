"""Settings of destinations: what is refused, and that secrets stay secret."""

from __future__ import annotations

import pytest
from otel_llm_collector.deliver.settings import NetworkSettings
from pydantic import ValidationError


def make(**values: object) -> NetworkSettings:
    return NetworkSettings.model_validate({"type": "x", **values})


def test_header_values_are_never_shown() -> None:
    """Neither repr nor the JSON dump of the settings holds a header's value."""
    settings = make(headers={"Authorization": "Bearer sk-123456"})
    assert "sk-123456" not in repr(settings) + settings.model_dump_json()


def test_the_newline_after_a_token_from_a_file_goes() -> None:
    """Surrounding white space is no part of a header."""
    settings = make(headers={"X-Key": " abc\n"})
    assert settings.headers["x-key"].get_secret_value() == "abc"


@pytest.mark.parametrize("headers", [{"a": "b\nc: d"}, {"a": "\x00"}, {"a": "é"}, {"a b": "c"}, {"": "c"}, {"a:": "c"}])
def test_headers_that_no_server_would_take_are_refused_without_their_value(headers: dict[str, str]) -> None:
    """Line breaks, control characters and bad names are configuration errors; the message does not show the value."""
    with pytest.raises(ValidationError) as caught:
        make(headers=headers)
    assert all(str(error["msg"]) != "d" and "b\nc" not in str(error["msg"]) for error in caught.value.errors())


def test_certificate_and_key_go_together() -> None:
    """One without the other is refused."""
    with pytest.raises(ValidationError, match="only one of cert_file and key_file"):
        make(tls={"cert_file": "a.pem"})


def test_what_a_backend_says_is_shortened_and_loses_our_secrets() -> None:
    """The whole header value and the token in it are blotted out before the text is cut."""
    settings = make(headers={"authorization": "Bearer sk-123456"})
    assert settings.said("no: Bearer sk-123456, sk-123456") == "no: ***, ***"
    long = settings.said("x" * 296 + " sk-123456")
    assert "sk-" not in long
    assert len(long) <= 300
    assert settings.said(b"\xff\xfe two\n\nlines") == "\ufffd\ufffd two lines"
