"""`replay`: what a log on disk still holds, or dead letters, go to one destination again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import cli
from otel_llm_collector.contract import Parcel, Range, Signal
from otel_llm_collector.deliver.dead_letters import DeadLetters, DeadLetterSettings
from otel_llm_collector.log.disk import DiskHistory, DiskLog, DiskLogConfig
from otel_llm_collector.testing import Fail, HttpSink

pytestmark = pytest.mark.integration

CONFIG = """
log: {{kind: disk, path: log, keep_seconds: 3600}}
exporters:
  other: {{type: otlp_grpc, endpoint: "127.0.0.1:1"}}
  one:
    type: otlp_http
    endpoint: "http://{address}"
    retry: {{initial_seconds: 0.01, max_seconds: 0.05, max_elapsed_seconds: 0.2}}
    filter: {{exclude: {{attributes: {{private: "true"}}}}}}
    dead_letters: {{path: dead/one.jsonl}}
"""


def trace(name: str) -> Parcel:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name=name)
    if name.startswith("private"):
        span.attributes.add(key="private").value.bool_value = True
    return Parcel(Signal.TRACES, request.SerializeToString(), 1)


async def filled(folder: Path, *names: str) -> DiskLog:
    """A log in which a record is appended every ten seconds from 1000 on, all of it read and committed."""
    now = [1000.0]
    log = DiskLog(DiskLogConfig(path=folder / "log", keep_seconds=3600), ["one", "other"], lambda: now[0])
    await log.start()
    for name in names:
        parcel = trace(name)
        await log.append(parcel.signal, parcel.payload, parcel.items)
        now[0] += 10
    for reader in ("one", "other"):
        await log.commit(reader, len(names))
    return log


async def replay(folder: Path, *arguments: str) -> int:
    """The command, as a person calls it, while this loop serves the sink."""
    return await asyncio.to_thread(cli.main, ["replay", str(folder / "c.yaml"), "--exporter", "one", *arguments])


def names(sink: HttpSink) -> list[str]:
    return sorted(span.name for taken in sink.taken for span in taken.spans())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--from-offset", "0"], "abcdef"),
        (["--from-offset", "4"], "ef"),
        (["--from-offset", "1", "--to-offset", "3"], "bc"),
        (["--from-offset", "100"], ""),
        (["--from-time", "1970-01-01T00:17:00Z"], "cdef"),  # 1020 s
        (["--from-time", "1970-01-01T00:17:00Z", "--to-time", "1970-01-01T00:17:20+00:00"], "cd"),
        (["--from-time", "1971-01-01"], ""),
    ],
)
def test_part_of_the_log_is_sent_again(
    tmp_path: Path, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """From an offset or a time, up to another; beside a collector that has the log open; positions stay."""

    async def run() -> None:
        log = await filled(tmp_path, *"abcdef")
        async with HttpSink() as sink:
            (tmp_path / "c.yaml").write_text(CONFIG.format(address=sink.address))
            assert await replay(tmp_path, *arguments) == 0
            assert names(sink) == list(expected)
        assert log.standing("one").committed == 6
        await log.shutdown()

    asyncio.run(run())
    sent = f"{len(expected)} sent" if expected else "nothing"
    assert f"replayed to one: {sent}" in capsys.readouterr().out


def test_the_filter_holds_and_failures_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the destination may not have stays away; what it does not take makes the command fail."""

    async def run() -> None:
        log = await filled(tmp_path, "a", "private b", "c")
        await log.shutdown()  # the collector need not run
        async with HttpSink() as sink:
            (tmp_path / "c.yaml").write_text(CONFIG.format(address=sink.address))
            assert await replay(tmp_path, "--from-offset", "0") == 0
            assert names(sink) == ["a", "c"]
            sink.otherwise = Fail(503)
            assert await replay(tmp_path, "--from-offset", "0") == 1

    asyncio.run(run())
    out = capsys.readouterr().out
    assert "replayed to one: 2 sent, 1 filtered" in out
    assert "2 retries_exhausted, 1 filtered" in out
    assert not (tmp_path / "dead").exists()


def test_dead_letters_are_sent_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every whole letter arrives, filters apart; the file stays as it was; a torn line is said."""
    path = tmp_path / "dead" / "one.jsonl"

    async def run() -> None:
        letters = DeadLetters("one", DeadLetterSettings(path=path))
        for name in ("a", "private b"):
            await letters.write(trace(name), "refused", "answered 400")
        with path.open("a") as file:
            file.write('{"torn')
        before = path.read_bytes()
        async with HttpSink() as sink:
            (tmp_path / "c.yaml").write_text(CONFIG.format(address=sink.address))
            assert await replay(tmp_path, "--dead-letters", str(path)) == 0
            assert names(sink) == ["a", "private b"]
            sink.otherwise = Fail(400)
            assert await replay(tmp_path, "--dead-letters", str(path)) == 1
        assert path.read_bytes() == before

    asyncio.run(run())
    shown = capsys.readouterr()
    assert "2 sent" in shown.out
    assert ":3: is no dead letter" in shown.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["--exporter", "nobody", "--from-offset", "0"],
            2,
            "names no exporter (seen: nobody); write one of other, one",
        ),
        (["--from-offset", "0"], 1, "holds no log"),
        (["--dead-letters", "missing.jsonl"], 1, "No such file"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(
    tmp_path: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong name, a missing log, a missing file: exit code and what would be right."""
    (tmp_path / "c.yaml").write_text(CONFIG.format(address="127.0.0.1:1"))
    assert cli.main(["replay", str(tmp_path / "c.yaml"), "--exporter", "one", *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_log_in_memory_keeps_nothing_to_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names the option and what would be right."""
    (tmp_path / "c.yaml").write_text(
        CONFIG.format(address="127.0.0.1:1").replace("{kind: disk, path: log, keep_seconds: 3600}", "{kind: memory}")
    )
    assert cli.main(["replay", str(tmp_path / "c.yaml"), "--exporter", "one", "--from-offset", "0"]) == 2
    assert "log.kind: keeps nothing that could be replayed (seen: memory)" in capsys.readouterr().err


def test_what_was_delivered_is_kept_as_long_as_asked(tmp_path: Path) -> None:
    """`keep_seconds` holds committed records back from deletion, and lets them go after that."""

    async def run() -> None:
        now = [1000.0]
        log = DiskLog(DiskLogConfig(path=tmp_path, keep_seconds=60, max_bytes=1 << 20), ["a"], lambda: now[0])
        await log.start()
        for _ in range(300):
            await log.append(Signal.TRACES, b"x" * 100, 1)
        await log.commit("a", 300)
        await asyncio.sleep(0.5)  # twice what commits wait for company
        history = DiskHistory(DiskLogConfig(path=tmp_path))
        assert sum(len(some) for some in history.records(Range())) == 300
        now[0] += 61
        await log.append(Signal.TRACES, b"y", 1)
        await log.commit("a", 301)
        await asyncio.sleep(0.5)
        assert [one.offset for some in history.records(Range()) for one in some] == [300]
        history.close()
        assert log.take_lost("a") == {}
        await log.shutdown()

    asyncio.run(run())
