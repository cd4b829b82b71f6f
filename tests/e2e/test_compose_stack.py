"""docker-compose.yml without Docker: its own commands and mounted files, on loopback, with the real servers at hand.

Each service runs as the compose file says, with container paths and service names put where they are on this machine.
Jaeger is a strict OTLP sink; Grafana is its dashboard's queries, put to the real Prometheus.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import GrpcSink

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
# Metrics that a healthy stack has no series of.
SILENT = {"otel_llm_cost_unpriced_total", "otel_llm_evaluations_total", "otel_llm_evaluation_score"}


@dataclass(frozen=True)
class Stand:
    """Where everything of the compose file is on this machine: `addresses` by service:port, files below `folder`."""

    folder: Path
    addresses: dict[str, str]

    def moved(self, text: str) -> str:
        """`text` with service names, container paths and repository paths put where they are here."""
        text = re.sub(r"[\w.-]+:\d+\b", lambda found: self.addresses.get(found[0], found[0]), text)
        for service in SERVICES.values():
            for volume in service.get("volumes", []):
                source, target, *_ = volume.split(":")
                place = self.folder / ("" if source.startswith(".") else "data") / Path(source).name
                if text.partition("=")[2].startswith(target) or text.startswith(f"{target}/"):
                    text = text.replace(target, str(place))
        return text.replace("examples/", f"{ROOT}/examples/").replace("deploy/visitor", f"{ROOT}/deploy/visitor")

    def command(self, name: str) -> list[str]:
        """The command of a service as it runs here."""
        program, *rest = (self.moved(word) for word in SERVICES[name]["command"])
        return [sys.executable if program == "python" else str(Path(sys.executable).with_name(program)), *rest]


def stand(tools: Any, jaeger: str) -> Stand:
    """Copies of the mounted files with everything on free loopback ports."""
    addresses = {"jaeger:4317": jaeger}
    for address in (
        "app:8000", "collector:4317", "collector:4318", "collector:8889", "alertmanager:9093", "prometheus:9090",
        "127.0.0.1:8090",
    ):  # fmt: skip
        addresses[address] = f"127.0.0.1:{tools.free_port()}"
    for port in ("4317", "4318", "8889"):
        addresses[f"0.0.0.0:{port}"] = addresses[f"collector:{port}"]
    made = Stand(tools.folder, addresses)
    for name in ("collector", "prometheus", "alertmanager"):
        for path in (ROOT / "deploy" / name).rglob("*.y*ml"):
            target = tools.folder / path.relative_to(ROOT / "deploy")
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8").replace("interval: 5s", "interval: 1s")
            target.write_text(made.moved(text), encoding="utf-8")
    return made


def start(tools: Any, here: Stand, prometheus: str, alertmanager: str) -> None:
    """Start every service but Jaeger and Grafana."""
    port = {address: where.rpartition(":")[2] for address, where in here.addresses.items()}
    for name, program, address, more in (
        ("alertmanager", alertmanager, "alertmanager:9093", ["--cluster.listen-address="]),
        ("prometheus", prometheus, "prometheus:9090", []),
    ):
        arguments = [here.moved(word) for word in SERVICES[name]["command"]]
        tools.start(program, *arguments, *more, f"--web.listen-address={here.addresses[address]}")
    tools.start(*here.command("collector"))
    model = here.command("model")
    tools.start(*model[:-1], port["127.0.0.1:8090"])
    tools.wait_for(lambda: tools.get(f"http://{here.addresses['collector:8889']}/ready"), what="collector")
    tools.wait_for(lambda: tools.get(f"http://{here.addresses['127.0.0.1:8090']}/v1/models"), what="model")
    app = [{"0.0.0.0": "127.0.0.1", "8000": port["app:8000"]}.get(word, word) for word in here.command("app")]  # noqa: S104
    environment = {name: here.moved(value) for name, value in SERVICES["app"]["environment"].items()}
    tools.start(*app, **environment)
    tools.wait_for(lambda: tools.get(f"http://{here.addresses['app:8000']}/health"), what="app")
    visitor = here.command("visitor")
    tools.start(*visitor[:-1], "0.05")


def queries() -> list[str]:
    """The dashboard's queries with its variables filled in."""
    dashboard = json.loads((ROOT / "deploy/grafana/dashboards/overview.json").read_text(encoding="utf-8"))
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    filled = (one.replace("$__rate_interval", "30s").replace("$__range", "1m") for one in found)
    return [re.sub(r"\$(service|model)\b", ".*", one) for one in filled]


def has_data(prometheus: str, expression: str) -> bool:
    """Whether the query gives at least one finite number."""
    answer = httpx2.get(f"{prometheus}/query", params={"query": expression}, timeout=5, trust_env=False).json()
    assert answer["status"] == "success", f"{expression}: {answer}"
    return any(math.isfinite(float(one["value"][1])) for one in answer["data"]["result"])


def check_prometheus(tools: Any, url: str) -> None:
    """The target is up, every panel shows something, each rule can be evaluated, the Alertmanager is known."""
    for expression in queries():
        if not any(name in expression for name in SILENT):
            tools.wait_for(lambda query=expression: has_data(url, query), 40, expression)
    targets = tools.get(f"{url}/targets")["data"]["activeTargets"]
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")]
    tools.wait_for(
        lambda: all(
            rule["health"] == "ok" for group in tools.get(f"{url}/rules")["data"]["groups"] for rule in group["rules"]
        ),
        30,
        "rules evaluated",
    )
    assert len(tools.get(f"{url}/alertmanagers")["data"]["activeAlertmanagers"]) == 1


def test_the_stack_of_docker_compose(tools: Any, prometheus: str, alertmanager: str) -> None:
    """Visits become traces at Jaeger, nothing but traces, and data in every panel of the dashboard."""
    asyncio.run(_stack(tools, prometheus, alertmanager))


async def _stack(tools: Any, prometheus: str, alertmanager: str) -> None:
    async with GrpcSink() as jaeger:
        here = stand(tools, jaeger.address)
        await asyncio.to_thread(start, tools, here, prometheus, alertmanager)
        await jaeger.until(lambda: jaeger.count(Signal.TRACES) > 100, 60)
        await asyncio.to_thread(check_prometheus, tools, f"http://{here.addresses['prometheus:9090']}/api/v1")
        assert {taken.signal for taken in jaeger.taken} == {Signal.TRACES}, "Jaeger takes nothing else"
        rules = await asyncio.to_thread(tools.get, f"http://{here.addresses['collector:8889']}/api/v1/rules")
        assert all(rule["health"] in {"ok", "unknown"} for group in rules["data"]["groups"] for rule in group["rules"])
