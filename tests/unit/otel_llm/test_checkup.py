"""The doctor says what is wrong and what to do about it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_llm import checkup, cli, content, instrument, setup
from otel_llm.checkup import Finding, doctor
from otel_llm.instrument import Library


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No handle, no libraries, no variables of the machine that runs the tests."""
    monkeypatch.setattr(setup, "_handle", None)
    monkeypatch.setattr(instrument, "LIBRARIES", {})
    monkeypatch.setattr(checkup, "LIBRARIES", {})
    for variable in (content.VARIABLE, "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        monkeypatch.delenv(variable, raising=False)


def about(found: list[Finding], word: str) -> list[Finding]:
    return [one for one in found if one.about == word]


def test_nothing_is_wrong_in_a_plain_environment(capsys: pytest.CaptureFixture[str]) -> None:
    """Versions, endpoint, content, instrumentations and GPU are named; exit code 0."""
    assert cli.main(["doctor", "--offline"]) == 0
    output = capsys.readouterr().out
    for word in ("versions", "endpoint", "content", "threading", "fastapi", "gpu"):
        assert f"  {word} " in output
    assert output.endswith("nothing is wrong\n")


@pytest.fixture
def answering() -> Iterator[Any]:
    """A server that answers with `code` and remembers what was posted."""

    class Handler(BaseHTTPRequestHandler):
        code = 200
        server: HTTPServer
        seen: tuple[str, dict[str, str]] = ("", {})

        def do_POST(self) -> None:
            type(self).seen = (self.path, {key.lower(): value for key, value in self.headers.items()})
            self.send_response(type(self).code)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    server = Handler.server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Handler
    server.shutdown()
    server.server_close()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("code", "level", "remedy"),
    [
        (200, "ok", ""),
        (401, "wrong", "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "wrong", "without /v1/traces"),
    ],
)
def test_the_endpoint_is_tried(
    answering: Any, monkeypatch: pytest.MonkeyPatch, code: int, level: str, remedy: str
) -> None:
    """An empty request with the configured headers; each answer has its remedy."""
    url, handler = answering
    handler.code = code
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
    [found] = about(doctor(endpoint=url), "endpoint")
    assert found.level == level
    assert remedy in found.remedy
    path, headers = handler.seen
    assert (path, headers["authorization"], headers["content-type"]) == (
        "/v1/traces",
        "Bearer x",
        "application/x-protobuf",
    )


@pytest.mark.integration
def test_a_certificate_that_nobody_trusts(answering: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Over TLS the exporter's own variables count; without them the remedy names them."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; apt-get install openssl gives it")
    own, key = tmp_path / "own.pem", tmp_path / "own.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(own), "-keyout", str(key)]
    subprocess.run(["openssl", *words.split(), *more], check=True, capture_output=True, timeout=30)
    url, handler = answering
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    handler.server.socket = context.wrap_socket(handler.server.socket, server_side=True)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)
    [found] = about(doctor(endpoint=url.replace("http:", "https:")), "endpoint")
    assert (found.level, "OTEL_EXPORTER_OTLP_CERTIFICATE" in found.remedy) == ("wrong", True)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(own))
    [found] = about(doctor(endpoint=url.replace("http:", "https:")), "endpoint")
    assert found.level == "ok"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
    note, _ = about(doctor(endpoint=url.replace("http:", "https:")), "endpoint")
    assert (note.level, "REQUESTS_CA_BUNDLE" in note.said) == ("note", True)


@pytest.mark.integration
def test_nobody_listens() -> None:
    """Connection refused: start a collector."""
    [found] = about(doctor(endpoint="http://127.0.0.1:9"), "endpoint")
    assert found.level == "wrong"
    assert "otel-llm-collector run" in found.remedy


def test_the_port_for_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake: HTTP to 4317."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    [found] = about(doctor(), "endpoint")
    assert (found.level, "4318" in found.remedy) == ("wrong", True)


def test_wrong_variables_are_findings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What `configure` would warn of, and nothing in the log twice."""
    monkeypatch.setenv("OTEL_LLM_SHUTDOWN_SECONDS", "soon")
    monkeypatch.setenv(content.VARIABLE, "loud")
    said = " ".join(one.said for one in about(doctor(send=False), "settings"))
    assert "OTEL_LLM_SHUTDOWN_SECONDS is 'soon'" in said
    assert f"{content.VARIABLE} is 'loud'" in said


def test_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded, and that is why."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    [found] = about(doctor(send=False), "settings")
    assert "OTEL_SDK_DISABLED" in found.said


def test_content_that_leaves_unmasked_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """`full` without a mask is a note with the way to one."""
    monkeypatch.setenv(content.VARIABLE, "SPAN_ONLY")
    [found] = about(doctor(send=False), "content")
    assert (found.level, "OTEL_LLM_MASK" in found.remedy) == ("note", True)


def test_other_sdks_and_double_instrumentations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed: a note. Loaded beside us: wrong. Two instrumentations of a library: which ones."""
    real = checkup.metadata.version
    there = {"langfuse": "5.0.4", "openlit": "1.45.0", "a": "1", "b": "2"}
    monkeypatch.setattr(checkup.metadata, "version", lambda name: there.get(name) or real(name))
    monkeypatch.setitem(sys.modules, "openlit", ModuleType("openlit"))
    monkeypatch.setattr(checkup, "LIBRARIES", {"x": Library("x", "a", "b")})
    levels = {one.said.split()[0]: one.level for one in about(doctor(send=False), "double")}
    assert levels == {"langfuse": "note", "openlit": "wrong", "x:": "note"}


def test_inside_a_program_the_handle_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process really has: its instrumentations, notes and dropped spans."""
    handle = setup.Handle("svc", "http://127.0.0.1:9", {"openai": "failed (ImportError: x)"}, ["joined a provider"])
    monkeypatch.setattr(setup, "_handle", handle)
    found = doctor(send=False)
    assert [one.said for one in about(found, "program")][:2] == ["configured as 'svc'", "joined a provider"]
    [openai] = about(found, "openai")
    assert openai.level == "wrong"
