"""Hostile and clumsy senders: connections that never finish, heads without end, floods; others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import httpx2
import pytest
from otel_llm_collector import config, limits
from otel_llm_collector.app import App
from otel_llm_collector.contract import Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.testing import HttpSink

from .conftest import FULL, PROTOBUF, Machine, names, request

pytestmark = pytest.mark.integration

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
HEAD = b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


def memory(pid: int, line: str = "VmRSS") -> float:
    """Of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(one for one in status.splitlines() if one.startswith(line)).split()[1]) / 1000


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What is answered until the other side closes; a reset closes, too."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            said += piece
    return said


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that are reached within the test."""
    monkeypatch.setattr(limits, "MAX_HEAD_SECONDS", 1.0)
    monkeypatch.setattr(limits, "MAX_BODY_SECONDS", 1.0)


def here() -> App:
    """A collector in this process, on free ports."""
    listeners = 'receivers: {otlp: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}\n'
    whole = f'{listeners}server: {{endpoint: "127.0.0.1:0"}}\n'
    return App(config.parse(whole, {}, source="test", folder=Path()), load_engine({}))


async def post(address: str, body: bytes, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.post(f"http://{address}/v1/traces", content=body, headers={**PROTOBUF, **headers})


async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """A letter at a time, so that something always comes."""
    sending = asyncio.create_task(_drip(writer, HEAD + b"x: " + b"y" * 10_000))
    try:
        return await until_closed(reader)
    finally:
        sending.cancel()


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for position in range(len(data)):
            writer.write(data[position : position + 1])
            await writer.drain()
            await asyncio.sleep(0.05)


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Headers and no end of them."""
    answer = asyncio.create_task(until_closed(reader))
    with contextlib.suppress(ConnectionError):
        writer.write(HEAD)
        for number in range(100_000):
            writer.write(b"x-%d: %s\r\n" % (number, b"y" * 1000))
            await writer.drain()
            if answer.done():
                break
    return await answer


