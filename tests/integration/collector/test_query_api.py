"""The query API asked by Prometheus' own client (`promtool query`), which reads strictly."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from urllib.request import urlopen

import pytest
from otel_llm_collector.app import App
from otel_llm_collector.http_server import HttpServer
from otel_llm_collector.measure.promql.storage import MemoryStorage, make_labels
from otel_llm_collector.serve.prometheus_api import PrometheusApi
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

Running = Callable[[str], AbstractAsyncContextManager[App]]

pytestmark = pytest.mark.integration


@pytest.fixture
def promtool() -> str:
    """Prometheus' command-line client."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("asking with Prometheus' own client needs promtool; apt-get install prometheus")
    return found


async def ask(promtool: str, *arguments: str) -> str:
    """What promtool prints."""
    done = await asyncio.to_thread(
        subprocess.run, [promtool, "query", *arguments], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_prometheus_own_client(promtool: str) -> None:
    """Instant, range, series and label queries come back through the client's own parser."""

    async def check() -> None:
        storage = MemoryStorage()
        now = int(time.time())
        for step in range(21):
            storage.append(make_labels({"__name__": "x_total", "a": "1"}), (now - 300 + 15 * step) * 1000, step * 30.0)
        api = PrometheusApi(storage, list, CollectorRegistry(), time.time)
        server = HttpServer(Starlette(routes=api.routes()), "127.0.0.1:0", "server.endpoint")
        await server.start()
        url = f"http://{server.address}"
        try:
            assert '{a="1"} => 120' in await ask(promtool, "instant", url, "increase(x_total[1m])")
            assert await ask(promtool, "instant", url, "1 + 1") != ""
            ranged = await ask(promtool, "range", f"--start={now - 60}", f"--end={now}", "--step=30s", url, "x_total")
            assert ranged.count("@[") == 3
            assert await ask(promtool, "series", "--match=x_total", url) == '{__name__="x_total", a="1"}\n'
            assert await ask(promtool, "labels", url, "a") == "1\n"
        finally:
            await server.shutdown()
            api.close()

    asyncio.run(check())


def test_a_long_query_delays_nobody(running: Running) -> None:
    """While a query that never ends by itself is evaluated, health is answered at once; then it is given up."""

    async def check() -> None:
        async with running("") as app:
            admin = f"http://{app.admin.address}"
            slow = "count_over_time(vector(1)[36500d:1s])".replace(" ", "%20")
            query = asyncio.create_task(asyncio.to_thread(_status, f"{admin}/api/v1/query?query={slow}&timeout=2"))
            await asyncio.sleep(0.1)
            started = time.monotonic()
            assert await asyncio.to_thread(_status, f"{admin}/live") == 200
            assert time.monotonic() - started < 1
            assert await query in {422, 503}

    asyncio.run(check())


def _status(url: str) -> int:
    from urllib.error import HTTPError  # noqa: PLC0415

    try:
        with urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_the_collector_answers_about_itself(running: Running) -> None:
    """Its own metrics can be queried on the admin port."""

    async def check() -> None:
        async with running("") as app:
            url = f"http://{app.admin.address}/api/v1/query?query=count(otel_llm_build_info)"
            body = await asyncio.to_thread(lambda: urlopen(url, timeout=10).read())
            assert b'"value":[' in body

    asyncio.run(check())
