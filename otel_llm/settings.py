"""Every option of `configure` once: its argument, its environment variable, its default.

An argument wins over a variable. A wrong argument is a `ValueError`; a wrong variable is said in the log and passed
over, because whoever runs a program must not be able to stop it by a typo in its telemetry.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

from otel_llm import content
from otel_llm.content import Mode

logger = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "http://127.0.0.1:4318"
MAX_QUEUE_BYTES = 64 * 1024 * 1024  # drop: content first, then spans

Mask: TypeAlias = Callable[[str, str], str]
Instrument: TypeAlias = bool | Iterable[str] | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `read` turns an argument or a variable's text into its value, or raises `ValueError`."""

    name: str
    variable: str
    default: Any
    read: Callable[[Any], Any]
    brief: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The options' values; None is what nobody said."""

    service_name: str | None
    endpoint: str | None
    headers: dict[str, str] | None
    content: Mode | None
    max_content_bytes: int
    mask: Mask | None
    instrument: Instrument
    stream_usage: str | None
    resource_attributes: dict[str, str]
    baggage_keys: tuple[str, ...]
    baggage_hosts: tuple[str, ...]
    max_queue_bytes: int
    shutdown_seconds: float
    flush_on_sigterm: bool
    hardware: bool
    disabled: bool
    tracer_provider: Any = None
    meter_provider: Any = None
    logger_provider: Any = None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("use a text")
    return value


def _url(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ValueError(f"use a URL, for example {DEFAULT_ENDPOINT}")
    return value.rstrip("/")


def _mode(value: Any) -> Mode:
    if value not in content.MODES:
        raise ValueError("use " + " or ".join(repr(mode) for mode in content.MODES))
    return value  # type: ignore[no-any-return] # it is one of them


def _request(value: Any) -> str:
    if value != "request":
        raise ValueError("use 'request'")
    return "request"


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("use a number above 0")  # noqa: TRY004 - one kind of error for every option
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError("use a number above 0")
    return number


def _bytes(value: Any) -> int:
    return int(_positive(value))


def _flag(value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in {"true", "1", "false", "0"}:
        return value.strip().lower() in {"true", "1"}
    if not isinstance(value, bool):
        raise ValueError("use true or false")  # noqa: TRY004
    return value


def _names(value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else list(value)
    if not all(isinstance(item, str) for item in items):
        raise ValueError("use names")
    return tuple(item.strip() for item in items if item.strip())


def _pairs(value: Any) -> dict[str, str]:
    if isinstance(value, str):
        parts = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(key.strip() and sign for key, sign, _ in parts):
            raise ValueError("use KEY=VALUE,KEY=VALUE")
        return {key.strip(): text.strip() for key, _, text in parts}
    if not isinstance(value, Mapping):
        raise ValueError("use a dict of texts")  # noqa: TRY004
    return {str(key): str(text) for key, text in value.items()}


def _mask(value: Any) -> Mask:
    if isinstance(value, str):
        module, _, name = value.partition(":")
        try:
            value = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"use MODULE:FUNCTION that can be imported ({error})") from error
    if not callable(value):
        raise ValueError("use a function of a text and its attribute's name")  # noqa: TRY004
    return value  # type: ignore[no-any-return] # what it takes is known only when it is called


_ALL_OR_NONE = {"true": True, "1": True, "all": True, "false": False, "0": False, "none": False}


def _instrument(value: Any) -> Instrument:
    if isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): str(choice) for key, choice in value.items()}
    said = value.strip().lower() if isinstance(value, str) else ""
    if said in _ALL_OR_NONE:
        return _ALL_OR_NONE[said]
    if "=" not in said:
        return _names(value)
    return _pairs(",".join(part if "=" in part else f"{part}=auto" for part in _names(value)))