async def endless_url(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """A path and no end of it."""
    answer = asyncio.create_task(until_closed(reader))
    with contextlib.suppress(ConnectionError):
        writer.write(b"POST /")
        for _ in range(100_000):
            writer.write(b"a" * 1000)
            await writer.drain()
            if answer.done():
                break
    return await answer


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Connects and says nothing."""
    return await until_closed(reader)


async def half_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Announces a body, sends half of it."""
    writer.write(HEAD + b"content-length: 1000\r\n\r\n" + b"x" * 500)
    return await until_closed(reader)


async def second_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """One good request, then half the head of another on the same connection."""
    body = request("good")
    writer.write(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD)
    return await until_closed(reader)


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Bytes that are no HTTP."""
    writer.write(bytes(range(256)) * 10)
    return await until_closed(reader)


@pytest.mark.parametrize(
    ("port", "attack", "counted"),
    [
        ("receiver", silent, "head_timeout"),
        ("receiver", slow_head, "head_timeout"),
        ("receiver", second_half, "head_timeout"),
        ("receiver", endless_head, "head_too_large"),
        ("receiver", endless_url, "head_too_large"),
        ("receiver", half_body, ""),
        ("receiver", no_http, ""),
        ("admin", silent, "head_timeout"),
        ("admin", endless_head, "head_too_large"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_connection_that_never_finishes_is_closed(port: str, attack: Attack, counted: str) -> None:
    """In time, counted, with little memory; the next sender is served."""

    async def run() -> None:
        app = here()
        await app.start()
        address = app.receivers["OTLP/HTTP"].address if port == "receiver" else app.admin.address
        host, number = address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(number))
        async with asyncio.timeout(10):
            said = await attack(reader, writer)
        writer.close()
        if attack is half_body:
            assert b" 408 " in said.split(b"\r\n")[0]
        if counted:
            value = app.telemetry.registry.get_sample_value(
                "otel_llm_http_closed_connections_total", {"reason": counted}
            )
            assert value == 1
        assert (await post(app.receivers["OTLP/HTTP"].address, request("next"))).status_code == 200
        await app.shutdown()

    asyncio.run(run())


@pytest.mark.usefixtures("impatient")
def test_a_thousand_silent_connections_do_not_lock_others_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place is taken by somebody who says nothing: it is free again when the time for a head is over."""
    monkeypatch.setattr(limits, "MAX_HEAD_SECONDS", 3.0)

    async def run() -> None:
        app = here()
        await app.start()
        address = app.receivers["OTLP/HTTP"].address
        host, number = address.rsplit(":", 1)
        held = await asyncio.gather(
            *(asyncio.open_connection(host, int(number)) for _ in range(limits.MAX_HTTP_CONNECTIONS))
        )
        assert (await post(address, request("meanwhile"))).status_code == 503
        async with asyncio.timeout(20):
            while (await post(address, request("later"))).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        for _, writer in held:
            writer.close()
        await app.shutdown()

    asyncio.run(run())


def test_http_2_that_never_finishes_leaves_grpc_serving() -> None:
    """A preface alone, frames that are none, a head without end: other calls are answered meanwhile."""
    settings = struct.pack(">I", 0)[1:] + bytes([4, 0]) + struct.pack(">I", 0)
    endless = b"".join(
        struct.pack(">I", 16384)[1:] + bytes([kind, 0]) + struct.pack(">I", 1) + b"\x00" * 16384
        for kind in (1, *[9] * 60)  # HEADERS without END_HEADERS, CONTINUATION after CONTINUATION
    )

    async def run() -> None:
        app = here()
        await app.start()
        address = app.receivers["OTLP/gRPC"].address
        host, number = address.rsplit(":", 1)
        held = []
        for data in (b"", PREFACE, PREFACE + settings, PREFACE + b"\xff" * 1000, PREFACE + settings + endless):
            reader, writer = await asyncio.open_connection(host, int(number))
            writer.write(data)
            held.append((reader, writer))
        async with grpc.aio.insecure_channel(address) as channel:
            assert await channel.unary_unary(EXPORT)(request("good"), timeout=10) == b""
        for _, writer in held:
            writer.close()
        await app.shutdown()

    asyncio.run(run())


def test_many_bombs_at_once_stay_within_the_memory_for_requests(machine: Machine) -> None:
    """Twenty bodies that each become as much as is allowed: asked to come again or refused, never swallowed whole."""
    bomb = gzip.compress(bytes(60 << 20), 1)

    async def run() -> None:
        machine.configure('  one: {type: otlp_http, endpoint: "http://127.0.0.1:1"}\n', "{kind: memory}")
        process = await machine.start()
        before = memory(process.pid)
        async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:

            async def throw() -> int:
                headers = {**PROTOBUF, "content-encoding": "gzip"}
                return (await client.post(machine.url, content=bomb, headers=headers)).status_code

            answers = await asyncio.gather(*(throw() for _ in range(20)))
            assert set(answers) <= {400, 413, 503}
            assert (await client.post(machine.url, content=request("next"), headers=PROTOBUF)).status_code == 200
        grown = memory(process.pid, "VmHWM") - before
        assert grown < limits.MAX_IN_FLIGHT_BYTES / 1e6 * 2 + 100, f"{grown:.0f} MB"
        assert await machine.stop() == 0

    asyncio.run(run())


COUNT = 100_000 if FULL else 4_000


@pytest.mark.timeout(600 if FULL else 120)
def test_a_flood_of_tiny_requests_arrives_in_little_memory(machine: Machine) -> None:
    """A request for each span, as fast as they go: all acknowledged, all at the destination, books in balance."""

    async def run() -> None:
        async with HttpSink() as sink:
            machine.configure(f'  one: {{type: otlp_http, endpoint: "http://{sink.address}"}}\n')
            process = await machine.start()
            before = memory(process.pid)
            waiting = iter(range(COUNT))

            async def sender() -> None:
                reader, writer = await asyncio.open_connection("127.0.0.1", machine.http)
                for number in waiting:
                    body = request(f"{number:09}")
                    writer.write(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith(b"HTTP/1.1 200"), head
                writer.close()

            await asyncio.gather(*(sender() for _ in range(16)))
            await sink.until(lambda: sink.count(Signal.TRACES) >= COUNT, 300 if FULL else 60)
            assert names(sink).keys() == {f"{number:09}" for number in range(COUNT)}
            await machine.assert_balance()
            grown = memory(process.pid, "VmHWM") - before
            assert grown < 150, f"{grown:.0f} MB"
            assert await machine.stop() == 0

    asyncio.run(run())
