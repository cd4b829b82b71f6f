"""The collector killed at random moments under load: what it acknowledged arrives everywhere."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from collections import Counter
from pathlib import Path

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.testing import GrpcSink, HttpSink, Sink

pytestmark = pytest.mark.integration

KILLS = 6
SENDERS = 4

CONFIG = """
receivers: {{otlp: {{grpc: null, http: {{endpoint: 127.0.0.1:{http}}}}}}}
server: {{endpoint: 127.0.0.1:{admin}}}
log: {{kind: disk, path: {folder}/log}}
exporters:
  one: {{type: otlp_http, endpoint: "http://{one}", retry: {{max_seconds: 0.2}}}}
  two: {{type: otlp_grpc, endpoint: "{two}", tls: {{insecure: true}}, retry: {{max_seconds: 0.2}}}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def request(name: str) -> bytes:
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add(name=name)
    span.trace_id, span.span_id = b"t" * 16, b"s" * 8
    span.start_time_unix_nano, span.end_time_unix_nano = 1, 2
    encoded: bytes = message.SerializeToString()
    return encoded


class Senders:
    """Programs that send one span after the other, and remember which were acknowledged."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.acknowledged: set[str] = set()
        self._stop = False

    async def send(self, sender: int) -> None:
        number = 0
        async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
            while not self._stop:
                name = f"{sender}-{number}"
                number += 1
                try:
                    answer = await client.post(
                        self.url, content=request(name), headers={"content-type": "application/x-protobuf"}
                    )
                except httpx2.HTTPError:
                    await asyncio.sleep(0.05)
                    continue
                if answer.status_code == 200:
                    self.acknowledged.add(name)

    async def run(self) -> None:
        await asyncio.gather(*(self.send(sender) for sender in range(SENDERS)))

    def stop(self) -> None:
        self._stop = True


async def started(folder: Path, admin: int) -> asyncio.subprocess.Process:
    """A running collector that is ready."""
    with (folder / "collector.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "otel_llm_collector", "run", "collector.yaml", cwd=folder, stdout=log, stderr=log
        )
    async with httpx2.AsyncClient(trust_env=False) as client, asyncio.timeout(30):
        while process.returncode is None:
            try:
                if (await client.get(f"http://127.0.0.1:{admin}/ready")).status_code == 200:
                    return process
            except httpx2.HTTPError:
                await asyncio.sleep(0.05)
    pytest.fail((folder / "collector.log").read_text())


def names(sink: Sink) -> Counter[str]:
    return Counter(span.name for taken in sink.taken for span in taken.spans())


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_every_acknowledged_span_arrives_at_every_destination(tmp_path: Path, how: str) -> None:
    """Ended at random moments under load, one destination dead half of the time: nothing acknowledged is missing."""
    chance = random.Random(7)
    http, admin = free_port(), free_port()

    async def run() -> None:
        async with GrpcSink() as two:
            async with HttpSink() as first:
                one_port = first.port
                config = CONFIG.format(http=http, admin=admin, folder=tmp_path, one=first.address, two=two.address)
                (tmp_path / "collector.yaml").write_text(config)
                senders = Senders(f"http://127.0.0.1:{http}/v1/traces")
                sending = asyncio.create_task(senders.run())
                for _ in range(KILLS):
                    process = await started(tmp_path, admin)
                    await asyncio.sleep(chance.uniform(0.05, 0.6))
                    process.kill() if how == "SIGKILL" else process.terminate()
                    await asyncio.wait_for(process.wait(), 20)
            # `one` is dead for the next lives and comes back at the end
            for _ in range(2):
                process = await started(tmp_path, admin)
                await asyncio.sleep(chance.uniform(0.05, 0.6))
                process.kill() if how == "SIGKILL" else process.terminate()
                await asyncio.wait_for(process.wait(), 20)
            async with HttpSink(port=one_port) as again:
                process = await started(tmp_path, admin)
                senders.stop()
                await sending

                def arrived() -> bool:
                    at_one = names(first) + names(again)
                    return senders.acknowledged <= at_one.keys() and senders.acknowledged <= names(two).keys()

                try:
                    await two.until(arrived, 30)
                finally:
                    process.terminate()
                    await asyncio.wait_for(process.wait(), 20)
                at_one = names(first) + names(again)
            assert len(senders.acknowledged) > 100
            for arrivals in (at_one, names(two)):
                twice = sum(count - 1 for count in arrivals.values())
                if how == "SIGTERM":  # only what was under way at a stop may come again
                    assert twice <= 4 * (KILLS + 2)
                else:  # what was delivered since the last flush of the offsets comes again
                    assert twice < len(senders.acknowledged) / 2

    asyncio.run(run())
