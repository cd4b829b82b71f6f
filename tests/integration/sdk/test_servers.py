"""Real servers and real processes: whatever ends them, no span that was recorded is lost, with or without our code."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.contract import Signal
from otel_llm_collector.testing import HttpSink
from otel_llm_semconv import attributes as attr

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent

WSGI = """
import os, otel_llm
def app(environ, start_response):
    with otel_llm.span(f"pid {os.getpid()}"):
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"done"]
"""

PLAIN_FASTAPI = """
import asyncio, os
from fastapi import FastAPI
import otel_llm
app = FastAPI()
@app.get("/")
async def answer():
    with otel_llm.span(f"pid {os.getpid()}"):
        await asyncio.sleep(0)
    return "done"
"""

CONFIGURED_FASTAPI = PLAIN_FASTAPI.replace("import otel_llm\n", "import otel_llm\notel_llm.configure('served')\n")

STREAMING_FASTAPI = """
import asyncio, otel_llm
otel_llm.configure("served")
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
app = FastAPI()
@app.get("/")
async def stream():
    async def chunks():
        for number in range(10):
            await asyncio.sleep(0.01)
            yield f"data: {number}\\n\\n"
    return StreamingResponse(chunks(), media_type="text/event-stream")
"""

# Batches wait this long: a span arrives before only because the end of its process sent it.
SLOW = {
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LLM_INSTRUMENT": "fastapi,threading",
}


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def environment(sink: HttpSink, **more: str) -> dict[str, str]:
    return {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.address}", **SLOW, **more}


async def served(
    tmp_path: Path, text: str, command: list[str], ends_with: Callable[[subprocess.Popen[bytes]], None], count: int = 40
) -> list[Any]:
    """Start a server on `text` as module `app`, ask it `count` times, end it; the spans that arrived."""
    (tmp_path / "app.py").write_text(text)
    port = free_port()
    async with HttpSink() as sink:
        words = [word.replace("PORT", str(port)) for word in command]
        process = subprocess.Popen(words, cwd=tmp_path, env=environment(sink), stderr=subprocess.PIPE)
        try:
            await asyncio.to_thread(ask, port, count, process)
            ends_with(process)
            _, errors = await asyncio.to_thread(process.communicate, timeout=30)
        finally:
            process.kill()
        assert b"Traceback" not in errors, errors.decode()
        return [span for taken in sink.taken if taken.signal is Signal.TRACES for span in taken.spans()]


def ask(port: int, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 40
    asked = 0
    while asked < count:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.read()
            asked += 1
        except OSError:
            assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


def terminate(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)


def ours(spans: list[Any]) -> list[str]:
    """The names of the application's own spans."""
    return [span.name for span in spans if span.name.startswith("pid ")]


def run(scenario: Awaitable[Any]) -> Any:
    return asyncio.run(scenario)  # type: ignore[arg-type]


INSTRUMENT = [str(BIN / "otel-llm"), "instrument", "--service-name", "served", "--"]


def test_gunicorn_prefork_loses_no_span_on_sigterm(tmp_path: Path) -> None:
    """Two forked workers of a master that was instrumented before the fork: all 40 spans arrive."""
    command = [*INSTRUMENT, "gunicorn", "--workers", "2", "--bind", "127.0.0.1:PORT", "app:app"]
    names = ours(run(served(tmp_path, WSGI, command, terminate)))
    assert len(names) == 40
    assert 1 <= len(set(names)) <= 2


def test_uvicorn_with_two_workers_loses_no_span_on_sigterm(tmp_path: Path) -> None:
    """Spawned workers, instrumented from outside; each dies by the signal it caught."""
    command = [*INSTRUMENT, "uvicorn", "--workers", "2", "--port", "PORT", "--log-level", "warning", "app:app"]
    spans = run(served(tmp_path, PLAIN_FASTAPI, command, terminate))
    assert len(ours(spans)) == 40
    assert len([span for span in spans if span.name == "GET /"]) == 40


@pytest.mark.parametrize("workers", ["1", "2"])
def test_uvicorn_loses_no_span_when_the_application_configures(tmp_path: Path, workers: str) -> None:
    """The application calls `configure` itself, inside the server's own signal handling."""
    command = [str(BIN / "uvicorn"), "--workers", workers, "--port", "PORT", "--log-level", "warning", "app:app"]
    spans = run(served(tmp_path, CONFIGURED_FASTAPI, command, terminate))
    assert len(ours(spans)) == 40


