"""Comet's own `comet upload` on our archives, against a stand-in of its server as strict as its client's code tells."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.fakes import FakeComet
from otel_llm_collector.fakes.comet import CometExperiment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def uploaded(program: Path, folder: Path, *archives: Path) -> tuple[dict[str, CometExperiment], str]:
    """What the stand-in has after `comet upload`, and what the command said."""
    async with FakeComet("key-1") as comet:
        environment = {
            **os.environ,
            "HOME": str(folder),
            "COMET_API_KEY": "key-1",
            "COMET_URL_OVERRIDE": f"http://{comet.address}/clientlib/",
            "COMET_INTERNAL_SENTRY_DSN": "",
        }
        process = await asyncio.create_subprocess_exec(
            program, "upload", *archives, env=environment, cwd=folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), 120)
        refused = [one.path for one in comet.requests if one.path.startswith("/api/rest/v2/write/experiment/update")]
        assert not refused, said.decode()  # how the client reports a line that it or the server refused
        return comet.experiments, said.decode()


def test_a_training_run_and_its_services_numbers_arrive(tools: Any, tmp_path: Path) -> None:
    """Steps, epochs, NaN, parameters, tags, note, artifact and status of the run; calls, tokens and cost of a model."""
    program = tools.program("comet/bin/comet")
    folder = tmp_path / "archives"
    exporter = {"type": "comet", "path": str(folder), "workspace": "team", "interval_seconds": 1}
    trace = tools.Trace("shop")
    with tools.Collector(tmp_path, {"comet": exporter}) as collector:
        tools.train(collector, "dpo sweep")
        collector.send(Signal.TRACES, trace.request)
        collector.send(Signal.LOGS, trace.score("other", 1.0))
        tools.wait_for(lambda: collector.settled("comet"), what="delivery")
        assert collector.metric("otelcol_exporter_sent_log_records_total") == 16
        assert collector.metric("otel_llm_exporter_dropped_log_records_total", reason="other_logs") == 1
        time.sleep(3)  # until the interval is over and has settled
    archives = sorted(folder.glob("*.zip"))
    assert not list((folder / "open").iterdir())
    experiments, said = asyncio.run(uploaded(program, tmp_path, *archives))
    assert f"Number of uploaded experiments: {len(archives)}" in said

    by_name = {one.others["Name"]: one for one in experiments.values()}
    run = by_name["rank-16"]
    assert (run.project, run.workspace, run.tags) == ("dpo sweep", "team", ["dpo"])
    assert run.values("loss") == [(step, 1 / (1 + step)) for step in range(5)]
    assert [epoch for _, _, epoch, _ in run.metrics["loss"]] == [step / 4 for step in range(5)]
    assert run.values("eval/loss") == [(4, "NaN")]
    assert run.parameters == {"lr": 1e-05, "data.name": "hh", "layers": '["q", "v"]'}
    assert run.others["status"] == "finished"
    assert "warm start from the base model" in run.others.values()
    assert json.loads(run.others["artifact adapter"])["uri"] == "file:///models/adapter"
    shop = by_name["shop"]
    assert shop.project == "otel-llm"
    values = {name.rpartition("/")[2]: points[0][1] for name, points in shop.metrics.items() if "gpt-4o-mini" in name}
    assert values["cost_usd"] == pytest.approx(trace.cost)
    assert (values["calls"], values["errors"]) == (1, 0)
    assert (values["input_tokens"], values["output_tokens"]) == (1000, 500)
    assert values["seconds_mean"] == values["seconds_p95"] == pytest.approx(1.0)


def test_archives_of_one_experiment_add_up(tools: Any, tmp_path: Path) -> None:
    """A run in several archives is one experiment after the upload, each number in it once."""
    program = tools.program("comet/bin/comet")
    exporter = {"type": "comet", "path": str(tmp_path), "archive_bytes": 1024, "signals": ["logs"], "merge_bytes": 0}
    files = {"type": "file", "path": str(tmp_path), "signals": ["logs"]}
    with tools.Collector(tmp_path, {"files": files}) as collector:
        tools.train(collector, "sweep")
        tools.wait_for(lambda: collector.settled("files"), what="delivery")
    (request,) = tools.kept_logs(tmp_path)
    records = list(request.resource_logs[0].scope_logs[0].log_records)
    with tools.Collector(tmp_path, {"comet": exporter}) as collector:
        for record in records:
            del request.resource_logs[0].scope_logs[0].log_records[:]
            request.resource_logs[0].scope_logs[0].log_records.append(record)
            collector.send(Signal.LOGS, request)
        tools.wait_for(lambda: collector.settled("comet"), what="delivery")
    archives = sorted(tmp_path.glob("*.zip"))
    assert len(archives) > 1
    experiments, _ = asyncio.run(uploaded(program, tmp_path, *archives))
    (run,) = experiments.values()
    assert sorted(run.values("loss")) == [(step, 1 / (1 + step)) for step in range(5)]
    assert run.uploads == len(archives)
