"""The SDK in real processes: no collector, a hanging one, forks, exits. The program always comes first."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import HttpSink

pytestmark = pytest.mark.integration

PROGRAM = """
import os, sys, time
import otel_llm
handle = otel_llm.configure(service_name="test", endpoint=sys.argv[1], instrument=False)
for number in range({spans}):
    with otel_llm.span("work") as step:
        step.attribute("payload", "x" * {bytes})
{more}
print("done", handle.emitted_spans, flush=True)
"""


def run(endpoint: str, *, spans: int = 10, size: int = 10, more: str = "") -> tuple[float, str]:
    """Run a traced program; returns the seconds from its last line of output to its end, and that output."""
    text = PROGRAM.format(spans=spans, bytes=size, more=textwrap.dedent(more))
    process = subprocess.Popen([sys.executable, "-c", text, endpoint], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    output = b""
    for line in process.stdout:
        output += line
        if line.startswith(b"done"):
            break
    said = time.monotonic()
    errors = process.stderr.read()
    code = process.wait(60)
    assert code == 0, errors.decode()
    assert b"Traceback" not in errors
    return time.monotonic() - said, output.decode()


@pytest.fixture
def hanging() -> Iterator[str]:
    """A server that takes connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []
    threading.Thread(target=lambda: [held.append(listener.accept()) for _ in range(50)], daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_no_collector_costs_at_most_the_budget() -> None:
    """Connection refused: no exception, no traceback, at most two seconds at the end."""
    seconds, output = run("http://127.0.0.1:9")
    assert output == "done 10\n"
    assert seconds < 3


def test_a_hanging_collector_costs_at_most_the_budget(hanging: str) -> None:
    """An endpoint that takes the connection and says nothing: the same two seconds."""
    seconds, _ = run(hanging)
    assert seconds < 3


def test_spans_arrive_without_an_explicit_flush_and_from_forked_children() -> None:
    """Ten spans of the parent and three of a forked child, each once, although nobody calls flush."""
    more = """
    if os.fork() == 0:
        for _ in range(3):
            with otel_llm.span("child"):
                pass
        handle.shutdown()
        os._exit(0)
    os.wait()
    """

    async def scenario() -> list[str]:
        async with HttpSink() as sink:
            seconds, _ = await asyncio.to_thread(run, f"http://{sink.address}", more=more)
            assert seconds < 3
            await sink.until(lambda: sink.count(Signal.TRACES) >= 13)
            return [span.name for taken in sink.taken for span in taken.spans()]

    names = asyncio.run(scenario())
    assert (names.count("work"), names.count("child")) == (10, 3)


def test_a_collector_that_comes_later_gets_the_spans() -> None:
    """Nobody listens at first; once somebody does, spans arrive without a restart, and the counts add up."""
    more = """
    sys.stdin.readline()  # somebody listens now
    with otel_llm.span("after"):
        pass
    deadline = time.monotonic() + 30
    while not (handle.force_flush(5) and handle.exported_spans) and time.monotonic() < deadline:
        time.sleep(0.1)
    print("counted", handle.exported_spans + handle.dropped_spans == handle.emitted_spans, handle.exported_spans)
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    text = PROGRAM.format(spans=5, bytes=10, more=textwrap.dedent(more))
    process = subprocess.Popen(
        [sys.executable, "-c", text, f"http://127.0.0.1:{port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    async def scenario() -> list[str]:
        await asyncio.sleep(2.5)  # the first batch was tried, and nobody was there
        async with HttpSink(port=port) as sink:
            said, errors = await asyncio.to_thread(process.communicate, "go\n", 60)
            assert process.returncode == 0, errors
            assert "Traceback" not in errors
            names = [span.name for taken in sink.taken for span in taken.spans()]
            assert said.startswith(f"counted True {len(names)}\n")
            return names

    try:
        assert "after" in asyncio.run(scenario())
    finally:
        process.kill()


def test_a_dead_endpoint_does_not_grow_memory() -> None:
    """100,000 spans of 20 KB against a dead endpoint stay within the byte bound."""
    more = """
    status = open("/proc/self/status").read()  # not ru_maxrss: a child inherits its parent's peak
    print("peak", int(status.split("VmHWM:")[1].split()[0]) // 1024, flush=True)
    """
    _, output = run("http://127.0.0.1:9", spans=100_000, size=20_000, more=more)
    peak = int(output.split("peak ")[1].split()[0])
    assert peak < 250  # MiB; 2 GB of payload went through


def test_the_program_may_have_its_own_provider(tmp_path: Path) -> None:
    """An existing tracer provider is joined: its exporter still gets everything, and so do we."""
    text = """
    import sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    mine, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(mine))
    trace.set_tracer_provider(provider)
    import otel_llm
    handle = otel_llm.configure(endpoint=sys.argv[1], instrument=False)
    assert otel_llm.configure(endpoint="http://other.test") is handle
    with otel_llm.span("x"):
        pass
    assert trace.get_tracer_provider() is provider
    assert [span.name for span in mine.get_finished_spans()] == ["x"]
    """
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(text))

    async def scenario() -> None:
        async with HttpSink() as sink:
            process = await asyncio.create_subprocess_exec(sys.executable, str(script), f"http://{sink.address}")
            assert await process.wait() == 0
            await sink.until(lambda: sink.count(Signal.TRACES) == 1)

    asyncio.run(scenario())


def test_wrong_arguments_are_told_at_once() -> None:
    """A typo in an argument is a ValueError with what would be right; a second call with others says so and goes on."""
    again = "import otel_llm; a = otel_llm.configure('a', disabled=True); assert otel_llm.configure('b') is a"
    ended = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True, check=False)
    assert ended.stderr.count("those of the first call hold") == 1
    text = "import otel_llm; otel_llm.configure(content='loud')"
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "content is 'loud'; use 'off' or 'metadata' or 'full'" in ended.stderr
