"""Real servers for the end-to-end tests: started on free loopback ports, ended by process id."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 60.0, what: str = "condition") -> Any:
    """The first truthy value of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            value = condition()
        except (httpx2.HTTPError, KeyError, IndexError):
            value = None
        if value:
            return value
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {seconds:.0f} s")


def get(url: str) -> Any:
    """The JSON at `url`."""
    return httpx2.get(url, timeout=5, trust_env=False).raise_for_status().json()


@dataclass
class Tools:
    """What tests start with: a folder, free ports, waiting, and processes that end with the test."""

    folder: Path
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    free_port = staticmethod(free_port)
    wait_for = staticmethod(wait_for)
    get = staticmethod(get)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program; its output goes to a file in the folder."""
        import os  # noqa: PLC0415

        log = (self.folder / f"{Path(command[0]).name}-{len(self._processes)}.log").open("wb")
        process = subprocess.Popen(
            command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
        self._processes.append(process)
        return process

    def end(self) -> None:
        """End everything that was started."""
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Tools]:
    """See `Tools`."""
    tools = Tools(tmp_path)
    yield tools
    tools.end()


def needs(program: str) -> str:
    """The path of a program, or a skip that says how to get it."""
    path = shutil.which(program)
    if path is None:
        package = {"promtool": "prometheus"}.get(program, program)
        pytest.skip(f"{program} is not installed; apt-get install {package} gives it")
    return path


@pytest.fixture
def prometheus() -> str:
    """The real Prometheus' path."""
    return needs("prometheus")


@pytest.fixture
def promtool() -> str:
    """The real promtool's path."""
    return needs("promtool")


@pytest.fixture
def alertmanager() -> str:
    """The real Alertmanager's path."""
    return needs("prometheus-alertmanager")


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A URL for Alertmanager's webhook receiver, and the list of alerts that arrive there."""
    alerts: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            alerts.extend(json.loads(self.rfile.read(int(self.headers["content-length"])))["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", alerts
    server.shutdown()
    server.server_close()
