"""The query API asked by Prometheus' own client (`promtool query`), which reads strictly."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.request import urlopen

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
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


async def _as_grafana(running: Running) -> None:
    """The requests that Grafana's data source makes (its `pkg/promlib`): queries posted as forms, the rest by GET."""
    async with running("") as app, httpx2.AsyncClient(trust_env=False) as client:
        traces = ExportTraceServiceRequest()
        span = (
            traces.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="chat")
        )
        span.end_time_unix_nano = time.time_ns()
        span.start_time_unix_nano = span.end_time_unix_nano - 10**9
        for key, text in (("operation.name", "chat"), ("provider.name", "openai"), ("request.model", "m")):
            span.attributes.add(key=f"gen_ai.{key}").value.string_value = text
        body = traces.SerializeToString()
        sent = f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces"
        await client.post(sent, content=body, headers={"content-type": "application/x-protobuf"})
        url = f"http://{app.admin.address}/api/v1"
        now = time.time()

        async def post(path: str, **form: str) -> Any:
            answer = await client.post(f"{url}/{path}", data=form)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]

        async def get(path: str, **parameters: str) -> Any:
            answer = await client.get(f"{url}/{path}", params=parameters)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]

        # "Save & test": 1+1 near the epoch, and what kind of server it is.
        assert await post("query", query="1+1", time="4") == {"resultType": "scalar", "result": [4, "2"]}
        build = await get("status/buildinfo")
        assert build["version"].startswith("3.")
        assert not build.get("features"), "only Mimir has features"
        # Variables, the query builder, metric names.
        selector = 'otel_llm_requests_total{gen_ai_operation_name="chat"}'
        around = {"start": f"{now - 3600:.3f}", "end": f"{now + 60:.3f}"}
        wanted = {"match[]": selector, **around, "limit": "40000"}
        for _ in range(50):
            found = await get("label/gen_ai_request_model/values", **wanted)
            if found:
                break
            await asyncio.sleep(0.2)
        assert "m" in found
        assert "otel_llm_requests_total" in await get("label/__name__/values", **around)
        assert "gen_ai_request_model" in await post("labels", **{"match[]": selector}, **around)
        (series,) = await post("series", **{"match[]": selector}, **around)
        assert series["gen_ai_provider_name"] == "openai"
        assert len(await get("metadata", limit="1")) == 1
        assert "groups" in await get("rules", type="record")
        # A panel, and the traces behind it.
        ranged = await post("query_range", query=f"sum({selector})", step="15", **around)
        assert ranged["result"][0]["values"][-1][1] == "1"
        query = "histogram_quantile(0.95, sum by (le) (rate(otel_llm_operation_duration_seconds_bucket[5m])))"
        (exemplars,) = await post("query_exemplars", query=query, **around)
        assert exemplars["seriesLabels"]["le"] == "1.28"
        (one,) = exemplars["exemplars"]
        assert (one["labels"]["trace_id"], one["value"]) == ((b"t" * 16).hex(), "1")
        assert now - 60 < one["timestamp"] < now + 60
        assert await post("query_exemplars", query="other_bucket", **around) == []
        refused = await client.post(f"{url}/query_exemplars", data={"query": "sum("})
        assert refused.json()["errorType"] == "bad_data"


def test_grafana_can_ask(running: Running) -> None:
    """Everything that Grafana's Prometheus data source asks for is answered as Prometheus answers it."""
    asyncio.run(_as_grafana(running))


def test_the_collector_answers_about_itself(running: Running) -> None:
    """Its own metrics can be queried on the admin port."""

    async def check() -> None:
        async with running("") as app:
            url = f"http://{app.admin.address}/api/v1/query?query=count(otel_llm_build_info)"
            body = await asyncio.to_thread(lambda: urlopen(url, timeout=10).read())
            assert b'"value":[' in body

    asyncio.run(check())