OPTIONS = (
    Option("service_name", "OTEL_SERVICE_NAME", None, _text, "the service's name"),
    Option(
        "endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", None, _url, f"base URL of an OTLP/HTTP receiver ({DEFAULT_ENDPOINT})"
    ),
    Option("headers", "OTEL_EXPORTER_OTLP_HEADERS", None, _pairs, "sent with every export"),
    Option("content", content.VARIABLE, None, _mode, "`off`, `metadata` or `full`: what is recorded of texts"),
    Option(
        "max_content_bytes",
        "OTEL_LLM_MAX_CONTENT_BYTES",
        content.MAX_VALUE_BYTES,
        _bytes,
        "largest text or JSON on a span; a longer one is shortened and marked",
    ),
    Option(
        "mask",
        "OTEL_LLM_MASK",
        None,
        _mask,
        "function of a text and its attribute's name, applied to content and errors before they are sent;"
        " `MODULE:FUNCTION`",
    ),
    Option(
        "instrument",
        "OTEL_LLM_INSTRUMENT",
        True,
        _instrument,
        "`all`, `none`, names, or `LIBRARY=DISTRIBUTION` pairs",
    ),
    Option(
        "stream_usage",
        "OTEL_LLM_STREAM_USAGE",
        None,
        _request,
        "`request` asks OpenAI's API for the tokens of streams and hides the extra chunk from the program",
    ),
    Option("resource_attributes", "OTEL_RESOURCE_ATTRIBUTES", {}, _pairs, "what else is known of the service"),
    Option("baggage_keys", "OTEL_LLM_BAGGAGE_KEYS", (), _names, "keys of a session that other services may get"),
    Option("baggage_hosts", "OTEL_LLM_BAGGAGE_HOSTS", (), _names, "hosts that get them, with `*` for any part"),
    Option(
        "max_queue_bytes",
        "OTEL_LLM_MAX_QUEUE_BYTES",
        MAX_QUEUE_BYTES,
        _bytes,
        "memory of spans that wait; over it content is dropped, then spans",
    ),
    Option(
        "shutdown_seconds",
        "OTEL_LLM_SHUTDOWN_SECONDS",
        2.0,
        _positive,
        "the whole time that the end of the program may wait for the endpoint",
    ),
    Option(
        "flush_on_sigterm", "OTEL_LLM_FLUSH_ON_SIGTERM", True, _flag, "send what waits when SIGTERM ends the program"
    ),
    Option("hardware", "OTEL_LLM_HARDWARE", False, _flag, "report GPUs, machine and process as metrics"),
    Option("disabled", "OTEL_SDK_DISABLED", False, _flag, "set up nothing at all"),
)

# Objects of the program, which no variable can name -> what makes one such a provider.
PROVIDERS = {
    "tracer_provider": "add_span_processor",
    "meter_provider": "get_meter",
    "logger_provider": "get_logger",
}

# What OpenTelemetry's own classes read themselves.
_READ_ELSEWHERE = frozenset({"headers", "resource_attributes", "service_name"})


def read(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """The settings that arguments (None: not said) and environment make. Raises `ValueError` for a wrong argument."""
    values = {}
    for option in OPTIONS:
        argument = arguments.get(option.name)
        if argument is not None:
            try:
                values[option.name] = option.read(argument)
            except (ValueError, TypeError) as error:
                raise ValueError(f"configure: {option.name} is {argument!r}; {error}") from None
        else:
            values[option.name] = _from_environment(option, environment)
    for name, method in PROVIDERS.items():
        provider = arguments.get(name)
        if provider is not None and not callable(getattr(provider, method, None)):
            raise ValueError(f"configure: {name} is {provider!r}; use a provider of the OpenTelemetry SDK")
        values[name] = provider
    return Settings(**values)


def _from_environment(option: Option, environment: Mapping[str, str]) -> Any:
    said = environment.get(option.variable, "").strip()
    if not said or option.name in _READ_ELSEWHERE:
        return option.default
    if option.variable == content.VARIABLE:
        return content.from_environment(environment)
    try:
        return option.read(said)
    except ValueError as error:
        logger.warning("otel_llm: %s is %r; %s; the default is used", option.variable, said, error)
        return option.default
