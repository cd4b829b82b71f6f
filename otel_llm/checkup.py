"""`otel-llm doctor` and `otel_llm.doctor()`: what is set up here, what is wrong with it, and what to do.

The command looks at the environment it is started in, as a program started there would; the function, called inside a
program after `configure`, looks at what that program really has.
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from otel_llm import content, exporters, settings, setup
from otel_llm._version import __version__
from otel_llm.exporters import Target
from otel_llm.fastapi import STABILITY_VARIABLE
from otel_llm.gpu.nvml import Nvml, UnavailableError
from otel_llm.instrument import LIBRARIES, instrument_libraries
from otel_llm.settings import Settings

Level: TypeAlias = Literal["ok", "note", "wrong"]

CONNECT_SECONDS = 3.0

# Programs that set up tracing of their own; beside ours they report calls again.
_OTHER_SDKS = {
    "traceloop-sdk": "traceloop.sdk",
    "openlit": "openlit",
    "langfuse": "langfuse",
    "logfire": "logfire",
    "opik": "opik",
    "ddtrace": "ddtrace",
    "arize-phoenix-otel": "phoenix.otel",
}
_OLDEST = (1, 43)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `ok`, a `note`, or `wrong`; `remedy` says what to do, if anything."""

    level: Level
    about: str
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.level:5}  {self.about:15} {self.said}" + (f"\n{'':23}-> {self.remedy}" if self.remedy else "")


def doctor(*, endpoint: str | None = None, send: bool = True) -> list[Finding]:
    """Look at everything; returns what was found. `send` posts an empty request to the endpoint."""
    found: list[Finding] = []
    chosen = _settings(endpoint, found)
    found += _versions()
    if chosen.disabled:
        found.append(Finding("wrong", "settings", "OTEL_SDK_DISABLED is true: nothing is recorded", "unset it"))
    found += _endpoint(Target(chosen.endpoint, chosen.headers), send=send)
    found += _program()
    found += _content(chosen)
    found += _instrumentations(chosen)
    found += _doubles()
    found += _gpu()
    return found


def main(*, endpoint: str | None = None, send: bool = True) -> int:
    """Print what was found; 1 when something is wrong."""
    found = doctor(endpoint=endpoint, send=send)
    for one in found:
        print(one)  # noqa: T201 - a command's output
    wrong = sum(one.level == "wrong" for one in found)
    print(f"\n{wrong} wrong" if wrong else "\nnothing is wrong")  # noqa: T201
    return 1 if wrong else 0


class _Complaints(logging.Handler):
    """Collects what reading the settings warns of."""

    def __init__(self, found: list[Finding]) -> None:
        super().__init__()
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage().removeprefix("otel_llm: ")
        self._found.append(Finding("wrong", "settings", said, "correct or unset the variable"))


def _settings(endpoint: str | None, found: list[Finding]) -> Settings:
    collector = _Complaints(found)
    loggers = [settings.logger, content.logger]
    for logger in loggers:
        logger.addHandler(collector)
    before = [logger.propagate for logger in loggers]
    try:
        for logger in loggers:
            logger.propagate = False
        return settings.read({"endpoint": endpoint}, os.environ)
    except ValueError as error:
        found.append(Finding("wrong", "settings", str(error), "use a URL such as " + settings.DEFAULT_ENDPOINT))
        return settings.read({}, os.environ)
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(collector)
            logger.propagate = propagate


def _versions() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    api, sdk = metadata.version("opentelemetry-api"), metadata.version("opentelemetry-sdk")
    said = f"otel-llm {__version__}, OpenTelemetry {sdk}, Python {python}"
    if api.split(".")[:2] != sdk.split(".")[:2]:
        yield Finding("wrong", "versions", f"API {api} and SDK {sdk} differ", "pip install -U opentelemetry-sdk")
    elif tuple(int(part) for part in sdk.split(".")[:2]) < _OLDEST:
        yield Finding("wrong", "versions", f"OpenTelemetry {sdk} is too old", "pip install -U opentelemetry-sdk")
    else:
        yield Finding("ok", "versions", said)


def _endpoint(target: Target, *, send: bool) -> Iterator[Finding]:
    notes: list[str] = []
    for signal in ("traces", "metrics", "logs"):
        exporters.chosen(signal, notes)
    for note in notes:
        yield Finding("note", "endpoint", note)
    url = target.url("traces")
    if (os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "").strip() == "grpc":
        exporters.maker("traces", target, notes := [])
        missing = f"; {notes[0]}" if notes else ""
        yield Finding("wrong" if missing else "note", "endpoint", f"{target.base} over gRPC{missing}")
        return
    if urlsplit(url).port == _GRPC_PORT:
        remedy = "use the port for OTLP/HTTP, 4318 by default, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
        yield Finding("wrong", "endpoint", f"{url} is the port for gRPC, and HTTP is spoken", remedy)
        return
    if url.startswith("https:") and _bundle() and _of_environment("CERTIFICATE"):
        said = "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE is set and comes before OTEL_EXPORTER_OTLP_CERTIFICATE"
        yield Finding("note", "endpoint", said, "unset it, or add the certificate to that file")
    if send:
        yield _post(url, target.headers)
    else:
        yield Finding("note", "endpoint", f"{url}, not tried")


_GRPC_PORT = 4317
_UNAUTHORISED = (401, 403)


