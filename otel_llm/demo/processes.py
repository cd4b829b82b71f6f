"""The demo's child processes: started on loopback, watched, and ended by id whatever happens."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

START_SECONDS = 30.0
STOP_SECONDS = 10.0
_TAIL_LINES = 15


class ChildFailed(Exception):
    """A child ended, or did not become ready; the message ends with its last lines."""


class Child:
    """One running process with its output in a file."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command], env=dict(environment), stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self, url: str) -> None:
        """Return when `url` answers 200. Raises `ChildFailed` when the child ends first or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                msg = f"{self.name} ended with code {self._process.returncode}:\n{self.tail()}"
                raise ChildFailed(msg)
            try:
                if httpx2.get(url, timeout=1, trust_env=False).status_code == httpx2.codes.OK:
                    return
            except httpx2.HTTPError:
                pass
            time.sleep(0.1)
        msg = f"{self.name} was not ready after {START_SECONDS:.0f} s:\n{self.tail()}"
        raise ChildFailed(msg)

    def stop(self) -> None:
        """End the process: politely, then not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def tail(self) -> str:
        """The last lines it printed."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join(f"  {line}" for line in lines)


@contextmanager
def ended_at_exit() -> Iterator[list[Child]]:
    """A list of children, all of which are ended when the block is left, the last started first."""
    children: list[Child] = []
    try:
        yield children
    finally:
        for child in reversed(children):
            child.stop()


def free_port(preferred: int) -> int:
    """`preferred` when nobody listens there, else one that the system gives."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    msg = "no free port on 127.0.0.1"
    raise ChildFailed(msg)
