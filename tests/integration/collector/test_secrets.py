"""A secret in every place that takes one, and every kind of mishap: none of them is ever written anywhere."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import cli
from otel_llm_semconv import attributes as attr

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PLACES = (
    *("header", "grpc", "opik", "langfuse-public", "langfuse", "phoenix", "mlflow", "wandb", "remote-write"),
    *("alertmanager", "apprise", "server", "hash", "plugin", "variable", "file", "kafka", "key-file", "refused"),
)
SECRETS = {place: f"s3cr3t/{place}+of=tests" for place in PLACES}
SECRET = "s3cr3t-of-tests"
PROTOBUF = {"content-type": "application/x-protobuf"}
CONFIGURATION = """
receivers: {{otlp: {{grpc: null, http: {{endpoint: "127.0.0.1:0"}}}}}}
server: {{endpoint: "127.0.0.1:0", token: "{server}"}}
processors:
  redaction: {{detectors: [email], action: hash, hash_key: "{hash}"}}
  plugins: {{p: {{type: leaky, settings: {{password: "{plugin}"}}}}}}
alerts:
  deadman: true
  evaluation_seconds: 0.3
  alertmanagers: ["http://am:{alertmanager_quoted}@{backend}"]
  notify: {{people: {{type: apprise, urls: ["json://user:{apprise_quoted}@{backend}/hook"]}}}}
exporters:
  web: {{type: otlp_http, endpoint: "http://{backend}", headers: {{authorization: "Bearer {header}"}}, dead_letters: {{path: letters/web}}}}
  rpc: {{type: otlp_grpc, endpoint: "{backend}", tls: {{insecure: true}}, headers: {{x-key: "{grpc}"}}}}
  opik: {{type: opik, endpoint: "http://{backend}/api", api_key: "{opik}", whole_traces: {{quiet_seconds: 0.1}}, dead_letters: {{path: letters/opik}}}}
  langfuse: {{type: langfuse, endpoint: "http://{backend}", public_key: "{langfuse_public}", secret_key: "{langfuse}", whole_traces: {{quiet_seconds: 0.1}}}}
  phoenix: {{type: phoenix, endpoint: "http://{backend}", api_key: "{phoenix}"}}
  mlflow: {{type: mlflow, endpoint: "http://{backend}", token: "{mlflow}"}}
  wandb: {{type: wandb, endpoint: "http://{backend}", entity: e, project: p, api_key: "{wandb}"}}
  prometheus: {{type: prometheus_remote_write, endpoint: "http://{backend}/write", headers: {{authorization: "Bearer {remote_write}"}}}}
  variable: {{type: otlp_http, endpoint: "http://{backend}", headers: {{x-key: "${{env:BACKEND_TOKEN}}"}}}}
  file: {{type: otlp_http, endpoint: "http://{backend}/${{file:token}}", headers: {{x-key: "${{file:token}}"}}}}
  refused: {{type: otlp_http, endpoint: "http://127.0.0.1:1/{refused_quoted}", headers: {{authorization: "Basic {refused_basic}"}}, retry: {{max_seconds: 0.2}}}}
"""  # noqa: E501 - a line for each destination
PLUGIN = """
class Leaky:
    def __init__(self, settings):
        self.settings = settings
    def process(self, span):
        raise RuntimeError(f"cannot log in with {self.settings}")
"""


def forms(secret: str) -> set[str]:
    """A secret as somebody could read it."""
    return {secret, quote(secret, safe=""), quote(secret), base64.b64encode(secret.encode()).decode()}


def assert_hidden(where: str, text: str) -> None:
    for place, secret in SECRETS.items():
        for form in forms(secret):
            assert form not in text, (
                f"the secret of {place} stands in {where}: …{text[max(0, text.find(form) - 200) :][:400]}"
            )


@asynccontextmanager
async def telltale() -> AsyncIterator[str]:
    """The address of a backend that refuses every request and repeats all that it was told, passwords in the clear."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            said = head
            for line in head.split("\r\n"):
                if line.lower().startswith("authorization: basic "):
                    said += base64.b64decode(line.split(" ")[-1]).decode("latin-1")
            body = json.dumps({"error": {"message": said, "escaped": quote(said)}}).encode()
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\nconnection: close\r\n")
            writer.write(b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # gRPC's greeting
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield "{}:{}".format(*server.sockets[0].getsockname())


def prepare(folder: Path, backend: str) -> dict[str, str]:
    """The configuration and what it needs; the environment to run it with."""
    values = {place.replace("-", "_"): secret for place, secret in SECRETS.items()}
    quoted = {f"{place}_quoted": quote(secret, safe="") for place, secret in values.items()}
    basic = base64.b64encode(f"user:{SECRETS['refused']}".encode()).decode()
    (folder / "collector.yaml").write_text(
        CONFIGURATION.format(backend=backend, refused_basic=basic, **values, **quoted)
    )
    (folder / "token").write_text(SECRETS["file"] + "\n")
    (folder / "leaky_plugin.py").write_text(PLUGIN)
    information = folder / "leaky_plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky_plugin\nVersion: 1.0\n")
    points = "[otel_llm_collector.processors]\nleaky = leaky_plugin:Leaky\n"
    (information / "entry_points.txt").write_text(points)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "BACKEND_TOKEN": SECRETS["variable"]}


