"""Dead letters on a real disk: bounded, readable after a crash, never in the way of delivery."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.dead_letters import DeadLetters, DeadLetterSettings, read

pytestmark = pytest.mark.integration


def parcel(name: str) -> Parcel:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name=name)
    return Parcel(Signal.TRACES, request.SerializeToString(), 1)


def letters(path: Path, **settings: int) -> DeadLetters:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return DeadLetters("jaeger", DeadLetterSettings.model_validate({"path": path, **settings}), lambda: now)


def test_a_letter_says_what_when_and_why(tmp_path: Path) -> None:
    """One line of JSON with all that a person or `replay` needs."""
    path = tmp_path / "dead.jsonl"
    assert asyncio.run(letters(path).write(parcel("chat"), "refused", "answered 400: no"))
    letter = json.loads(path.read_text())
    assert {**letter, "request": ""} == {
        "at": "2026-01-31T12:00:00Z", "exporter": "jaeger", "reason": "refused", "error": "answered 400: no",
        "signal": "traces", "items": 1, "first": "chat", "request": "",
    }  # fmt: skip
    assert list(read(path, pytest.fail)) == [parcel("chat")]


def test_files_are_bounded_and_the_oldest_goes(tmp_path: Path) -> None:
    """Never more than `max_files` of `max_bytes`, the newest letters kept, many writers at once."""
    path = tmp_path / "dead.jsonl"
    box = letters(path, max_bytes=1024, max_files=3)

    async def run() -> None:
        await asyncio.gather(*(box.write(parcel(f"span-{n:03}"), "refused", "x" * 50) for n in range(60)))

    asyncio.run(run())
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["dead.jsonl", "dead.jsonl.1", "dead.jsonl.2"]
    assert all(file.stat().st_size <= 1024 for file in files)
    names = [json.loads(line)["first"] for file in reversed(files) for line in file.read_text().splitlines()]
    assert names == [f"span-{n:03}" for n in range(60 - len(names), 60)]


def test_half_a_line_costs_itself(tmp_path: Path) -> None:
    """After a crash in the middle of a write the next letter begins its own line; the torn one is complained about."""
    path = tmp_path / "dead.jsonl"
    asyncio.run(letters(path).write(parcel("a"), "refused", ""))
    path.write_bytes(path.read_bytes() + b'{"at": "2026')
    asyncio.run(letters(path).write(parcel("b"), "refused", ""))
    complaints: list[str] = []
    assert list(read(path, complaints.append)) == [parcel("a"), parcel("b")]
    assert len(complaints) == 1 and ":2: is no dead letter" in complaints[0]


def test_a_disk_that_takes_nothing_does_not_raise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that cannot be made is one line in the log, and the caller is told."""
    (tmp_path / "file").write_text("")
    assert not asyncio.run(letters(tmp_path / "file" / "dead.jsonl").write(parcel("a"), "refused", ""))
    assert "exporters.jaeger.dead_letters: cannot write" in caplog.text
