"""Backends at their worst: every kind of failure mixed, dead for an hour, ten of twenty dead."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.reader import Reader
from otel_llm_collector.deliver.retry import Timing
from otel_llm_collector.deliver.settings import DestinationSettings
from otel_llm_collector.errors import Retryable
from otel_llm_collector.log.disk import DiskLog, DiskLogConfig
from otel_llm_collector.testing import Answer, Behaviour, Drip, Fail, GrpcSink, Hang, HttpSink, Partial, Reset, Take
from prometheus_client import CollectorRegistry

from .conftest import FULL, PROTOBUF, Machine, names, request

pytestmark = pytest.mark.integration

REQUESTS = 1000 if FULL else 120
HTTP: list[Behaviour] = [
    *(Fail(code) for code in (503, 502, 504, 413, 400, 500, 404, 307)),
    *(Fail(429, retry_after=after) for after in ("0", "1", "soon")),
    Fail(400, "x" * (10 << 20)), Reset(), Hang(), Drip(), Partial(1, "no room"), Partial(10**9),
    Answer(b"\xff\xff"), Answer(b"<html>", "text/html"), Answer(b"{", "application/json"),
]  # fmt: skip
GRPC: list[Behaviour] = [
    *(Fail(code) for code in grpc.StatusCode if code is not grpc.StatusCode.OK),
    Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after=0.1), Fail(grpc.StatusCode.UNAVAILABLE, "x" * 5000),
    Hang(), Answer(b"\xff\xff"), Partial(1, "no room"),
]  # fmt: skip


async def post_all(url: str, requests: list[list[str]]) -> None:
    """Send every request until it is acknowledged."""
    waiting = iter(requests)

    async def sender() -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:
            for one in waiting:
                answer = await client.post(url, content=request(*one), headers=PROTOBUF)
                assert answer.status_code == 200, answer.text

    await asyncio.gather(*(sender() for _ in range(4)))


@pytest.mark.timeout(300)
def test_whatever_backends_do_every_span_is_sent_or_counted(machine: Machine) -> None:
    """Half of all answers are failures of every kind: the books balance, and what was not dropped has arrived."""
    chance = random.Random(3)
    requests = [[f"{n:05}-{k}" for k in range(chance.randrange(1, 6))] for n in range(REQUESTS)]
    spans = {name for one in requests for name in one}

    async def run() -> None:
        async with HttpSink() as web, GrpcSink() as rpc:
            web.script.extend(behaviour for _ in range(REQUESTS) for behaviour in (Take(), chance.choice(HTTP)))
            rpc.script.extend(behaviour for _ in range(REQUESTS) for behaviour in (Take(), chance.choice(GRPC)))
            common = "timeout_seconds: 0.5, merge_bytes: 0, retry: {initial_seconds: 0.01, max_seconds: 0.1}"
            machine.configure(
                f'  web: {{type: otlp_http, endpoint: "http://{web.address}", {common}, dead_letters: {{path: x}}}}\n'
                f'  rpc: {{type: otlp_grpc, endpoint: "{rpc.address}", tls: {{insecure: true}}, {common}}}\n'
            )
            await machine.start()
            await post_all(machine.url, requests)
            async with asyncio.timeout(200):
                while any(one["waiting"] for one in (await machine.health())["exporters"].values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
            await machine.assert_balance()
            values = await machine.values()
            for name, sink in (("web", web), ("rpc", rpc)):
                dropped = sum(
                    value
                    for key, value in values.items()
                    if key.startswith("otel_llm_exporter_dropped_spans_total") and f'exporter="{name}"' in key
                )
                arrived = names(sink)
                assert 0 < dropped < len(spans)
                assert arrived.keys() <= spans
                # refused in a partial success: they did arrive at this sink
                assert len(spans) - len(arrived) <= dropped
            assert await machine.stop() == 0
        assert "Traceback" not in machine.said()

    asyncio.run(run())


def test_a_backend_that_is_dead_for_an_hour_gets_everything(tmp_path: Path) -> None:
    """An hour by the reader's own clock, with a log on disk: nothing is given up, few requests knock, all arrive."""

    class World:
        def __init__(self) -> None:
            self.now = 0.0
            self.knocks = 0
            self.taken: Counter[bytes] = Counter()

        async def start(self) -> None: ...
        async def shutdown(self) -> None: ...

        async def send(self, parcel: Parcel) -> Receipt:
            if self.now < 3600:
                self.knocks += 1
                msg = "connection refused"
                raise Retryable(msg)
            self.taken.update(parcel.payload.split(b";")[:-1])
            return Receipt()

        async def sleep(self, seconds: float) -> None:
            """Everybody who sleeps, sleeps in the same time: it passes when nothing else happens."""
            end = self.now + seconds
            while self.now < end:
                await asyncio.sleep(0.001)
                self.now += 0.5

    async def run() -> None:
        world = World()
        log = DiskLog(DiskLogConfig(path=tmp_path), ["d"])
        await log.start()
        settings = DestinationSettings.model_validate({"type": "x", "max_in_flight": 4})
        books = Books({"d": frozenset(Signal)}, CollectorRegistry())
        timing = Timing(lambda: world.now, world.sleep, lambda: 0.5)
        reader = Reader("d", log, world, settings, books, timing, shutdown_seconds=30)
        await reader.start()
        for number in range(200):
            await log.append(Signal.TRACES, b"%d;" % number, 1)
            books.kept(Signal.TRACES, 1)
        async with asyncio.timeout(60):
            while len(world.taken) < 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert world.taken == Counter(b"%d" % number for number in range(200))
        assert world.knocks < 3600 / 30 * 3
        details: Any = reader.details()
        assert (details["breaker"], details["lag"]["items"]) == ("closed", 0)
        log.seal()
        await reader.shutdown()
        await log.shutdown()

    asyncio.run(run())


