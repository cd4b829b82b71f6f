"""Budgets, span rules, people and restarts through a running collector."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_semconv import attributes as attr
from prometheus_client.openmetrics import parser as openmetrics

pytestmark = pytest.mark.integration


PROMPT = "what-nobody-else-may-read"


def spans(*numbers: int) -> bytes:
    """Calls that cost something, each with 1,000,000 input tokens of a model with a known price."""
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    resource_spans.resource.attributes.add(key=attr.SERVICE_NAME).value.string_value = "svc"
    for number in numbers:
        span = resource_spans.scope_spans.add().spans.add(
            name="chat", trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big")
        )
        span.end_time_unix_nano = time.time_ns()
        span.start_time_unix_nano = span.end_time_unix_nano - 10**9
        for key, text in (
            (attr.GEN_AI_OPERATION_NAME, "chat"),
            (attr.GEN_AI_PROVIDER_NAME, "openai"),
            (attr.GEN_AI_REQUEST_MODEL, "gpt-4o"),
            (attr.GEN_AI_INPUT_MESSAGES, f'[{{"role": "user", "parts": [{{"type": "text", "content": "{PROMPT}"}}]}}]'),
        ):
            span.attributes.add(key=key).value.string_value = text
        span.attributes.add(key=attr.GEN_AI_USAGE_INPUT_TOKENS).value.int_value = 1_000_000
        span.attributes.add(key=attr.GEN_AI_USAGE_OUTPUT_TOKENS).value.int_value = 0
    return message.SerializeToString()


class Hook:
    """A webhook that remembers what is posted to it, and answers 500 while `broken`."""

    def __init__(self) -> None:
        self.broken = False
        self.posted: list[dict[str, Any]] = []
        self.address = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.partition(":")[2]) for line in head.splitlines() if line.startswith("content-length"))
        body = await reader.readexactly(length)
        if not self.broken:
            self.posted.append(json.loads(body))
        status = b"500 No" if self.broken else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    """A webhook on a free port."""
    made = Hook()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


async def until(condition: Any, seconds: float = 20) -> Any:
    """The first truthy answer."""
    async with asyncio.timeout(seconds):
        while True:
            found = await condition()
            if found:
                return found
            await asyncio.sleep(0.1)


async def _spend(running: Any, folder: Path) -> None:
    more = f"""
alerts:
  path: {folder}/alerts
  evaluation_seconds: 0.3
  spans: [{{name: Dear, when: cost > 1}}]
  notify:
    people: {{type: apprise, urls: ["json://HOOK/"], wait_seconds: 0, interval_seconds: 0, group_by: [alertname]}}
budgets:
  all: {{amount: 4, period: month, by: [service], thresholds: [0.5], forecast: false}}
