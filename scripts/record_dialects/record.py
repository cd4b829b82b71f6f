"""Records how other libraries spell their spans: `make record-dialects`.

Each file in `programs/` traces the scenarios with one library and names what it needs at its top (PEP 723). It gets an
environment of its own outside the repository, and for each scenario a fresh local model server, so that every library
sees the same answers and counts. What arrives over OTLP is stored under `tests/data/dialects/LIBRARY/SCENARIO.json`.
Paths of this machine are cut out; a recording that still names it is refused.

    python scripts/record_dialects/record.py [LIBRARY …] [--scenario NAME] [--environments DIR] [--keep]
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import front
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
DATA = REPOSITORY / "tests" / "data" / "dialects"
MODEL_PORT = 8090  # as stored; while recording, a free one
PROGRAM_SECONDS = 120
LINE = 100  # characters of JSON that stand on one line
RESOURCE_KEPT = ("service.name", "telemetry.sdk.", "telemetry.distro.")


class Sink(ThreadingHTTPServer):
    """Takes OTLP over HTTP and remembers it."""

    def __init__(self) -> None:
        self.traces = ExportTraceServiceRequest()
        self.logs = ExportLogsServiceRequest()
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":  # node's exporters
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "gzip":
            import gzip  # noqa: PLC0415 - only some senders compress

            body = gzip.decompress(body)
        with self.server.lock:
            if self.path.endswith("/traces"):
                self.server.traces.MergeFromString(body)
            elif self.path.endswith("/logs"):
                self.server.logs.MergeFromString(body)
        self.send_response(200)
        self.send_header("content-type", self.headers.get("content-type", "application/x-protobuf"))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def main() -> int:
    """Record what was asked for; 1 when something could not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", help="file names in programs/ without .py; all when none is given")
    parser.add_argument("--scenario", help="only this one")
    parser.add_argument("--environments", type=Path, default=Path(tempfile.gettempdir()) / "otel-llm-record-dialects")
    parser.add_argument("--keep", action="store_true", help="keep the environments")
    options = parser.parse_args()
    known = libraries()
    names = options.libraries or sorted(known)
    failed = [name for name in names if not record(name, *known[name], options)]
    if failed:
        print("could not be recorded:", ", ".join(failed))
    return 1 if failed else 0


def libraries() -> dict[str, tuple[Path, dict[str, Any]]]:
    """Library -> its program and what the program's header says of it.

    A program may be recorded under further names, `[tool.record.also.NAME]`, each with what differs.
    """
    found = {}
    for program in (HERE / "programs").iterdir():
        if program.is_file():
            about = header(program)
            said = {
                "environment": program.stem,
                "dependencies": about["dependencies"],
                "without_dependencies": [],
                "sets": [],
            }
            said |= about["tool"]["record"]
            also = said.pop("also", {})
            found |= {name: (program, said | differs) for name, differs in {program.stem: {}, **also}.items()}
    return found


def record(name: str, program: Path, said: dict[str, Any], options: argparse.Namespace) -> bool:
    """Record one library; whether every scenario of it worked."""
    environment = options.environments / said["environment"]
    command, versions = (node if program.suffix == ".mjs" else python)(environment, program, said)
    scenarios = [one for one in said["scenarios"] if options.scenario in (None, one)]
    folder = DATA / name
    folder.mkdir(parents=True, exist_ok=True)
    done = [run([*command, scenario], name, environment, folder) for scenario in scenarios]
    note = {"dialect": said["dialect"], "recorded": True, "sets": said["sets"], "versions": versions}
    (folder / "about.json").write_text(json.dumps(note, indent=1) + "\n")
    if not options.keep:
        shutil.rmtree(environment)
    return all(done)


def python(environment: Path, program: Path, said: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """An environment from PyPI: the command that runs the program, and the versions of what it needs."""
    executable = environment / "bin" / "python"
    if not executable.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "opentelemetry-exporter-otlp-proto-http", *said["dependencies"]], check=True)
    for one in said["without_dependencies"]:
        subprocess.run([*pip, "--no-deps", one], check=True)
    requirements = [*said["dependencies"], *said["without_dependencies"]]
    names = [re.split(r"[\[<>=~! ]", one)[0] for one in requirements]
    code = (
        "import json,sys;from importlib.metadata import version as v;print(json.dumps({n:v(n) for n in sys.argv[1:]}))"
    )
    done = subprocess.run([executable, "-c", code, *names], capture_output=True, text=True, check=True)
    return [str(executable), str(program)], json.loads(done.stdout)


def node(environment: Path, program: Path, said: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """An environment from npm; the program is copied into it, because node looks for packages beside it."""
    environment.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [shutil.which("npm") or "npm", "install", "--silent", "--prefix", environment, *said["dependencies"]],
        check=True,
    )
    shutil.copy(program, environment)
    names = [one.rpartition("@")[0] or one for one in said["dependencies"]]
    versions = {
        name: json.loads((environment / "node_modules" / name / "package.json").read_text())["version"]
        for name in names
    }
    return ["node", str(environment / program.name)], versions


