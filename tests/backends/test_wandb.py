"""W&B's own `wandb sync` on our offline runs, against a stand-in of its server made from that client's requests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.wandb_format import Record, records
from otel_llm_collector.fakes import FakeWandb
from otel_llm_collector.fakes.wandb import WandbRun

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
KEY = "0" * 40

# Reads a file with wandb's own messages: every record must be one of theirs with no field that they do not know.
READ = """
import sys
from wandb.proto import wandb_internal_pb2 as proto
from google.protobuf import unknown_fields
kinds = []
for line in sys.stdin:
    record = proto.Record.FromString(bytes.fromhex(line))
    assert not list(unknown_fields.UnknownFieldSet(record)), record
    kinds.append(record.WhichOneof("record_type"))
print(" ".join(kinds))
"""


async def synced(program: Path, folder: Path, *runs: Path) -> tuple[dict[tuple[str, str, str], WandbRun], str]:
    """What the stand-in has after `wandb sync`, and what the command said."""
    async with FakeWandb(KEY) as wandb:
        environment = {
            **os.environ,
            "HOME": str(folder),
            "WANDB_API_KEY": KEY,
            "WANDB_BASE_URL": f"http://{wandb.address}",
            "WANDB_ERROR_REPORTING": "false",
        }
        process = await asyncio.create_subprocess_exec(
            program, "sync", *runs, env=environment, cwd=folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(process.communicate(), 120)
        return wandb.runs, said.decode()


def test_a_training_run_arrives_and_is_the_same_when_its_events_come_again(tools: Any, tmp_path: Path) -> None:
    """Steps, epochs, NaN, config, tags, notes and exit code; a second delivery after a restart adds no byte."""
    program = tools.program("wandb/bin/wandb")
    folder = tmp_path / "wandb"
    exporter = {"type": "wandb_runs", "path": str(folder), "entity": "team", "merge_bytes": 0, "max_in_flight": 1}
    files = {"type": "file", "path": str(tmp_path), "signals": ["logs"]}
    with tools.Collector(tmp_path, {"files": files}) as collector:
        tools.train(collector, "dpo sweep")
        tools.wait_for(lambda: collector.settled("files"), what="delivery")
    with tools.Collector(tmp_path, {"wandb": exporter}) as collector:
        for request in tools.kept_logs(tmp_path):
            for record in request.resource_logs[0].scope_logs[0].log_records:
                one = type(request)()
                one.resource_logs.add().scope_logs.add().log_records.append(record)
                collector.send(Signal.LOGS, one)
        tools.wait_for(lambda: collector.settled("wandb"), what="delivery")
        assert collector.metric("otelcol_exporter_sent_log_records_total", exporter="wandb") == 16
    (path,) = folder.glob("offline-run-*/run-*.wandb")
    written = path.read_bytes()
    path.write_bytes(written + b"\x01\x02\x03\x04\x40\x00\x01torn")
    with tools.Collector(tmp_path, {"wandb": exporter}) as collector:
        for request in tools.kept_logs(tmp_path):
            collector.send(Signal.LOGS, request)
        tools.wait_for(lambda: collector.settled("wandb"), what="delivery")
    kept = [Record.FromString(one) for one, _ in records(path.read_bytes())]
    assert kept == [Record.FromString(one) for one, _ in records(written)]

    runs, said = asyncio.run(synced(program, tmp_path, path.parent))
    assert "Finished syncing" in said, said
    ((entity, project, _), run) = next(iter(runs.items()))
    assert (entity, project, run.name, run.tags, run.exit_code) == ("team", "dpo sweep", "rank-16", ["dpo"], 0)
    assert run.notes == "warm start from the base model"
    assert run.values("loss") == [(step, 1 / (1 + step)) for step in range(5)]
    assert set(run.values("epoch")) == {(step, step / 4) for step in range(5)}
    assert json.dumps(run.values("eval/loss")) == "[[4, NaN]]"
    assert run.summary["loss"] == 0.2
    assert (run.config["lr"], run.config["data.name"], run.config["layers"]) == (1e-05, "hh", ["q", "v"])
    assert run.config["artifact.adapter"]["uri"] == "file:///models/adapter"


def test_records_are_those_that_wandb_knows(tools: Any, tmp_path: Path) -> None:
    """Its own messages read each record, also over the borders of blocks, and know every field."""
    python = tools.program("wandb/bin/python")
    exporter = {"type": "wandb_runs", "path": str(tmp_path)}
    with tools.Collector(tmp_path, {"wandb": exporter}) as collector:
        tools.train(collector, "sweep")
        tools.wait_for(lambda: collector.settled("wandb"), what="delivery")
    (path,) = tmp_path.glob("offline-run-*/run-*.wandb")
    lines = "\n".join(record.hex() for record, _ in records(path.read_bytes()))
    found = subprocess.run([python, "-c", READ], input=lines, capture_output=True, text=True, check=True).stdout.split()
    assert found[:2] == ["header", "run"]
    assert found[-1] == "exit"
    assert found.count("history") == 5
    assert found.count("metric") == 2