"""
    async with hook() as people, httpx2.AsyncClient(trust_env=False) as client:
        more = more.replace("HOOK", people.address)

        async def post(app: Any, body: bytes) -> None:
            headers = {"content-type": "application/x-protobuf"}
            answer = await client.post(
                f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces", content=body, headers=headers
            )
            assert answer.status_code == 200

        async def spent(app: Any) -> float:
            text = (await client.get(f"http://{app.admin.address}/metrics")).text
            return sum(
                float(line.split()[-1]) for line in text.splitlines() if line.startswith("otel_llm_budget_spent{")
            )

        async with running(more) as app:
            await post(app, spans(1))
            await post(app, spans(1))
            assert await spent(app) == 2.5

            async def told() -> bool:
                return {"[FIRING:1] Dear", "[FIRING:1] BudgetThreshold"} <= {one["title"] for one in people.posted}

            await until(told)
            dear = next(one for one in people.posted if "Dear" in one["title"])
            assert f"trace {1:032x}" in dear["message"]
            assert dear["type"] == "warning"
            alerts = (await client.get(f"http://{app.admin.address}/api/v1/alerts")).json()["data"]["alerts"]
            assert {one["labels"]["alertname"] for one in alerts} == {"Dear", "BudgetThreshold"}
        before = len(people.posted)
        people.broken = True
        async with running(more) as app:
            await post(app, spans(1, 2))
            assert await spent(app) == 5.0
            await asyncio.sleep(1)
            assert len(people.posted) == before, "nothing is said twice after a restart"
        assert PROMPT not in json.dumps(people.posted), "no message carries what people wrote"


def test_money_over_a_restart_and_people(running: Any, tmp_path: Path) -> None:
    """A span that comes three times costs once; people hear of it once, with the trace id, through a real webhook."""
    pytest.importorskip("apprise")
    asyncio.run(_spend(running, tmp_path))


async def _metrics(running: Any) -> None:
    rule = "alerts: {evaluation_seconds: 0.3, thresholds: []}\nmeasure: {resolution_seconds: 0.3}\n"
    async with running(rule) as app, httpx2.AsyncClient(trust_env=False) as client:
        message = ExportMetricsServiceRequest()
        resource_metrics = message.resource_metrics.add()
        resource_metrics.resource.attributes.add(key=attr.SERVICE_NAME).value.string_value = "svc"
        metric = resource_metrics.scope_metrics.add().metrics.add(name="queue.depth", unit="{item}")
        metric.gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=7)
        headers = {"content-type": "application/x-protobuf"}
        address = app.receivers["OTLP/HTTP"].address
        body = message.SerializeToString()
        assert (await client.post(f"http://{address}/v1/metrics", content=body, headers=headers)).status_code == 200
        url = f"http://{app.admin.address}/api/v1/query"
        answer = (await client.get(url, params={"query": "queue_depth"})).json()["data"]["result"]
        assert [(one["metric"], one["value"][1]) for one in answer] == [
            ({"__name__": "queue_depth", "job": "svc", "service_name": "svc"}, "7")
        ]


async def _exposition(running: Any, promtool: str) -> None:
    async with running() as app, httpx2.AsyncClient(trust_env=False) as client:
        headers = {"content-type": "application/x-protobuf"}
        address = app.receivers["OTLP/HTTP"].address
        await client.post(f"http://{address}/v1/traces", content=spans(1), headers=headers)
        message = ExportMetricsServiceRequest()
        metrics = message.resource_metrics.add().scope_metrics.add().metrics
        metrics.add(name="queue.depth", unit="{item}").gauge.data_points.add(time_unix_nano=time.time_ns(), as_int=7)
        counter = metrics.add(name="jobs.done").sum
        counter.is_monotonic, counter.aggregation_temporality = True, 2
        counter.data_points.add(time_unix_nano=time.time_ns(), as_int=3)
        histogram = metrics.add(name="wait", unit="s").histogram
        histogram.aggregation_temporality = 2
        point = histogram.data_points.add(time_unix_nano=time.time_ns(), sum=9.0, count=6)
        point.explicit_bounds.extend([0.5, 10.0])
        point.bucket_counts.extend([1, 2, 3])
        await client.post(f"http://{address}/v1/metrics", content=message.SerializeToString(), headers=headers)
        url = f"http://{app.admin.address}/metrics"
        plain = (await client.get(url)).text
        open_metrics = (await client.get(url, headers={"accept": "application/openmetrics-text;version=1.0.0"})).text
    assert "\nqueue_depth 7.0" in plain
    assert "\njobs_done_total 3.0" in plain
    waits = [line for line in plain.splitlines() if line.startswith("wait_seconds")]
    assert waits == [
        'wait_seconds_bucket{le="0.5"} 1.0', 'wait_seconds_bucket{le="10"} 3.0', 'wait_seconds_bucket{le="+Inf"} 6.0',
        "wait_seconds_count 6.0", "wait_seconds_sum 9.0",
    ]  # fmt: skip
    [shown] = [line for line in open_metrics.splitlines() if " # {" in line]
    assert f'trace_id="{1:032x}"' in shown
    assert shown.startswith("otel_llm_operation_duration_seconds_bucket")
    families = {family.name for family in openmetrics.text_string_to_metric_families(open_metrics)}
    assert {"queue_depth", "jobs_done", "wait_seconds"} <= families
    checked = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await checked.communicate(plain.encode())
    assert b"error" not in said.lower(), said


def test_incoming_metrics_and_exemplars_are_exposed(running: Any, promtool: str) -> None:
    """Every scraper gets what came in; OpenMetrics the trace of a slow call; promtool finds no error in it."""
    asyncio.run(_exposition(running, promtool))


def test_incoming_metrics_can_be_queried(running: Any) -> None:
    """OTLP in, PromQL out."""
    asyncio.run(_metrics(running))


async def _hangup(folder: Path) -> None:
    rules = folder / "rules.yaml"
    rules.write_text("groups: [{name: g, rules: [{alert: One, expr: vector(1)}]}]", encoding="utf-8")
    (folder / "c.yaml").write_text(
        'receivers: {otlp: {grpc: null, http: {endpoint: "127.0.0.1:0"}}}\nserver: {endpoint: "127.0.0.1:0"}\n'
        "alerts: {rules: [rules.yaml], evaluation_seconds: 0.2}\n",
        encoding="utf-8",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "otel_llm_collector", "run", str(folder / "c.yaml"), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60), httpx2.AsyncClient(trust_env=False) as client:
            address = ""
            while b"ready; forwarding" not in (line := await process.stderr.readline()):
                if b" on http://" in line:
                    address = line.decode().split()[-1]

            async def names() -> set[str]:
                groups = (await client.get(f"{address}/api/v1/rules")).json()["data"]["groups"]
                return {rule["name"] for group in groups for rule in group["rules"]}

            assert await names() == {"One"}
            rules.write_text("groups: [{name: g, rules: [{alert: Two, expr: vector(1)}]}]", encoding="utf-8")
            process.send_signal(signal.SIGHUP)

            async def two() -> bool:
                return await names() == {"Two"}

            await until(two)
            rules.write_text("groups: [{", encoding="utf-8")
            process.send_signal(signal.SIGHUP)
            while b"not reloaded" not in await process.stderr.readline():
                pass
            assert await names() == {"Two"}
    finally:
        process.terminate()
        assert await process.wait() == 0


def test_sighup_reloads_the_rules(tmp_path: Path) -> None:
    """The shipped command: a good file is taken, a bad one is refused and the collector goes on."""
    asyncio.run(_hangup(tmp_path))


RELOADED = """
receivers: {otlp: {grpc: null, http: {endpoint: "127.0.0.1:0"}}}
server: {endpoint: "127.0.0.1:0"}
alerts:
  path: FOLDER/alerts
  evaluation_seconds: 0.3
  deadman: true
  spans:
    - {name: Dear, when: cost > 1}
    # more spans
  notify:
    old: {type: apprise, urls: ["json://OLD/"], wait_seconds: 0, interval_seconds: 0, group_by: [alertname]}
    # more people