def _post(url: str, headers: dict[str, str] | None) -> Finding:
    """Post a request without spans, which every OTLP receiver takes."""
    given = {**_headers_of_environment(), **(headers or {}), "content-type": "application/x-protobuf"}
    try:
        request = urllib.request.Request(url, data=b"", headers=given, method="POST")  # noqa: S310 - http(s) by settings
        context = _tls() if url.startswith("https:") else None
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS, context=context) as answer:  # noqa: S310
            return Finding("ok", "endpoint", f"{url} takes spans ({answer.status})")
    except urllib.error.HTTPError as error:
        if error.code in _UNAUTHORISED:
            remedy = "set OTEL_EXPORTER_OTLP_HEADERS, for example to authorization=Bearer%20TOKEN"
            return Finding("wrong", "endpoint", f"{url} refuses us ({error.code})", remedy)
        remedy = "is it the base URL of an OTLP/HTTP receiver, without /v1/traces?"
        return Finding("wrong", "endpoint", f"{url} answers {error.code} {error.reason}", remedy)
    except (OSError, ValueError) as error:
        said = getattr(error, "reason", error)
        remedy = "start a collector (otel-llm-collector run) or set OTEL_EXPORTER_OTLP_ENDPOINT"
        if isinstance(said, ssl.SSLCertVerificationError):
            remedy = "set OTEL_EXPORTER_OTLP_CERTIFICATE to the certificate of its authority, PEM"
        return Finding("wrong", "endpoint", f"{url} cannot be reached: {said}", remedy)


def _tls() -> ssl.SSLContext:
    """What the exporter trusts, and the certificate that it shows."""
    context = ssl.create_default_context(cafile=_bundle() or _of_environment("CERTIFICATE") or None)
    own = _of_environment("CLIENT_CERTIFICATE")
    if own:
        context.load_cert_chain(own, _of_environment("CLIENT_KEY") or None)
    return context


def _bundle() -> str:
    """The variables that come before OpenTelemetry's in `requests`, which its exporter sends with."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or ""


def _of_environment(name: str) -> str:
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}")
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def _headers_of_environment() -> dict[str, str]:
    said = _of_environment("HEADERS")
    pairs = (part.partition("=") for part in said.split(",") if "=" in part)
    return {key.strip(): unquote(value.strip()) for key, _, value in pairs}


def _program() -> Iterator[Finding]:
    """What the handle of this process says, where there is one."""
    handle = setup.current()
    if handle is None:
        return
    yield Finding("ok", "program", f"configured as {handle.service_name!r}")
    for note in handle.notes:
        yield Finding("note", "program", note)
    counted = f"{handle.emitted_spans} spans ended, {handle.exported_spans} sent, {handle.dropped_spans} dropped"
    yield Finding("wrong" if handle.dropped_spans else "ok", "program", counted)


def _content(chosen: Settings) -> Iterator[Finding]:
    said = os.environ.get(content.VARIABLE, "")
    mode = chosen.content or content.from_environment(os.environ)
    if setup.current() is not None:
        mode = content.mode()
    text = f"{mode}" + (f" ({content.VARIABLE}={said})" if said else "")
    if mode == "full" and chosen.mask is None:
        yield Finding("note", "content", text, "prompts and answers leave unmasked; OTEL_LLM_MASK names a mask")
    else:
        yield Finding("ok", "content", text)


def _instrumentations(chosen: Settings) -> Iterator[Finding]:
    handle = setup.current()
    outcome = handle.instrumented if handle else instrument_libraries(chosen.instrument, rehearse=True)
    for name, said in outcome.items():
        good = said.startswith(("instrumented", "off", "left out"))
        bad = said.startswith("failed") or "double each call, switch" in said
        yield Finding("wrong" if bad else "ok" if good else "note", name, said)
    stable = os.environ.get(STABILITY_VARIABLE, "")
    if stable and "http" not in stable.split(","):
        said = f"{STABILITY_VARIABLE}={stable}: HTTP spans have the old names"
        yield Finding("note", "conventions", said, f"{STABILITY_VARIABLE}=http")


def _doubles() -> Iterator[Finding]:
    """Other SDKs and several instrumentations of one library, installed side by side."""
    for distribution, module in _OTHER_SDKS.items():
        try:
            version = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
        active = module in sys.modules
        said = f"{distribution} {version} is installed" + (" and loaded" if active else "")
        remedy = "if it is set up as well, calls are reported twice: use one, or switch its instrumentations off"
        yield Finding("wrong" if active else "note", "double", said, remedy)
    if "opentelemetry.instrumentation.auto_instrumentation" in sys.modules:
        remedy = "use `otel-llm instrument` instead of it, not both"
        yield Finding("wrong", "double", "opentelemetry-instrument is at work in this process", remedy)
    for name, library in LIBRARIES.items():
        installed = [one.distribution for one in library.candidates if one.version() is not None]
        if len(installed) > 1:
            yield Finding("note", "double", f"{name}: {', '.join(installed)} are installed; one of them is used")


def _gpu() -> Iterator[Finding]:
    try:
        devices = Nvml().devices
    except UnavailableError as error:
        yield Finding("note", "gpu", f"none is read: {error}")
        return
    yield Finding("ok", "gpu", f"{len(devices)} devices; otel_llm.watch_hardware() reports them")
