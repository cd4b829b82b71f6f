"""The main job with real parts: a traced RAG service, the collector, Prometheus, Alertmanager, two destinations."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import genai_prices
import httpx2
import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import GrpcSink, HttpSink
from otel_llm_semconv import attributes as attr
from prometheus_client.parser import text_string_to_metric_families

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
QUESTIONS = [
    "What does tail sampling need?",
    "Are cached tokens part of the input tokens?",
    "How does BM25 rank documents?",
    "When does an alert fire?",
]
REQUESTS = 32

CONFIG = """
receivers: {{otlp: {{grpc: {{endpoint: "127.0.0.1:{grpc}"}}, http: {{endpoint: "127.0.0.1:{http}"}}}}}}
server: {{endpoint: "127.0.0.1:{admin}"}}
exporters:
  over_grpc: {{type: otlp_grpc, endpoint: "{grpc_sink}", tls: {{insecure: true}}}}
  over_http: {{type: otlp_http, endpoint: "http://{http_sink}", content: drop}}
alerts:
  alertmanagers: ["http://127.0.0.1:{alertmanager}"]
  evaluation_seconds: 0.5
  resend_seconds: 1
  thresholds:
    - name: ModelFails
      metric: otel_llm.errors
      statistic: increase
      where: {{gen_ai_operation_name: chat}}
      window_seconds: 15
      condition: ">"
      threshold: 0
      duration_seconds: 1
      severity: critical
      summary: The model fails.
"""
SCRAPE = """
scrape_configs:
  - job_name: otel-llm
    scrape_interval: 1s
    static_configs: [{{targets: ["127.0.0.1:{admin}"]}}]
