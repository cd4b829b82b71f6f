"""The collector ended at random moments under load: what it acknowledged arrives everywhere."""

from __future__ import annotations

import asyncio
import os
import random

import pytest
from otel_llm_collector.testing import GrpcSink, HttpSink

from .conftest import FULL, Machine, Senders, names

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("OTEL_LLM_KILLS", "200" if FULL else "6"))
EXPORTERS = """
  one: {{type: otlp_http, endpoint: "http://{one}", retry: {{max_seconds: 0.2}}}}
  two: {{type: otlp_grpc, endpoint: "{two}", tls: {{insecure: true}}, retry: {{max_seconds: 0.2}}}}
  whole:
    {{type: otlp_http, endpoint: "http://{whole}", retry: {{max_seconds: 0.2}}, whole_traces: {{quiet_seconds: 0.1}}}}
"""


@pytest.mark.timeout(120 + 10 * KILLS)  # a life takes 2 s on a quiet machine
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_every_acknowledged_span_arrives_at_every_destination(machine: Machine, how: str) -> None:
    """Ended at random moments under load, one destination dead now and then: nothing acknowledged is missing."""
    chance = random.Random(7)

    async def life() -> None:
        process = await machine.start()
        await asyncio.sleep(chance.uniform(0.05, 0.6))
        process.kill() if how == "SIGKILL" else process.terminate()
        await asyncio.wait_for(process.wait(), 30)

    async def run() -> None:
        async with GrpcSink() as two, HttpSink() as whole:
            async with HttpSink() as first:
                addresses = {"one": first.address, "two": two.address, "whole": whole.address}
                machine.configure(EXPORTERS.format(**addresses))
                senders = Senders(machine.url)
                for _ in range(KILLS):
                    await life()
            for _ in range(2):  # `one` is dead in these lives and comes back at the end
                await life()
            async with HttpSink(port=first.port) as again:
                await machine.start()
                await senders.stop()

                def arrived() -> bool:
                    everywhere = (names(first, again), names(two), names(whole))
                    return all(senders.acknowledged <= found.keys() for found in everywhere)

                try:
                    await two.until(arrived, 60)
                    await machine.assert_balance()
                finally:
                    await machine.stop()
            assert len(senders.acknowledged) > 10 * KILLS
            for arrivals in (names(first, again), names(two), names(whole)):
                twice = sum(count - 1 for count in arrivals.values())
                if how == "SIGTERM":  # only what was under way at a stop may come again
                    assert twice <= 8 * (KILLS + 2)
                else:  # what was delivered since the last flush of the offsets comes again
                    assert twice < len(senders.acknowledged)

    asyncio.run(run())
