"""What the fault tests share: a collector as a process of its own, and senders that remember what was acknowledged.

`OTEL_LLM_FAULTS=full` (`make test-faults`) runs them at full size; otherwise they are small enough for every CI run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.testing import Sink

FULL = os.environ.get("OTEL_LLM_FAULTS") == "full"
PROTOBUF = {"content-type": "application/x-protobuf"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def request(*names: str, size: int = 0) -> bytes:
    """A request of spans, each in a trace of its own."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for name in names:
        span = scope.spans.add(name=name, trace_id=name.encode().rjust(16, b"-")[-16:], span_id=b"s" * 8)
        span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
        if size:
            span.attributes.add(key="padding").value.string_value = "x" * size
    encoded: bytes = message.SerializeToString()
    return encoded


def names(*sinks: Sink) -> Counter[str]:
    """The spans that arrived, by name."""
    return Counter(span.name for sink in sinks for taken in sink.taken for span in taken.spans())


class Machine:
    """A folder with a configuration in which a collector is started again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http, self.admin = free_port(), free_port()
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}/v1/traces"

    def configure(self, exporters: str, log: str = "{kind: disk, path: log}") -> None:
        (self.folder / "collector.yaml").write_text(
            f"receivers: {{otlp: {{grpc: null, http: {{endpoint: 127.0.0.1:{self.http}}}}}}}\n"
            f"server: {{endpoint: 127.0.0.1:{self.admin}}}\nlog: {log}\nexporters:\n{exporters}"
        )

    async def start(self, prepare: Callable[[], None] | None = None) -> asyncio.subprocess.Process:
        """A running collector that is ready; `prepare` runs in its process first."""
        with (self.folder / "collector.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "otel_llm_collector", "run", "collector.yaml",
                cwd=self.folder, stdout=log, stderr=log, preexec_fn=prepare,
            )  # fmt: skip
        async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(60):
            while self.process.returncode is None:
                try:
                    if (await client.get(f"http://127.0.0.1:{self.admin}/ready")).status_code == 200:
                        return self.process
                except httpx2.HTTPError:
                    await asyncio.sleep(0.05)
        pytest.fail(self.said())

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 30)

    def said(self) -> str:
        return (self.folder / "collector.log").read_text()

    async def values(self) -> dict[str, float]:
        """Every sample on /metrics by its name and labels."""
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            text = (await client.get(f"http://127.0.0.1:{self.admin}/metrics")).text
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if line and line[0] != "#")
        }

    async def health(self) -> dict[str, Any]:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            found: dict[str, Any] = (await client.get(f"http://127.0.0.1:{self.admin}/health/detailed")).json()
        return found

    async def assert_balance(self) -> None:
        """The books, at the door and for each destination."""
        values = await self.values()

        def total(prefix: str, exporter: str = "") -> float:
            return sum(
                value
                for name, value in values.items()
                if name.startswith(prefix) and (not exporter or f'exporter="{exporter}"' in name)
            )

        received = total("otel_llm_receiver_received_spans_total")
        assert received == total("otelcol_receiver_accepted_spans_total") + total(
            "otelcol_receiver_refused_spans_total"
        )
        for exporter in (await self.health())["exporters"]:
            accepted = total("otel_llm_exporter_accepted_spans_total", exporter)
            sent = total("otelcol_exporter_sent_spans_total", exporter)
            waiting = total("otel_llm_exporter_waiting_spans", exporter)
            dropped = total("otel_llm_exporter_dropped_spans_total", exporter)
            assert accepted == sent + waiting + dropped, (exporter, accepted, sent, waiting, dropped)


class Senders:
    """Programs that send one span after the other, and remember which were acknowledged."""

    def __init__(self, url: str, count: int = 4, size: int = 0) -> None:
        self.url = url
        self.acknowledged: set[str] = set()
        self.refused = 0
        self._size = size
        self._stop = False
        self._tasks = [asyncio.create_task(self._send(number)) for number in range(count)]

    async def _send(self, sender: int) -> None:
        number = 0
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
            while not self._stop:
                name = f"{sender}-{number}"
                number += 1
                try:
                    answer = await client.post(self.url, content=request(name, size=self._size), headers=PROTOBUF)
                except httpx2.HTTPError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.status_code == 200:
                    self.acknowledged.add(name)
                else:
                    assert answer.status_code == 503, answer.text
                    self.refused += 1
                    await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def sending(url: str, count: int = 4, size: int = 0) -> AsyncIterator[Senders]:
    """Senders that are stopped at the end."""
    senders = Senders(url, count, size)
    try:
        yield senders
    finally:
        await senders.stop()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A folder for a collector; one that a failed test left running is ended."""
    made = Machine(tmp_path)
    yield made
    if made.process is not None and made.process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(made.process.pid, signal.SIGKILL)