budgets:
  all: {amount: 400, period: month, by: [service], thresholds: [0.5], forecast: false}
"""


async def _reload_all(engine: Any, folder: Path) -> None:
    async with hook() as old, hook() as new, httpx2.AsyncClient(trust_env=False) as client:
        text = [RELOADED.replace("FOLDER", str(folder)).replace("OLD", old.address)]

        def read() -> config.Config:
            return config.parse(text[0], {}, source="test", folder=folder)

        app = App(read(), engine, read)
        await app.start()
        try:
            url = f"http://{app.admin.address}"

            async def spend(number: int) -> None:
                address = f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces"
                headers = {"content-type": "application/x-protobuf"}
                assert (await client.post(address, content=spans(number), headers=headers)).status_code == 200

            async def since() -> dict[str, str]:
                alerts = (await client.get(f"{url}/api/v1/alerts")).json()["data"]["alerts"]
                return {one["labels"]["alertname"]: one["activeAt"] for one in alerts}

            await spend(1)
            await until(lambda: _said(old, "Dear"))
            await until(lambda: _said(old, "Watchdog"))
            before, told = await since(), len(old.posted)
            assert before.keys() == {"Dear", "Watchdog"}

            # Wrong in several places: refused whole, and all of it is said.
            good = text[0]
            text[0] = (
                good.replace("cost > 1", "cots > 1")
                .replace("amount: 400", "amount: -1")
                .replace("json://", "nothing://")
            )
            refused = await client.post(f"{url}/-/reload")
            assert refused.status_code == 400
            for path in ("alerts.spans.0.when", "budgets.all.amount", "alerts.notify.old.urls"):
                assert path in refused.json()["error"]
            assert await since() == before

            # Another rule about spans, another person, another amount, and what a reload does not take.
            text[0] = (
                good.replace("# more spans", "- {name: Long, when: input_tokens > 5}")
                .replace(
                    "# more people",
                    f'new: {{type: apprise, urls: ["json://{new.address}/"], wait_seconds: 0, interval_seconds: 1}}',
                )
                .replace("amount: 400", "amount: 4")
                .replace("interval_seconds: 0", "interval_seconds: 1")
                .replace("deadman: true", "deadman: false")
                + "log: {kind: memory, max_bytes: 99999999}\nexporters: {far: {type: debug}}\n"
            )
            taken = await client.post(f"{url}/-/reload")
            assert taken.json() == {"status": "success", "needs_restart": ["exporters.far", "log.max_bytes"]}
            await spend(2)
            await until(lambda: _said(new, "Long"))
            await until(lambda: _said(new, "BudgetThreshold"))  # half of the new amount was spent before
            await until(lambda: _said(old, "[RESOLVED] Watchdog"))
            after = await since()
            assert after["Dear"] == before["Dear"]
            assert after.keys() == {"Dear", "Long", "BudgetThreshold"}
            assert not [one for one in old.posted[told:] if one["title"].startswith("[FIRING:1] Dear")]

            # The old person goes.
            text[0] = "\n".join(line for line in text[0].splitlines() if "    old:" not in line)
            assert (await client.post(f"{url}/-/reload")).status_code == 200
            await asyncio.sleep(0.5)
            told = len(old.posted)
            text[0] = text[0].replace("- {name: Long, when: input_tokens > 5}", "")
            assert (await client.post(f"{url}/-/reload")).status_code == 200
            await until(lambda: _said(new, "[RESOLVED] Long"))
            assert len(old.posted) == told
            shown = (await client.get(f"{url}/config")).json()
            assert list(shown["alerts"]["notify"]) == ["new"]
        finally:
            await app.shutdown()


async def _said(people: Hook, what: str) -> bool:
    return any(what in one["title"] for one in people.posted)


def test_a_reload_takes_all_of_alerting(engine: Any, tmp_path: Path) -> None:
    """People, span rules and budgets change without a restart, what did not change goes on; the rest is named."""
    asyncio.run(_reload_all(engine, tmp_path))


async def _window(engine: Any, folder: Path) -> None:
    text = f"""
