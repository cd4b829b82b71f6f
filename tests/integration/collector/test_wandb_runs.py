"""The destination `wandb_runs`: files of runs, and a folder that is full."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otel_llm_collector.any_value import put
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.wandb_format import Record, records
from otel_llm_collector.deliver.wandb_runs import WandbRuns, WandbRunsSettings
from otel_llm_collector.errors import Retryable
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events

pytestmark = pytest.mark.integration


def metrics(*numbers: tuple[str, float, int | None], experiment: str = "sweep") -> Parcel:
    """Numbers of a run: name, value, step."""
    request = ExportLogsServiceRequest()
    out = request.resource_logs.add().scope_logs.add().log_records
    for name, value, step in numbers:
        record = out.add(event_name=events.OTEL_LLM_EXPERIMENT_METRICS, time_unix_nano=10**18)
        values: dict[str, Any] = {
            attr.OTEL_LLM_EXPERIMENT_NAME: experiment,
            attr.OTEL_LLM_EXPERIMENT_RUN_ID: "r1",
            attr.OTEL_LLM_EXPERIMENT_METRIC_NAME: name,
            attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE: value,
        }
        values |= {} if step is None else {attr.OTEL_LLM_TRAINING_STEP: step}
        for key, one in values.items():
            put(record.attributes.add(key=key).value, one)
    return Parcel(Signal.LOGS, request.SerializeToString(), len(numbers))


async def sent(folder: Path, *parcels: Parcel, **options: Any) -> None:
    destination = WandbRuns(WandbRunsSettings.model_validate({"type": "wandb_runs", "path": folder, **options}))
    await destination.start()
    for parcel in parcels:
        await destination.send(parcel)
    await destination.shutdown()


def rows(path: Path) -> list[dict[str, Any]]:
    """The history in a file."""
    found = [Record.FromString(record) for record, _ in records(path.read_bytes())]
    history = [record.history for record in found if record.HasField("history")]
    return [{item.nested_key[0]: json.loads(item.value_json) for item in one.item} for one in history]


def test_rows_are_numbered_and_say_their_step(tmp_path: Path) -> None:
    """Steps in any order, and a number without one at the newest; runs of one id in two experiments stay apart."""
    first = metrics(("loss", 0.5, 10), ("grad", 2.0, 10), ("loss", 0.25, 20))
    later = metrics(("eval", 1.0, None), ("loss", 0.75, 5), ("loss", 9.0, 10))
    asyncio.run(sent(tmp_path, first, later, metrics(("loss", 1.0, 1), experiment="other")))
    paths = sorted(tmp_path.glob("offline-run-20010909_014640-*/run-*.wandb"), key=lambda path: -path.stat().st_size)
    assert len(paths) == 2
    found = [(row["_step"], row["training_step"], row.get("loss"), row.get("eval")) for row in rows(paths[0])]
    assert found == [(0, 10, 0.5, None), (1, 20, 0.25, None), (2, 5, 0.75, None), (3, 20, None, 1.0)]
    assert [row["loss"] for row in rows(paths[1])] == [1.0]


def test_a_full_folder_holds_back(tmp_path: Path) -> None:
    """Over its limit nothing is written and the sender is told to come again."""
    many = [metrics(("loss", 0.5, step)) for step in range(100)]
    with pytest.raises(Retryable, match="sync and remove some"):
        asyncio.run(sent(tmp_path, *many, folder_bytes=2048))
    (path,) = tmp_path.glob("*/run-*.wandb")
    assert 2048 < path.stat().st_size < 4096