def everything() -> dict[str, bytes]:
    """A request of each signal, that every destination takes."""
    traces, metrics, logs = ExportTraceServiceRequest(), ExportMetricsServiceRequest(), ExportLogsServiceRequest()
    span = traces.resource_spans.add().scope_spans.add().spans.add(name="chat", trace_id=b"t" * 16, span_id=b"s" * 8)
    span.attributes.add(key=attr.GEN_AI_OPERATION_NAME).value.string_value = "chat"
    metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points.add(as_int=1)
    logs.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "hello"
    found = {"traces": traces, "metrics": metrics, "logs": logs}
    return {name: request.SerializeToString() for name, request in found.items()}


def test_no_secret_is_written_whatever_fails(tmp_path: Path) -> None:
    """Debug logs of every library, refusals that repeat what was sent, dead letters, the admin port."""

    async def run() -> None:
        async with telltale() as backend:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-X", "dev", "-W", "ignore", "-m", "otel_llm_collector", "run", "collector.yaml",
                "--log-level", "debug", cwd=tmp_path, env=prepare(tmp_path, backend),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            assert process.stdout is not None
            lines: list[str] = []
            addresses: dict[str, str] = {}
            async with asyncio.timeout(30):
                while "ready; forwarding" not in (lines or [""])[-1]:
                    line = (await process.stdout.readline()).decode()
                    assert line, "".join(lines)
                    lines.append(line)
                    name, on, address = line.partition(" on ")
                    if on:
                        addresses[name.rpartition(": ")[2]] = address.strip().removeprefix("http://")
            rest = asyncio.create_task(process.stdout.read())
            admin = f"http://{addresses['metrics, health, queries, alerts']}"
            async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
                for signal, body in everything().items():
                    url = f"http://{addresses['OTLP/HTTP']}/v1/{signal}"
                    assert (await client.post(url, content=body, headers=PROTOBUF)).status_code == 200
                async with asyncio.timeout(30):
                    while True:
                        health = (await client.get(f"{admin}/health/detailed")).json()
                        if all(one["last_error"] for one in health["exporters"].values()):
                            break
                        await asyncio.sleep(0.2)
                for path in ("/config", "/health/detailed", "/metrics", "/api/v1/alerts", "/api/v1/rules", "/nowhere"):
                    answer = await client.get(f"{admin}{path}")
                    assert_hidden(path, answer.text + str(dict(answer.headers)))
                wrong = {"authorization": f"Bearer {SECRETS['server']}x"}
                for path in ("/-/reload", "/api/v2/silences"):
                    assert_hidden(path, (await client.post(f"{admin}{path}", headers=wrong)).text)
                running = (await client.get(f"{admin}/config")).json()
            process.terminate()
            said = "".join(lines) + (await rest).decode()
            assert await process.wait() == 0
        assert_hidden("the log", said)
        letters = {path.name: path.read_text() for path in (tmp_path / "letters").iterdir()}
        assert letters.keys() == {"web", "opik"}
        for name, letter in letters.items():
            assert "answered 401" in letter
            assert_hidden(f"the dead letters of {name}", letter)
        # it was really provoked, and really shown
        assert "401" in said
        assert "cannot log in" in said or "plug-in" in said
        assert running["exporters"]["web"]["headers"]["authorization"].strip("*") == ""
        assert running["alerts"]["alertmanagers"] == [f"http://***@{backend}"]
        assert running["exporters"]["web"]["timeout_seconds"] == 10

    asyncio.run(run())