receivers: {{otlp: {{grpc: null, http: {{endpoint: "127.0.0.1:0"}}}}}}
server: {{endpoint: "127.0.0.1:0"}}
log: {{kind: disk, path: {folder}}}
alerts:
  evaluation_seconds: 0.3
"""
    (folder / "rules.yaml").write_text(
        "groups: [{name: g, rules: [{alert: Spent, expr: 'max_over_time(otel_llm_cost_usd_total[1h]) > 1'}]}]"
    )

    async def value(client: httpx2.AsyncClient, app: App, query: str) -> float:
        answer = await client.get(f"http://{app.admin.address}/api/v1/query", params={"query": query})
        return sum(float(one["value"][1]) for one in answer.json()["data"]["result"])

    async with httpx2.AsyncClient(trust_env=False) as client:
        first = App(config.parse(text, {}, source="test", folder=folder), engine)
        await first.start()
        address = f"http://{first.receivers['OTLP/HTTP'].address}/v1/traces"
        headers = {"content-type": "application/x-protobuf"}
        await client.post(address, content=spans(901), headers=headers)
        cost = await until(lambda: value(client, first, "otel_llm_cost_usd_total"))
        assert cost > 1
        await first.shutdown()
        assert len(list((folder / "window").glob("*.block"))) in (1, 2)
        (folder / "window/17.block").write_bytes(b"OTLLMW1\n nothing of the kind")

        again = App(config.parse(text + "  rules: [rules.yaml]", {}, source="test", folder=folder), engine)
        await again.start()
        try:
            assert await value(client, again, "max_over_time(otel_llm_cost_usd_total[1h])") == cost

            async def fires() -> bool:
                answer = await client.get(f"http://{again.admin.address}/api/v1/alerts")
                return bool(answer.json()["data"]["alerts"])

            await until(fires)  # though this process has counted nothing
        finally:
            await again.shutdown()
    assert [path.name for path in (folder / "window").glob("*.unreadable")] == ["17.unreadable"]


def test_the_window_survives_a_restart(engine: Any, tmp_path: Path) -> None:
    """With a log on disk, rules see what was there before; a broken file is set aside and costs nothing else."""
    asyncio.run(_window(engine, tmp_path))


async def _token(running: Any) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client, running("") as open_app:
        url = f"http://{open_app.admin.address}"
        assert (await client.post(f"{url}/-/reload")).status_code == 200
        assert (await client.get(f"{url}/-/reload")).status_code == 405
        assert (await client.post(f"{url}/-/reload", headers={"origin": "http://x.example"})).status_code == 403
        assert (await client.post(f"{url}/api/v2/silences", content=b"x" * 100_000)).status_code == 413
        assert (await client.post(f"{url}/api/v2/silences", content=b"[" * 50_000)).status_code == 400
        assert (await client.delete(f"{url}/api/v2/silence/nothing")).status_code == 404


async def _with_token(engine: Any) -> None:
    free = 'receivers: {otlp: {grpc: null, http: {endpoint: "127.0.0.1:0"}}}\n'
    text = free + 'server: {endpoint: "127.0.0.1:0", token: long-enough}\n'
    app = App(config.parse(text, {}, source="test", folder=Path()), engine)
    await app.start()
    try:
        async with httpx2.AsyncClient(trust_env=False) as client:
            url = f"http://{app.admin.address}/-/reload"
            assert (await client.post(url)).status_code == 401
            assert (await client.post(url, headers={"authorization": "Bearer wrong"})).status_code == 401
            assert (await client.post(url, headers={"authorization": "Bearer long-enough"})).status_code == 200
    finally:
        await app.shutdown()


def test_who_may_reload_and_silence(running: Any, engine: Any) -> None:
    """Programs on this machine, no page in a browser, no body without end; with a token only who has it."""
    asyncio.run(_token(running))
    asyncio.run(_with_token(engine))