"""
ROUTES = """
route: {{receiver: hook, group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


def values(span: Any) -> dict[str, Any]:
    """A span's scalar attributes."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def independent_price(span: Any) -> float:
    """The price of a span as genai-prices itself says it, from nothing but the span's own attributes."""
    said = values(span)
    usage = genai_prices.Usage(
        input_tokens=said[attr.GEN_AI_USAGE_INPUT_TOKENS],
        output_tokens=said.get(attr.GEN_AI_USAGE_OUTPUT_TOKENS, 0),
        cache_read_tokens=said.get(attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, 0),
    )
    return float(
        genai_prices.calc_price(
            usage,
            said[attr.GEN_AI_RESPONSE_MODEL],
            provider_id="openai",
            genai_request_timestamp=datetime.fromtimestamp(span.start_time_unix_nano / 1e9, UTC),
        ).total_price
    )


def test_the_main_job(tools: Any, prometheus: str, promtool: str, alertmanager: str, webhook: Any) -> None:
    """Emitted = received = forwarded, costs equal independent ones, Prometheus scrapes, Alertmanager is told."""
    asyncio.run(_main_job(tools, prometheus, promtool, alertmanager, webhook))


async def _main_job(tools: Any, prometheus: str, promtool: str, alertmanager: str, webhook: Any) -> None:
    hook_url, told = webhook
    ports = {
        name: tools.free_port() for name in ("grpc", "http", "admin", "alertmanager", "prometheus", "model", "app")
    }
    async with GrpcSink() as grpc_sink, HttpSink() as http_sink:
        files = {
            "collector.yaml": CONFIG.format(**ports, grpc_sink=grpc_sink.address, http_sink=http_sink.address),
            "prometheus.yml": SCRAPE.format(**ports),
            "alertmanager.yml": ROUTES.format(url=hook_url),
        }
        for name, text in files.items():
            (tools.folder / name).write_text(text)

        await asyncio.to_thread(_start, tools, ports, prometheus, alertmanager)
        emitted = await asyncio.to_thread(_ask, tools, ports)
        admin = f"http://127.0.0.1:{ports['admin']}"
        for sink in (grpc_sink, http_sink):
            await sink.until(lambda sink=sink: sink.count(Signal.TRACES) >= emitted, 20)

        exposed = await asyncio.to_thread(_exposition, f"{admin}/metrics", promtool)
        _check_counts(exposed, emitted, grpc_sink, http_sink)
        _check_costs(exposed, grpc_sink)
        await asyncio.to_thread(_check_prometheus, tools, ports, exposed)
        await asyncio.to_thread(_check_alerts, tools, ports, admin, told)


def _start(tools: Any, ports: dict[str, int], prometheus: str, alertmanager: str) -> None:
    """Start everything; each waits for what it needs."""
    tools.start(
        alertmanager, "--config.file=alertmanager.yml", "--storage.path=am", "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
    )  # fmt: skip
    tools.start(
        prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
    )  # fmt: skip
    tools.start(sys.executable, "-m", "otel_llm_collector", "run", "collector.yaml")
    tools.start(
        sys.executable, str(ROOT / "examples/local_model/server.py"), "--port", str(ports["model"]), "--seed", "3"
    )
    tools.wait_for(lambda: tools.get(f"http://127.0.0.1:{ports['admin']}/ready"), what="collector")
    tools.wait_for(lambda: tools.get(f"http://127.0.0.1:{ports['model']}/v1/models"), what="model")
    tools.start(
        sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT / "examples/rag_app"), "app:app",
        "--host", "127.0.0.1", "--port", str(ports["app"]),
        OPENAI_BASE_URL=f"http://127.0.0.1:{ports['model']}/v1",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{ports['http']}",
    )  # fmt: skip
    tools.wait_for(lambda: tools.get(f"http://127.0.0.1:{ports['app']}/health"), what="RAG app")


def _ask(tools: Any, ports: dict[str, int]) -> int:
    """Ask the questions, streaming every second one; returns how many spans the app emitted."""
    url = f"http://127.0.0.1:{ports['app']}/ask"
    statuses = []
    for number in range(REQUESTS):
        body = {"question": QUESTIONS[number % len(QUESTIONS)], "stream": bool(number % 2), "k": 6}
        statuses.append(httpx2.post(url, json=body, timeout=30, trust_env=False).status_code)
    assert statuses.count(200) > REQUESTS / 2
    assert set(statuses) - {200} == {502}, "the seed makes the model fail sometimes"
    counts = tools.get(f"http://127.0.0.1:{ports['app']}/metrics")
    assert counts["dropped"] == 0
    return int(counts["emitted"])


def _exposition(url: str, promtool: str) -> dict[str, list[Any]]:
    """The samples of /metrics by name, after promtool has found nothing to complain about."""
    text = httpx2.get(url, trust_env=False).text
    checked = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    samples: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append(sample)
    return samples


def _total(exposed: dict[str, list[Any]], name: str, **labels: str) -> float:
    return sum(sample.value for sample in exposed.get(name, []) if labels.items() <= sample.labels.items())


def _check_counts(exposed: dict[str, list[Any]], emitted: int, grpc_sink: Any, http_sink: Any) -> None:
    """Both equations of the books, against what really arrived."""
    assert emitted > REQUESTS
    assert _total(exposed, "otel_llm_receiver_received_spans_total") == emitted
    assert _total(exposed, "otelcol_receiver_accepted_spans_total") == emitted
    assert _total(exposed, "otelcol_receiver_refused_spans_total") == 0
    for name, sink in (("over_grpc", grpc_sink), ("over_http", http_sink)):
        assert sink.count(Signal.TRACES) == emitted
        assert _total(exposed, "otel_llm_exporter_accepted_spans_total", exporter=name) == emitted
        assert _total(exposed, "otelcol_exporter_sent_spans_total", exporter=name) == emitted
        assert _total(exposed, "otel_llm_exporter_waiting_spans", exporter=name) == 0
        assert _total(exposed, "otel_llm_exporter_dropped_spans_total", exporter=name) == 0
    ids = [[span.span_id for taken in sink.taken for span in taken.spans()] for sink in (grpc_sink, http_sink)]
    assert sorted(ids[0]) == sorted(ids[1])
    assert len(set(ids[0])) == emitted


def _check_costs(exposed: dict[str, list[Any]], sink: Any) -> None:
    """The cost on each span, and the sum of them, recomputed from nothing but the spans."""
    spans = [span for taken in sink.taken for span in taken.spans()]
    priced = [span for span in spans if attr.OTEL_LLM_COST_TOTAL in values(span)]
    assert len(priced) > REQUESTS
    for span in priced:
        assert values(span)[attr.OTEL_LLM_COST_TOTAL] == pytest.approx(independent_price(span), abs=1e-9)
    with_usage = [span for span in spans if attr.GEN_AI_USAGE_INPUT_TOKENS in values(span)]
    assert {span.span_id for span in with_usage} == {span.span_id for span in priced}
    total = sum(independent_price(span) for span in priced)
    assert _total(exposed, "otel_llm_cost_usd_total") == pytest.approx(total, abs=1e-9 * len(priced))
    cached = sum(values(span).get(attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, 0) for span in priced)
    assert cached > 0
    assert _total(exposed, "otel_llm_tokens_total", gen_ai_token_type="cache_read") == cached
    requests = [taken.request for taken in sink.taken if taken.signal is Signal.TRACES]
    scopes = {scope.scope.name for request in requests for one in request.resource_spans for scope in one.scope_spans}
    assert "opentelemetry.instrumentation.genai.openai" in scopes, "the model's spans come from code that is not ours"


def _check_prometheus(tools: Any, ports: dict[str, int], exposed: dict[str, list[Any]]) -> None:
    """The real Prometheus: target up, and the same cost in its database."""
    url = f"http://127.0.0.1:{ports['prometheus']}/api/v1"

    def query(expression: str) -> list[Any]:
        answer = httpx2.get(f"{url}/query", params={"query": expression}, timeout=5, trust_env=False).json()
        result: list[Any] = answer["data"]["result"]
        return result

    tools.wait_for(lambda: query('up{job="otel-llm"} == 1'), what="target up")
    cost = _total(exposed, "otel_llm_cost_usd_total")
    tools.wait_for(
        lambda: float(query("sum(otel_llm_cost_usd_total)")[0]["value"][1]) == pytest.approx(cost), what="cost scraped"
    )
    targets = tools.get(f"{url}/targets")["data"]["activeTargets"]
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")]
    assert query("histogram_quantile(0.95, sum by (le) (otel_llm_operation_duration_seconds_bucket))")


def _check_alerts(tools: Any, ports: dict[str, int], admin: str, told: list[dict[str, Any]]) -> None:
    """The alert fires in the collector and at the real Alertmanager, then both say that it is over."""
    tools.wait_for(lambda: [one for one in told if one["status"] == "firing"], what="firing at the webhook")
    alert = told[0]
    assert alert["labels"] == {"alertname": "ModelFails", "severity": "critical"}
    assert alert["annotations"]["summary"] == "The model fails."
    tools.wait_for(lambda: [one for one in told if one["status"] == "resolved"], 60, "resolved at the webhook")
    assert tools.get(f"{admin}/api/v1/alerts") == {"status": "success", "data": {"alerts": []}}
    [rule] = tools.get(f"{admin}/api/v1/rules")["data"]["groups"][0]["rules"]
    assert (rule["name"], rule["state"], rule["health"]) == ("ModelFails", "inactive", "ok")
    active = tools.get(f"http://127.0.0.1:{ports['alertmanager']}/api/v2/alerts?active=true")
    assert active == []