async def seconds_for(machine: Machine, healthy: list[HttpSink], dead: str) -> float:
    """How long ten healthy destinations take for the same requests, with `dead` ones beside them."""
    exporters = "".join(
        f'  ok{n}: {{type: otlp_http, endpoint: "http://{sink.address}", compression: none, merge_bytes: 0}}\n'
        for n, sink in enumerate(healthy)
    )
    machine.configure(exporters + dead, "{kind: memory}")
    await machine.start()
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as client:  # the breakers of the dead find out first
        for number in range(40):
            await client.post(machine.url, content=request(f"warm-{number}"), headers=PROTOBUF)
    await healthy[0].until(lambda: all(sink.count(Signal.TRACES) >= 40 for sink in healthy), 60)
    for sink in healthy:
        sink.taken.clear()
    requests = [[f"{n:05}-{k}" for k in range(20)] for n in range(200 if FULL else 60)]
    began = time.monotonic()
    await post_all(machine.url, requests)
    await healthy[0].until(lambda: all(sink.count(Signal.TRACES) == 20 * len(requests) for sink in healthy), 100)
    took = time.monotonic() - began
    await machine.stop()
    for sink in healthy:
        sink.taken.clear()
    return took


@pytest.mark.timeout(600)
def test_ten_dead_of_twenty_leave_the_others_their_throughput(machine: Machine) -> None:
    """As fast as senders and backends go, dead, hanging and failing destinations beside them cost at most a tenth.

    The smallest of several turns is compared: what else the machine does makes some of them slow. At full size the
    bound is 10 %; the short run allows for its noise.
    """

    async def run() -> None:
        async with AsyncExitStack() as stack:
            healthy = [await stack.enter_async_context(HttpSink()) for _ in range(10)]
            hung = await stack.enter_async_context(HttpSink(otherwise=Hang()))
            failing = await stack.enter_async_context(GrpcSink(otherwise=Fail(grpc.StatusCode.UNAVAILABLE)))
            dead = "".join(f'  refused{n}: {{type: otlp_http, endpoint: "http://127.0.0.1:1"}}\n' for n in range(4))
            dead += "".join(f'  hung{n}: {{type: otlp_http, endpoint: "http://{hung.address}"}}\n' for n in range(4))
            dead += f'  grpc0: {{type: otlp_grpc, endpoint: "{failing.address}", tls: {{insecure: true}}}}\n'
            dead += '  grpc1: {type: otlp_grpc, endpoint: "127.0.0.1:1", tls: {insecure: true}}\n'
            turns = 5 if FULL else 2
            took = [
                (await seconds_for(machine, healthy, ""), await seconds_for(machine, healthy, dead))
                for _ in range(turns)
            ]
            alone, beside = (min(one) for one in zip(*took, strict=True))
            assert beside < alone * (1.1 if FULL else 1.5), took

    asyncio.run(run())
