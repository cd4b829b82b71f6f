"""Processing plug-ins in a running collector: edits, errors, time-outs, and how they are found."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import components, config
from otel_llm_collector.errors import ConfigError, StartError
from otel_llm_collector.testing import HttpSink

pytestmark = pytest.mark.integration

CODE = """
import time

class Team:
    def __init__(self, settings):
        self.teams = settings["teams"]
    def process(self, span):
        if span.name == "bad":
            span.attributes["half"] = "done"
            raise RuntimeError("no")
        team = self.teams.get(span.resource.get("service.name"))
        if team:
            span.attributes["team"] = team

class Slow:
    def __init__(self, settings):
        self.seconds = settings["seconds"]
    def process(self, span):
        span.attributes["seen"] = True
        time.sleep(self.seconds if span.name == "slow" else 0)

class Broken:
    def __init__(self, settings):
        raise ValueError("needs a token")

class NoMethod:
    def __init__(self, settings):
        pass
"""
POINTS = "[otel_llm_collector.processors]\n" + "".join(
    f"{name} = team_plugin:{cls}\n"
    for name, cls in (("team", "Team"), ("slow", "Slow"), ("broken", "Broken"), ("no_method", "NoMethod"))
)


def install(folder: Path, package: str, points: str) -> None:
    """What pip leaves of a package with entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with plug-ins, as if pip had installed it."""
    folder = tmp_path / "site"
    install(folder, "team_plugin", POINTS)
    (folder / "team_plugin.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(components, "PROCESSORS", {})
    yield folder
    sys.modules.pop("team_plugin", None)


def request(*names: str, service: str = "shop") -> bytes:
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_spans.add()
    for name in names:
        scope.spans.add(name=name, trace_id=b"t" * 16, span_id=b"s" * 8)
    encoded: bytes = message.SerializeToString()
    return encoded


async def post(app: Any, body: bytes) -> None:
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.post(
            f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces",
            content=body,
            headers={"content-type": "application/x-protobuf"},
        )
        assert answer.status_code == 200


def attributes(sink: HttpSink) -> dict[str, dict[str, Any]]:
    """The attributes that arrived, by name of span."""
    return {
        span.name: {one.key: one.value.string_value or one.value.bool_value for one in span.attributes}
        for taken in sink.taken
        for span in taken.spans()
    }


def spans(app: Any, processor: str, outcome: str) -> float:
    value = app.telemetry.registry.get_sample_value(
        "otel_llm_processor_spans_total", {"processor": processor, "outcome": outcome}
    )
    return float(value or 0)


EXPORTER = 'exporters: {{one: {{type: otlp_http, endpoint: "http://{}"}}}}\n'


@pytest.mark.usefixtures("installed")
def test_edits_arrive_and_an_error_costs_its_span_only(running: Any) -> None:
    """The selected spans are edited; the one that raises passes as it was; the rest is not shown."""
    plugins = (
        "processors: {plugins: {mine: {type: team, select: {service: s*}, settings: {teams: {shop: a, other: b}}}}}\n"
    )

    async def run() -> None:
        async with HttpSink() as sink, running(EXPORTER.format(sink.address) + plugins) as app:
            await post(app, request("good", "bad"))
            await post(app, request("elsewhere", service="other"))
            await sink.until(lambda: len(attributes(sink)) == 3)
            assert attributes(sink) == {"good": {"team": "a"}, "bad": {}, "elsewhere": {}}
            assert (spans(app, "mine", "changed"), spans(app, "mine", "failed")) == (1, 1)

    asyncio.run(run())


@pytest.mark.usefixtures("installed")
def test_a_budget_that_is_over_lets_the_rest_pass(running: Any) -> None:
    """Spans after the slow one pass as they were, counted as timeout; the sender waits no longer than that."""
    plugins = "processors: {plugins: {mine: {type: slow, budget_seconds: 0.1, settings: {seconds: 0.15}}}}\n"

    async def run() -> None:
        async with HttpSink() as sink, running(EXPORTER.format(sink.address) + plugins) as app:
            await post(app, request("first", "slow", "late"))
            await sink.until(lambda: len(attributes(sink)) == 3)
            assert attributes(sink) == {"first": {"seen": True}, "slow": {"seen": True}, "late": {}}
            assert (spans(app, "mine", "changed"), spans(app, "mine", "timeout")) == (2, 1)

    asyncio.run(run())


@pytest.mark.usefixtures("installed")
def test_a_plug_in_that_hangs_is_left_behind(running: Any) -> None:
    """Its request passes unedited, the next ones are served by a new thread; after four it is passed by at once."""
    plugins = "processors: {plugins: {mine: {type: slow, budget_seconds: 0.05, settings: {seconds: 600}}}}\n"

    async def run() -> None:
        async with HttpSink() as sink, running(EXPORTER.format(sink.address) + plugins) as app:
            for number in range(4):
                await post(app, request("slow", f"with-{number}"))
                if number < 3:
                    await post(app, request(f"after-{number}"))
            began = time.monotonic()
            for number in range(5):
                await post(app, request("slow", f"passed-{number}"))
            assert time.monotonic() - began < 1
            await sink.until(lambda: len(attributes(sink)) == 1 + 4 + 3 + 5)
            seen = {name for name, values in attributes(sink).items() if values}
            assert seen == {"after-0", "after-1", "after-2"}
            assert spans(app, "mine", "timeout") == 8 + 10

    asyncio.run(run())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("kind", "said"), [("broken", "ValueError: needs a token"), ("no_method", "has no method process")]
)
def test_a_plug_in_that_cannot_be_made_stops_the_start(running: Any, kind: str, said: str) -> None:
    """One sentence that names it and what it said."""

    async def run() -> None:
        with pytest.raises(StartError, match=f"processors.plugins.mine: .*{said}"):
            async with running(f"processors: {{plugins: {{mine: {{type: {kind}}}}}}}\n"):
                pass

    asyncio.run(run())


@pytest.mark.usefixtures("installed")
def test_a_type_that_nobody_offers_is_a_mistake_in_the_configuration() -> None:
    """`check` says which are installed."""
    with pytest.raises(ConfigError, match=r"processors\.plugins\.mine\.type: names no installed plug-in.*team"):
        config.parse("processors: {plugins: {mine: {type: teem}}}", {}, source="c.yaml", folder=Path())


def test_two_packages_that_offer_one_name_are_an_error(installed: Path) -> None:
    """Neither silently wins; the same package twice on the path is no conflict."""
    install(installed / "again", "team_plugin", POINTS)
    sys.path.append(str(installed / "again"))
    try:
        assert "team" in components.processors()
        install(installed, "rival", "[otel_llm_collector.processors]\nteam = rival:Team\n")
        with pytest.raises(StartError, match="two packages offer the type team"):
            components.processors()
    finally:
        sys.path.remove(str(installed / "again"))