@pytest.mark.parametrize(
    "text",
    [
        'exporters: {a: {type: otlp_http, endpoint: "http://u:SECRET@h:1"}}',
        "exporters: {a: {type: otlp_http, endpoint: 'http://h:1', headers: 'Bearer SECRET'}}",
        "exporters: {a: {type: otlp_http, endpoint: 'http://h:1', headers: {a: [SECRET]}}}",
        "exporters: {a: {type: opik, api_kee: SECRET}}",
        "exporters: {a: {type: otlp_http, endpoint: '${file:token}', timeout_seconds: '${file:token}'}}",
        "exporters: {a: {type: otlp_http, endpoint: '${env:TOKEN}', timeout_seconds: '${env:TOKEN}'}}",
        "log: {kind: kafka, brokers: [a], client: {sasl.password: [SECRET]}}",
        "log: {kind: kafka, brokers: [a], client: sasl.password=SECRET}",
        "server: {token: 'SECRET', password: 'SECRET'}",
        "processors: {plugins: {p: {type: nobody, settings: 'SECRET'}}}",
        'exporters: {a: {type: opik, api_key: "SECRET}}',
        "server: {token: *SECRET}",
        "server: {token: !SECRET x}",
        "server:\n  token: SECRET: x",
        "server: {token: 1}\nSECRET",
    ],
)
def test_a_configuration_that_is_refused_shows_no_secret(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every mistake that can be made beside a secret: sentences without it."""
    monkeypatch.setenv("TOKEN", SECRET)
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "collector.yaml").write_text(text.replace("SECRET", SECRET))
    assert cli.main(["check", str(tmp_path / "collector.yaml")]) == 2
    said = "".join(capsys.readouterr())
    assert "problem" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "text",
    [
        "log: {kind: kafka, brokers: ['127.0.0.1:1'], client: {sasl.password: SECRET, security.protocol: nonsense}}",
        "exporters: {a: {type: otlp_http, endpoint: 'https://h:1', tls: {cert_file: key, key_file: key}}}",
    ],
)
def test_a_start_that_fails_shows_no_secret(text: str, tmp_path: Path) -> None:
    """A library that does not take what it is given, with debug logs on."""
    (tmp_path / "key").write_text(f"-----BEGIN {'PRIVATE KEY'}-----\n{SECRET}\n-----END {'PRIVATE KEY'}-----\n")
    (tmp_path / "collector.yaml").write_text(
        f"{text.replace('SECRET', SECRET)}\nserver: {{endpoint: '127.0.0.1:0'}}\n"
        "receivers: {otlp: {grpc: null, http: {endpoint: '127.0.0.1:0'}}}\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "otel_llm_collector", "run", "collector.yaml", "--log-level", "debug"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert SECRET not in ended.stdout + ended.stderr


CRASH = """
import sys, threading, asyncio
from otel_llm_collector import app, cli

async def run(config, reread):
    secret = config.exporters["a"].headers["authorization"].get_secret_value()
    class Unraisable:
        def __del__(self):
            raise RuntimeError(f"dropped with {secret}")
    def fail():
        raise RuntimeError(f"in a thread with {secret}")
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    Unraisable()
    asyncio.get_running_loop().call_exception_handler({"message": f"in the loop with {secret}"})
    print(f"printed {secret}")
    try:
        raise ValueError(secret)
    except ValueError as error:
        raise RuntimeError(f"crashed with {secret}") from error

app.run = run
sys.exit(cli.main(["run", "collector.yaml"]))
"""


def test_a_crash_shows_no_secret(tmp_path: Path) -> None:
    """The traceback of a fault in our own code, in a thread, in the loop and while something is dropped."""
    (tmp_path / "collector.yaml").write_text(
        "exporters: {a: {type: otlp_http, endpoint: 'http://h:1', headers: {authorization: 'Bearer s3cr3t-of-tests'}}}"
    )
    ended = subprocess.run(
        [sys.executable, "-c", CRASH], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    for words in ("in a thread with", "dropped with", "in the loop with", "crashed with"):
        assert words in ended.stderr
    assert ended.stdout == "printed ***\n"
    assert "s3cr3t" not in ended.stdout + ended.stderr
