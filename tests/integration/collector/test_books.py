"""The books balance exactly, whatever is combined: drawn configurations and traffic, sinks that misbehave."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import components, config, replay
from otel_llm_collector.app import App
from otel_llm_collector.contract import Engine, Range, Signal
from otel_llm_collector.engine import load_engine
from otel_llm_collector.engine.prices import RateBook
from otel_llm_collector.testing import Behaviour, Fail, HttpSink, Partial, Refuse, Take
from otel_llm_semconv import attributes as attr

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

EXAMPLES = int(os.environ.get("OTEL_LLM_EXAMPLES", "8"))
PROTOBUF = {"content-type": "application/x-protobuf"}
QUICK = {"initial_seconds": 0.01, "max_seconds": 0.02, "max_elapsed_seconds": 0.2}
SECRET = "call me at ada@example.org"


class Clumsy:
    """A plug-in that edits some spans and fails on others."""

    def __init__(self, _: Any) -> None:
        pass

    def process(self, span: Any) -> None:
        """Fail on every seventh."""
        if span.name.endswith("7"):
            msg = "no"
            raise RuntimeError(msg)
        span.attributes["seen"] = True


def behaviours(mood: str) -> list[Behaviour]:
    """What a sink does with its first requests."""
    moods: dict[str, list[Behaviour]] = {
        "flaky": [Fail(503), Take(), Fail(429, retry_after="0"), Fail(503), Take()],
        "partial": [Partial(1, "no room"), Take(), Partial(1)],
        "strict": [Fail(401), Take(), Fail(404)],
    }
    return moods.get(mood, [])


def is_bad(item: Any) -> bool:
    """Whether a picky sink refuses the request that holds this item."""
    return str(getattr(item, "name", "")).endswith("3")


EXPORTERS = st.fixed_dictionaries(
    {
        "mood": st.sampled_from(["well", "flaky", "partial", "strict", "picky", "dead"]),
        "filter": st.booleans(),
        "sampling": st.booleans(),
        "whole": st.booleans(),
        "letters": st.booleans(),
        "content": st.sampled_from(["keep", "drop"]),
        "merge": st.booleans(),
        "signals": st.sampled_from([[], ["traces"], ["traces", "metrics"], ["logs"]]),
    }
)
CASES = st.fixed_dictionaries(
    {
        "log": st.sampled_from(["memory", "small memory", "disk", "small disk"]),
        "plugin": st.booleans(),
        "redaction": st.sampled_from(["", "replace", "drop"]),
        "exporters": st.lists(EXPORTERS, min_size=1, max_size=3),
        "requests": st.lists(
            st.tuples(st.sampled_from(["good", "bad", "metrics", "logs", "broken", "fat"]), st.integers(1, 6)),
            min_size=5,
            max_size=40,
        ),
    }
)


def request(kind: str, number: int, size: int) -> tuple[Signal, bytes]:
    """A request of `size` items; of a bad one some have no trace id, a broken one is none at all."""
    if kind == "metrics":
        metrics = ExportMetricsServiceRequest()
        metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name=f"m{number}")
        for value in range(size):
            metric.gauge.data_points.add(as_int=value, time_unix_nano=1)
        return Signal.METRICS, metrics.SerializeToString()
    if kind == "logs":
        logs = ExportLogsServiceRequest()
        scope = logs.resource_logs.add().scope_logs.add()
        for _ in range(size):
            scope.log_records.add().body.string_value = SECRET
        return Signal.LOGS, logs.SerializeToString()
    if kind == "broken":
        return Signal.TRACES, b"\xff\xff\xff"
    traces = ExportTraceServiceRequest()
    resource = traces.resource_spans.add()
    resource.resource.attributes.add(key=attr.SERVICE_NAME).value.string_value = f"s{number % 2}"
    spans = resource.scope_spans.add().spans
    for index in range(size):
        span = spans.add(name=f"span-{number + index}", trace_id=(number + 1).to_bytes(16, "big"), span_id=b"s" * 8)
        span.status.code = (number % 3 == 0) * 2  # type: ignore[assignment]
        if kind == "bad" and index % 2:
            span.trace_id = b"short"
        said = SECRET * (200 if kind == "fat" else 1)
        span.attributes.add(key=attr.GEN_AI_INPUT_MESSAGES).value.string_value = said
    return Signal.TRACES, traces.SerializeToString()


def configuration(case: dict[str, Any], addresses: list[str], folder: Path) -> dict[str, Any]:
    """The case as a configuration."""
    logs = {
        "memory": {"kind": "memory"},
        "small memory": {"kind": "memory", "max_bytes": 4096},
        "disk": {"kind": "disk", "path": str(folder / "log"), "keep_seconds": 3600},
        "small disk": {"kind": "disk", "path": str(folder / "log"), "max_bytes": 65536},
    }
    exporters = {}
    for number, (one, address) in enumerate(zip(case["exporters"], addresses, strict=True)):
        entry = {"type": "otlp_http", "endpoint": f"http://{address}", "content": one["content"], "retry": QUICK}
        entry |= {} if one["merge"] else {"merge_bytes": 0}
        entry |= {"filter": {"exclude": {"service": "s1"}}} if one["filter"] else {}
        entry |= {"sampling": {"policies": [{"name": "errors", "errors": True}]}} if one["sampling"] else {}
        entry |= {"whole_traces": {"quiet_seconds": 0.05}} if one["whole"] or one["sampling"] else {}
        entry |= {"dead_letters": {"path": str(folder / f"letters-{number}")}} if one["letters"] else {}
        entry |= {"signals": one["signals"]} if one["signals"] else {}
        exporters[f"e{number}"] = entry
    processors: dict[str, Any] = {}
    if case["plugin"]:
        processors["plugins"] = {"clumsy": {"type": "clumsy"}}
    if case["redaction"]:
        processors["redaction"] = {"detectors": ["email"], "action": case["redaction"]}
    listeners = {"otlp": {"grpc": None, "http": {"endpoint": "127.0.0.1:0"}}}
    server = {"endpoint": "127.0.0.1:0"}
    return {
        "receivers": listeners, "server": server, "log": logs[case["log"]], "exporters": exporters,
        "processors": processors,
    }  # fmt: skip


class Ledger:
    """Every counter and gauge, read at one moment."""

    def __init__(self, app: App) -> None:
        self.samples = [one for family in app.telemetry.registry.collect() for one in family.samples]

    def total(self, name: str, **labels: str) -> int:
        """The sum of the samples of that name and these labels."""
        found = (
            one.value
            for one in self.samples
            if one.name in (name, f"{name}_total") and labels.items() <= one.labels.items()
        )
        return int(sum(found))

    def assert_balanced(self, exporters: list[str]) -> None:
        """Both equations, for each signal."""
        for signal in Signal:
            items = signal.items
            received = self.total(f"otel_llm_receiver_received_{items}")
            accepted = self.total(f"otelcol_receiver_accepted_{items}")
            assert received == accepted + self.total(f"otelcol_receiver_refused_{items}")
            for name in exporters:
                sides = [
                    self.total(f"otel_llm_exporter_accepted_{items}", exporter=name),
                    self.total(f"otelcol_exporter_sent_{items}", exporter=name),
                    self.total(f"otel_llm_exporter_waiting_{items}", exporter=name),
                    self.total(f"otel_llm_exporter_dropped_{items}", exporter=name),
                ]
                assert sides[0] == sum(sides[1:]), (name, items, sides)


async def balance(case: dict[str, Any], engine: Engine, folder: Path) -> None:
    """Run the case; everything that was sent is found again, in the books and at the sinks."""
    sinks = [HttpSink(otherwise=Refuse(is_bad) if one["mood"] == "picky" else Take()) for one in case["exporters"]]
    for one, sink in zip(case["exporters"], sinks, strict=True):
        sink.script.extend(behaviours(one["mood"]))
        await sink.__aenter__()
    addresses = [
        "127.0.0.1:1" if one["mood"] == "dead" else sink.address
        for one, sink in zip(case["exporters"], sinks, strict=True)
    ]
    document = configuration(case, addresses, folder)
    loaded = config.parse(json.dumps(document), {}, source="test", folder=folder)
    app = App(loaded, engine)
    names = list(document["exporters"])
    await app.start()
    sent: Counter[Signal] = Counter()
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
        for number, (kind, size) in enumerate(case["requests"]):
            signal, body = request(kind, number, size)
            url = f"http://{app.receivers['OTLP/HTTP'].address}/v1/{signal}"
            status = (await client.post(url, content=body, headers=PROTOBUF)).status_code
            assert status == (400 if kind == "broken" else 200)
            sent[signal] += 0 if kind == "broken" else size
            if number % 7 == 0:
                Ledger(app).assert_balanced(names)  # under load, too: it is one moment
    async with asyncio.timeout(60):
        while any(one["waiting"] for one in app.readers.details().values()):  # type: ignore[index]  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    ledger = Ledger(app)
    ledger.assert_balanced(names)
    for signal in Signal:
        assert ledger.total(f"otel_llm_receiver_received_{signal.items}") == sent[signal]
        for name, one, sink in zip(names, case["exporters"], sinks, strict=True):
            counted = ledger.total(f"otelcol_exporter_sent_{signal.items}", exporter=name)
            if one["mood"] != "partial":  # there the sink holds more than it says
                assert sink.count(signal) == counted, (name, one, signal)
    for number, one in enumerate(case["exporters"]):
        path = folder / f"letters-{number}"
        lines = path.read_text().splitlines() if path.exists() else []
        lost = Counter[str]()
        for line in lines:
            letter = json.loads(line)
            lost[letter["reason"]] += letter["items"]
        for reason, items in lost.items():
            dropped = sum(
                ledger.total(f"otel_llm_exporter_dropped_{signal.items}", exporter=f"e{number}", reason=reason)
                for signal in Signal
            )
            assert items == dropped, (reason, one)
    await app.shutdown()
    if case["log"] == "disk" and case["exporters"][0]["mood"] == "well":
        result = await asyncio.to_thread(replay.from_log, loaded, "e0", Range())
        signals = case["exporters"][0]["signals"] or list(Signal)
        kept = sum(ledger.total(f"otel_llm_exporter_accepted_{Signal(one).items}", exporter="e0") for one in signals)
        assert sum(result.items.values()) == kept
    for sink in sinks:
        await sink.__aexit__()


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(case=CASES)
def test_everything_is_sent_waits_or_is_dropped_for_a_reason(
    case: dict[str, Any], rates: RateBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters, sampling, whole traces, plug-ins, redaction, dead letters, full logs, replay, in any combination."""
    monkeypatch.setattr(components, "processors", lambda: {"clumsy": lambda: Clumsy})
    monkeypatch.setattr("otel_llm_collector.app.processors", lambda: {"clumsy": lambda: Clumsy})
    monkeypatch.setattr("otel_llm_collector.config.processors", lambda: {"clumsy": lambda: Clumsy})
    with tempfile.TemporaryDirectory() as folder:
        parsed = config.parse(
            json.dumps({"processors": configuration(case, ["127.0.0.1:1"] * len(case["exporters"]), Path(folder))[
                "processors"
            ]}), {}, source="test", folder=Path(folder),
        )  # fmt: skip
        engine = load_engine({}, parsed.processors, rates=rates)
        asyncio.run(balance(case, engine, Path(folder)))