def program(text: str, *, ends: Callable[[subprocess.Popen[bytes]], None] | None = None, **more: str) -> Any:
    """Run a program against a sink; its spans, its output and how it ended."""

    async def scenario() -> Any:
        async with HttpSink() as sink:
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(text)],
                env=environment(sink, **more),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            assert process.stdout is not None
            if ends is not None:
                await asyncio.to_thread(process.stdout.readline)
                ends(process)
            output, errors = await asyncio.to_thread(process.communicate, timeout=40)
            assert b"Traceback" not in errors, errors.decode()
            spans = [span for taken in sink.taken if taken.signal is Signal.TRACES for span in taken.spans()]
            return spans, output.decode(), process.returncode

    return run(scenario())


def test_sigterm_sends_what_waits_and_still_ends_the_process() -> None:
    """A loop without any handler: its spans arrive, and whoever sent the signal sees that it worked."""
    text = """
    import time, otel_llm
    otel_llm.configure("loop", instrument=False)
    for number in range(25):
        with otel_llm.span("work"):
            pass
    print("ready", flush=True)
    while True:
        with otel_llm.span("busy"):
            pass
        time.sleep(0.001)
    """
    spans, _, code = program(text, ends=terminate)
    assert len([span for span in spans if span.name == "work"]) == 25
    assert code == -signal.SIGTERM


def test_a_handler_of_the_programs_own_stays() -> None:
    """A program that handles SIGTERM itself before `configure` keeps its handler."""
    text = """
    import signal, sys, time, otel_llm
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    otel_llm.configure("own", instrument=False)
    with otel_llm.span("work"):
        pass
    print("ready", flush=True)
    time.sleep(30)
    """
    spans, _, code = program(text, ends=terminate)
    assert [span.name for span in spans] == ["work"]
    assert code == 3


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_lose_nothing(tmp_path: Path, method: str) -> None:
    """A pool's workers leave by `os._exit`; their spans arrive with every way of starting them."""
    (tmp_path / "job.py").write_text(
        "import otel_llm\n"
        "otel_llm.configure('job', instrument=False)\n"
        "def work(number):\n"
        "    with otel_llm.span('work'):\n"
        "        return number\n"
    )
    text = f"""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    import job
    if __name__ == "__main__":
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("{method}")) as pool:
            assert sorted(pool.map(job.work, range(20))) == list(range(20))
    """
    spans, _, code = program(text, PYTHONPATH=str(tmp_path))
    assert code == 0
    assert [span.name for span in spans] == ["work"] * 20


def test_instrumented_children_of_multiprocessing_lose_nothing(tmp_path: Path) -> None:
    """The same, spawned by a program that knows nothing of us."""
    (tmp_path / "plain.py").write_text(
        "from opentelemetry import trace\n"
        "def work(number):\n"
        "    with trace.get_tracer('plain').start_as_current_span('work'):\n"
        "        return number\n"
    )
    (tmp_path / "main.py").write_text(
        "import multiprocessing, plain\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
        "        pool.map(plain.work, range(20))\n"
        "        pool.close()\n"
        "        pool.join()\n"
    )

    async def scenario() -> list[str]:
        async with HttpSink() as sink:
            process = await asyncio.create_subprocess_exec(
                *INSTRUMENT, "python", "main.py", cwd=tmp_path, env=environment(sink)
            )
            assert await process.wait() == 0
            return [span.name for taken in sink.taken if taken.signal is Signal.TRACES for span in taken.spans()]

    assert run(scenario()) == ["work"] * 20


def test_instrument_passes_on_what_the_program_does(tmp_path: Path) -> None:
    """Arguments, exit code, standard output and another sitecustomize stay the program's own."""
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.theirs = 'seen'\n")
    code = "import sys; print(theirs, sys.argv[1:]); sys.exit(7)"
    ended = subprocess.run(
        [*INSTRUMENT, "python", "-c", code, "--", "-x"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OTEL_SDK_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "seen ['--', '-x']\n", "")


def test_instrument_says_what_it_cannot_run() -> None:
    """No program, or one that is not there: a sentence and the code a shell would give."""
    for words, code in (([], 2), (["no-such-program-here"], 127)):
        ended = subprocess.run([*INSTRUMENT, *words], capture_output=True, text=True, check=False)
        assert ended.returncode == code
        assert ended.stderr.startswith("otel-llm instrument: ")
        assert "Traceback" not in ended.stderr


def test_time_to_first_byte_stands_on_the_servers_span(tmp_path: Path) -> None:
    """A streamed answer: one server span for all of it, no span per chunk, the first byte well before the end."""
    command = [str(BIN / "uvicorn"), "--port", "PORT", "--log-level", "warning", "app:app"]
    [span] = run(served(tmp_path, STREAMING_FASTAPI, command, terminate, count=1))
    found = {one.key: one.value for one in span.attributes}
    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    assert 0 < found[attr.OTEL_LLM_HTTP_TIME_TO_FIRST_BYTE].double_value < seconds / 2
    assert found[attr.HTTP_REQUEST_METHOD].string_value == "GET"
    assert found[attr.HTTP_RESPONSE_STATUS_CODE].int_value == 200