def header(program: Path) -> dict[str, Any]:
    """The PEP 723 block of `program`."""
    block = re.search(r"^(?:#|//) /// script\n((?:(?:#|//).*\n)+?)(?:#|//) ///$", program.read_text(), re.MULTILINE)
    if block is None:
        msg = f"{program.name}: has no `/// script` block; add one with dependencies and [tool.record]"
        raise SystemExit(msg)
    return tomllib.loads(re.sub(r"^(?:#|//) ?", "", block[1], flags=re.MULTILINE))


def run(command: list[str], name: str, environment: Path, folder: Path) -> bool:
    """Record one scenario, which is the command's last word."""
    scenario = command[-1]
    sink = Sink()
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{sink.server_port}"
    variables = {
        "PATH": f"{environment / 'bin'}:/usr/bin:/bin",
        "HOME": str(environment),
        "PYTHONPATH": str(HERE),
        "OPENAI_API_KEY": "none",
        "ANTHROPIC_API_KEY": "none",
        "RECORDED_LIBRARY": name,
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=recorded",
        "OTEL_SERVICE_NAME": "recorded",
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "otel",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "4096",
    }
    with model_server() as url, front.serving(url) as served:
        port = served.server_port
        variables |= {"MODEL_URL": f"http://127.0.0.1:{port}", "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1"}
        variables["ANTHROPIC_BASE_URL"] = variables["MODEL_URL"]
        done = subprocess.run(
            command,
            env=variables,
            cwd=environment,
            timeout=PROGRAM_SECONDS,
            capture_output=True,
            text=True,
            check=False,
        )
    sink.shutdown()
    if done.returncode or not sink.traces.resource_spans:
        print(f"{name} {scenario}: ended with {done.returncode} and {len(sink.traces.resource_spans)} requests")
        print((done.stdout + done.stderr)[-3000:])
        return False
    document: dict[str, Any] = {"answers": served.answers, "traces": readable(sink.traces)}
    if sink.logs.resource_logs:
        document["logs"] = readable(sink.logs)
    text = printed(document) + "\n"
    text = text.replace(sys.base_prefix, "/python").replace(str(environment), "/venv").replace(str(HERE), "/scripts")
    text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{MODEL_PORT}").replace(f'"{port}"', f'"{MODEL_PORT}"')
    text = text.replace(address.removeprefix("http://"), "127.0.0.1:4318")
    for word in (str(REPOSITORY), socket.gethostname(), str(Path.home()) + "/", tempfile.gettempdir() + "/"):
        if word in text:
            print(f"{name} {scenario}: names this machine ({word}); find out where and leave it out")
            return False
    (folder / f"{scenario}.json").write_text(text)
    spans = sum(len(scope.spans) for one in sink.traces.resource_spans for scope in one.scope_spans)
    print(f"{name} {scenario}: {spans} spans")
    return True


@contextmanager
def model_server() -> Iterator[str]:
    """A fresh local model and its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = REPOSITORY / "examples" / "local_model" / "server.py"
    process = subprocess.Popen([sys.executable, server, "--port", str(port), "--no-faults"], env=os.environ)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def readable(request: Any) -> dict[str, Any]:
    """A request as OTLP JSON (ids in hexadecimal) without what the resource says of the machine."""
    for level in (*getattr(request, "resource_spans", ()), *getattr(request, "resource_logs", ())):
        kept = [one for one in level.resource.attributes if one.key.startswith(RESOURCE_KEPT)]
        del level.resource.attributes[:]
        level.resource.attributes.extend(kept)
    document: dict[str, Any] = MessageToDict(request)
    return hexadecimal(document)


def printed(node: Any, indent: str = "") -> str:
    """`node` as JSON with a line for each attribute, so that a recording is short and its changes can be read."""
    short = json.dumps(node, ensure_ascii=False)
    whole = isinstance(node, dict) and "key" in node  # an attribute
    if not isinstance(node, dict | list) or whole or len(short) < LINE:
        return short
    inner = indent + " "
    if isinstance(node, list):
        return "[\n" + ",\n".join(inner + printed(one, inner) for one in node) + "\n" + indent + "]"
    lines = [f"{inner}{json.dumps(key)}: {printed(one, inner)}" for key, one in node.items()]
    return "{\n" + ",\n".join(lines) + "\n" + indent + "}"


def hexadecimal(node: Any) -> Any:
    """`node` with base64 ids as OTLP JSON has them."""
    if isinstance(node, list):
        return [hexadecimal(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: base64.b64decode(one).hex() if key in {"traceId", "spanId", "parentSpanId"} else hexadecimal(one)
        for key, one in node.items()
    }


if __name__ == "__main__":
    sys.exit(main())
