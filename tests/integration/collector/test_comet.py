"""The destination `comet`: what reaches a stand-in of Comet over REST, and what its archives and intervals survive."""

from __future__ import annotations

import asyncio
import json
import time
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import limits
from otel_llm_collector.any_value import put
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.comet import Comet, CometSettings
from otel_llm_collector.errors import Permanent, Retryable
from otel_llm_collector.fakes import FakeComet
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events

pytestmark = pytest.mark.integration

RUN = {attr.OTEL_LLM_EXPERIMENT_NAME: "sweep", attr.OTEL_LLM_EXPERIMENT_RUN_ID: "r1"}


def event(name: str, **values: Any) -> Parcel:
    """One event of a run; `__` in names stands for a dot."""
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(event_name=name, time_unix_nano=10**18)
    for key, value in {**RUN, **{key.replace("__", "."): value for key, value in values.items()}}.items():
        put(record.attributes.add(key=key).value, value)
    return Parcel(Signal.LOGS, request.SerializeToString(), 1)


def number(value: float, step: int) -> Parcel:
    said = {attr.OTEL_LLM_EXPERIMENT_METRIC_NAME: "loss", attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE: value}
    return event(events.OTEL_LLM_EXPERIMENT_METRICS, **said, **{attr.OTEL_LLM_TRAINING_STEP: step})


def status(word: str) -> Parcel:
    return event(events.OTEL_LLM_EXPERIMENT_RUN, **{attr.OTEL_LLM_EXPERIMENT_STATUS: word})


def calls(seed: int, *, service: str = "shop", count: int = 1, ended: float = 0.0) -> Parcel:
    """Calls to a model, each a second long: 10 tokens in, 5 out, 0.25 USD."""
    request = ExportTraceServiceRequest()
    level = request.resource_spans.add()
    put(level.resource.attributes.add(key=attr.SERVICE_NAME).value, service)
    spans = level.scope_spans.add().spans
    end = int((ended or time.time()) * 1e9)
    for n in range(count):
        span = spans.add(trace_id=bytes([seed]) * 16, span_id=n.to_bytes(8, "big"), name="chat")
        span.start_time_unix_nano, span.end_time_unix_nano = end - 10**9, end
        values = {
            attr.GEN_AI_OPERATION_NAME: "chat",
            attr.GEN_AI_REQUEST_MODEL: "m",
            attr.GEN_AI_USAGE_INPUT_TOKENS: 10,
            attr.GEN_AI_USAGE_OUTPUT_TOKENS: 5,
            attr.OTEL_LLM_COST_TOTAL: 0.25,
        }
        for key, value in values.items():
            put(span.attributes.add(key=key).value, value)
    return Parcel(Signal.TRACES, request.SerializeToString(), count)


@asynccontextmanager
async def comet(**options: Any) -> AsyncIterator[Comet]:
    destination = Comet(CometSettings.model_validate({"type": "comet", "interval_seconds": 1, **options}))
    await destination.start()
    try:
        yield destination
    finally:
        await destination.shutdown()


def test_a_run_reaches_comet_over_rest_and_again_as_the_same_experiment() -> None:
    """One experiment however often its events come and whoever sends them; a wrong key is refused and not shown."""

    async def run() -> None:
        async with FakeComet("key-1") as server:
            options = {"endpoint": f"http://{server.address}", "api_key": "key-1", "workspace": "team"}
            for _ in range(2):
                async with comet(**options) as destination:
                    words = {
                        attr.OTEL_LLM_EXPERIMENT_RUN_NAME: "rank-16",
                        attr.OTEL_LLM_EXPERIMENT_PARAMETERS: json.dumps({"lr": 0.1, "layers": ["q"]}),
                        attr.OTEL_LLM_EXPERIMENT_TAGS: ["dpo"],
                    }
                    await destination.send(event(events.OTEL_LLM_EXPERIMENT_RUN, **words))
                    await destination.send(number(0.5, 1))
                    await destination.send(status("finished"))
            (one,) = server.experiments.values()
            assert (one.project, one.workspace, one.tags) == ("sweep", "team", ["dpo"])
            assert one.parameters == {"lr": 0.1, "layers": '["q"]'}
            assert one.values("loss") == [(1, 0.5), (1, 0.5)]  # Comet keeps both points of the step
            assert (one.others["Name"], one.others["status"]) == ("rank-16", "finished")
            assert one.times == (10**12, 10**12)

            async with comet(**{**options, "api_key": "wrong-secret"}) as destination:
                with pytest.raises(Permanent, match="400") as refused:
                    await destination.send(number(0.5, 1))
                assert "wrong-secret" not in str(refused.value)

    asyncio.run(run())


