"""Options: each once, as argument and as variable; what is wrong is told where it was said."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import otel_llm
from otel_llm import settings
from otel_llm.settings import OPTIONS, read

ROOT = Path(__file__).parents[3]


def test_every_option_is_an_argument_and_a_variable() -> None:
    """The signature of `configure`, the table and the page name the same options."""
    arguments = list(inspect.signature(otel_llm.configure).parameters)
    assert arguments == [*(option.name for option in OPTIONS), *settings.PROVIDERS]  # no variable can hold an object
    assert arguments == list(settings.Settings.__dataclass_fields__)
    assert len({option.variable for option in OPTIONS}) == len(OPTIONS)
    page = (ROOT / "docs/sdk.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.MULTILINE)
    assert rows == [(option.name, option.variable) for option in OPTIONS]


@pytest.mark.parametrize(
    ("name", "said", "value"),
    [
        ("endpoint", "http://collector:4318/", "http://collector:4318"),
        ("max_content_bytes", "1000", 1000),
        ("instrument", "none", False),
        ("instrument", "fastapi, openai", ("fastapi", "openai")),
        ("instrument", "openai=openinference,fastapi", {"openai": "openinference", "fastapi": "auto"}),
        ("baggage_keys", "session.id,user.id", ("session.id", "user.id")),
        ("shutdown_seconds", "0.5", 0.5),
        ("flush_on_sigterm", "false", False),
        ("hardware", "true", True),
        ("disabled", "TRUE", True),
        ("content", "SPAN_ONLY", "full"),
        ("content", "metadata", "metadata"),
    ],
)
def test_variables(name: str, said: str, value: Any) -> None:
    """What a variable's text means; an argument wins over it."""
    [option] = [one for one in OPTIONS if one.name == name]
    assert getattr(read({}, {option.variable: said}), name) == value
    assert getattr(read({name: option.default}, {option.variable: said}), name) == (
        value if option.default is None else option.default
    )


def test_a_mask_by_name() -> None:
    """`MODULE:FUNCTION` is imported."""
    assert read({}, {"OTEL_LLM_MASK": "string:capwords"}).mask is __import__("string").capwords


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("endpoint", "localhost:4318"),
        ("content", "loud"),
        ("max_content_bytes", 0),
        ("max_content_bytes", True),
        ("shutdown_seconds", "soon"),
        ("shutdown_seconds", float("nan")),
        ("mask", "no.such.module:function"),
        ("mask", 7),
        ("headers", "novalue"),
        ("headers", 7),
        ("flush_on_sigterm", "perhaps"),
        ("baggage_keys", [1]),
        ("instrument", 7),
        ("service_name", 7),
    ],
)
def test_a_wrong_argument_is_raised_with_what_would_be_right(name: str, wrong: Any) -> None:
    """Where, the value seen, what to use."""
    with pytest.raises(ValueError, match=f"configure: {name} is {re.escape(repr(wrong))}; "):
        read({name: wrong}, {})


def test_a_wrong_variable_is_told_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever starts a program cannot stop it by a typo in its telemetry."""
    found = read({}, {"OTEL_LLM_SHUTDOWN_SECONDS": "soon", "OTEL_EXPORTER_OTLP_ENDPOINT": "nowhere"})
    assert (found.shutdown_seconds, found.endpoint) == (2.0, None)
    assert [one.getMessage().split(";")[0] for one in caplog.records] == [
        "otel_llm: OTEL_EXPORTER_OTLP_ENDPOINT is 'nowhere'",
        "otel_llm: OTEL_LLM_SHUTDOWN_SECONDS is 'soon'",
    ]


def test_a_handle_shows_no_headers() -> None:
    """A notebook prints what `configure` returns; the key that is sent along does not stand there."""
    chosen = read({"headers": {"authorization": "Bearer opensesame"}}, {})
    handle = otel_llm.Handle("api", "http://127.0.0.1:4318", {}, _chosen=chosen)
    assert repr(handle) == "Handle(service_name='api', endpoint='http://127.0.0.1:4318', instrumented={}, notes=[])"