def test_calls_become_numbers_by_model_and_interval() -> None:
    """A call that comes twice counts once; GPU metrics have Comet's names; other metrics stay away."""

    async def run() -> None:
        async with FakeComet("k") as server:
            async with comet(endpoint=f"http://{server.address}", api_key="k") as destination:
                for _ in range(2):
                    await destination.send(calls(1, count=3))
                request = ExportMetricsServiceRequest()
                level = request.resource_metrics.add()
                put(level.resource.attributes.add(key=attr.SERVICE_NAME).value, "shop")
                for name, value in (("hw.gpu.utilization", 0.5), ("http.server.active_requests", 1.0)):
                    point = level.scope_metrics.add().metrics.add(name=name).gauge.data_points.add(as_double=value)
                    point.time_unix_nano = time.time_ns()
                    put(point.attributes.add(key=attr.HW_NAME).value, "H200 3")
                await destination.send(Parcel(Signal.METRICS, request.SerializeToString(), 2))
            (one,) = server.experiments.values()
            totals = {name: sum(value for _, value in one.values(name)) for name in one.metrics}
            assert (totals["llm/m/calls"], totals["llm/m/input_tokens"], totals["llm/m/output_tokens"]) == (3, 30, 15)
            assert totals["llm/m/cost_usd"] == pytest.approx(0.75)
            assert one.values("llm/m/seconds_p95")[0][1] == pytest.approx(1.0)
            assert one.values("sys.gpu.3.gpu_utilization")[0][1] == 50
            assert not [name for name in one.metrics if "http" in name]

    asyncio.run(run())


def test_what_a_killed_collector_kept_is_told_by_the_next(tmp_path: Path) -> None:
    """Intervals and lines of archives are taken up again; a line that was cut short goes, and nothing else."""

    async def run() -> None:
        killed = Comet(CometSettings(type="comet", path=tmp_path, interval_seconds=1))
        await killed.start()
        await killed.send(number(0.5, 1))
        await killed.send(calls(1, ended=time.time() - 100))
        assert killed._timer is not None
        killed._timer.cancel()  # and nothing is closed
        (lines,) = tmp_path.glob("open/*/messages.json")
        with lines.open("ab") as file:
            file.write(b'{"type": "metric_msg", "payl')
        async with comet(path=tmp_path) as destination:
            await destination.send(number(0.25, 2))
            async with asyncio.timeout(20):
                while len(list(tmp_path.glob("open/*"))) < 2:  # noqa: ASYNC110 - the interval settles
                    await asyncio.sleep(0.1)

    asyncio.run(run())
    found: dict[str, list[Any]] = {}
    for path in tmp_path.glob("*.zip"):
        with zipfile.ZipFile(path) as packed:
            assert json.loads(packed.read("experiment.json"))["offline_id"] == path.stem.partition("-")[0]
            for line in packed.read("messages.json").splitlines():
                payload = json.loads(line)["payload"]
                if "metric" in payload:
                    found.setdefault(payload["metric"]["metricName"], []).append(payload["metric"]["metricValue"])
    assert found["loss"] == [0.5, 0.25]
    assert found["llm/m/calls"] == [1.0]


def test_broken_files_are_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What an earlier process left and nobody can read stops no start; it is kept beside, and said."""
    (tmp_path / "open.sqlite").write_bytes(b"no database at all" * 100)
    (tmp_path / "open/abc").mkdir(parents=True)
    (tmp_path / "open/abc/experiment.json").write_text("{torn")
    (tmp_path / "open/def").mkdir()

    async def run() -> None:
        async with comet(path=tmp_path) as destination:
            await destination.send(number(0.5, 1))
            await destination.send(calls(1))

    asyncio.run(run())
    assert (tmp_path / "open.sqlite.broken").exists()
    assert (tmp_path / "abc.broken/experiment.json").exists()
    assert len(list(tmp_path.glob("*.zip"))) == 1
    assert caplog.text.count("it is set aside as") == 2


def test_a_full_folder_holds_back_and_loses_nothing(tmp_path: Path) -> None:
    """Over its limit nothing is written, and the sender is told to come again; with room it goes on."""

    async def run() -> None:
        async with comet(path=tmp_path, archive_bytes=1024, folder_bytes=1024) as destination:

            async def fill() -> None:
                for step in range(1000):
                    await destination.send(number(0.5, step))

            with pytest.raises(Retryable, match="upload and remove some"):
                await fill()
            assert len(list(tmp_path.glob("*.zip"))) > 1
            for path in tmp_path.glob("*.zip"):
                path.unlink()
            await destination.send(number(0.5, 1000))

    asyncio.run(run())


def test_names_and_experiments_are_not_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the limits what comes is refused and counted; with too many archives open the oldest is closed."""
    monkeypatch.setattr(limits, "MAX_COMET_EXPERIMENTS", 3)
    monkeypatch.setattr(limits, "MAX_OPEN_ARCHIVES", 2)

    async def run() -> None:
        async with comet(path=tmp_path) as destination:
            receipts = [await destination.send(calls(n, service=f"s{n}", ended=1000.0 + n)) for n in range(5)]
            assert [receipt.refused for receipt in receipts] == [0, 0, 0, 1, 1]
            assert "1000 services" in receipts[-1].message
            async with asyncio.timeout(20):
                while len(list(tmp_path.glob("*.zip"))) < 1:  # noqa: ASYNC110 - the intervals settle
                    await asyncio.sleep(0.1)
        assert len(list(tmp_path.glob("*.zip"))) == 3

    asyncio.run(run())


def test_it_wants_a_place_to_write_to() -> None:
    """Neither a folder nor a key is no configuration."""
    with pytest.raises(ValueError, match="neither path nor api_key"):
        CometSettings(type="comet")
