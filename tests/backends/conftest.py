"""Real backends, started on free loopback ports and ended by their process ids; and a collector that sends to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.scores import EVENT
from otel_llm_collector.engine import load_engine
from otel_llm_collector.receive.otlp_json import to_protobuf
from otel_llm_semconv import attributes as attr

BACKENDS = Path(__file__).parents[2] / ".cache/backends"


def program(path: str) -> Path:
    """A program below .cache/backends, or a skip that says how to get it."""
    found = BACKENDS / path
    if not found.exists():
        pytest.skip(f"{path.partition('/')[0]} is not installed for these tests; make test-backends installs it")
    return found


def debian(name: str) -> str:
    """A program of the machine, or a skip that says how to get it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; as root on Debian make test-backends installs it")
    return found


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], seconds: float = 30.0, what: str = "condition") -> Any:
    """The first truthy value of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.HTTPError, KeyError, IndexError):
            value = condition()
            if value:
                return value
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {seconds:.0f} s")


def call(method: str, url: str, document: Any = None) -> Any:
    """The JSON that a backend answers."""
    return httpx2.request(method, url, json=document, timeout=10, trust_env=False).raise_for_status().json()


@contextlib.contextmanager
def started(folder: Path, command: tuple[str | Path, ...], is_ready: Callable[[], bool], **more: str) -> Iterator[None]:
    """A program that runs while the block does, which begins when `is_ready`."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **more},
            start_new_session=True,
        )
    try:

        def ready() -> bool:
            if process.poll() is not None:
                pytest.fail(f"{command[0]} ended at once:\n{log.read_text(errors='replace')[-2000:]}")
            return is_ready()

        wait_for(ready, 120, f"start of {command[0]}")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)  # its own session: servers start workers
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def running(folder: Path, *command: str | Path, ready: str, **more: str) -> Any:
    """A server that runs while the block does; `ready` is a URL that answers once it is."""
    return started(folder, command, lambda: httpx2.get(ready, timeout=5, trust_env=False).is_success, **more)


def listening(folder: Path, *command: str | Path, port: int, **more: str) -> Any:
    """The same for a server that only shows that it is ready by listening."""

    def connects() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    return started(folder, command, connects, **more)


class Collector:
    """A whole collector in a thread of its own, configured as its users do."""

    def __init__(self, folder: Path, exporters: dict[str, Any], **sections: Any) -> None:
        server = {"endpoint": "127.0.0.1:0"}
        otlp = {"grpc": server, "http": server}
        document = {"receivers": {"otlp": otlp}, "server": server, "exporters": exporters, **sections}
        self._config = config.parse(yaml.safe_dump(document), os.environ, source="test", folder=folder)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.app: Any = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self.app.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        self.app = App(self._config, load_engine({}))
        await self.app.start()

    @property
    def http(self) -> str:
        """Where OTLP/HTTP is taken."""
        return "http://" + str(self.app.addresses()["OTLP/HTTP"]).removeprefix("http://")

    @property
    def grpc(self) -> str:
        """Where OTLP/gRPC is taken."""
        return str(self.app.addresses()["OTLP/gRPC"])

    def send(self, signal: Signal, request: Any) -> None:
        """Send one request as a program would."""
        answer = httpx2.post(
            f"{self.http}/v1/{signal}",
            content=request.SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
            timeout=10,
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text

    def details(self) -> Any:
        """What /health/detailed says of the destinations."""
        url = f"http://{self.app.admin.address}"
        return call("GET", f"{url}/health/detailed")["exporters"]

    def settled(self, *names: str) -> bool:
        """Whether nothing waits for these destinations."""
        details = self.details()
        return not any(details[name]["waiting"] for name in names)

    def metric(self, name: str, **labels: str) -> float:
        """A counter of the collector, summed over the labels that are not given."""
        return sum(
            sample.value
            for family in self.app.telemetry.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


class Trace:
    """A question to a RAG service: a root and a call to a model, 1000 tokens in (200 of them cached), 500 out."""

    cost = 0.000435

    def __init__(self, service: str = "rag") -> None:
        self.request = ExportTraceServiceRequest()
        level = self.request.resource_spans.add()
        level.resource.attributes.add(key="service.name").value.string_value = service
        spans = level.scope_spans.add().spans
        now = time.time_ns()
        ids = {"trace_id": os.urandom(16), "end_time_unix_nano": now}
        self.root = spans.add(**ids, span_id=os.urandom(8), name="ask", start_time_unix_nano=now - 2 * 10**9)
        self.call = spans.add(**ids, span_id=os.urandom(8), name="chat gpt-4o-mini", kind=3)
        self.call.parent_span_id, self.call.start_time_unix_nano = self.root.span_id, now - 10**9
        self.conversation = f"c-{self.root.span_id.hex()}"
        words = {
            attr.GEN_AI_OPERATION_NAME: "chat",
            attr.GEN_AI_PROVIDER_NAME: "openai",
            attr.GEN_AI_REQUEST_MODEL: "gpt-4o-mini",
            attr.GEN_AI_CONVERSATION_ID: self.conversation,
            attr.GEN_AI_INPUT_MESSAGES: json.dumps([{"role": "user", "parts": [{"type": "text", "content": "why?"}]}]),
        }
        for key, word in words.items():
            self.call.attributes.add(key=key).value.string_value = word
        counts = {
            attr.GEN_AI_USAGE_INPUT_TOKENS: 1000,
            attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: 200,
            attr.GEN_AI_USAGE_OUTPUT_TOKENS: 500,
        }
        for key, count in counts.items():
            self.call.attributes.add(key=key).value.int_value = count

    @property
    def id(self) -> str:
        """The trace's id in hexadecimal."""
        return str(self.root.trace_id.hex())

    def score(self, name: str, value: float, *, on: Any = None) -> ExportLogsServiceRequest:
        """An evaluation result of one of its spans, or of all of it."""
        logs = ExportLogsServiceRequest()
        record = (
            logs.resource_logs.add()
            .scope_logs.add()
            .log_records.add(event_name=EVENT, trace_id=self.root.trace_id, time_unix_nano=time.time_ns())
        )
        if on is not None:
            record.span_id = on.span_id
        record.attributes.add(key=attr.GEN_AI_EVALUATION_NAME).value.string_value = name
        record.attributes.add(key=attr.GEN_AI_EVALUATION_SCORE_VALUE).value.double_value = value
        record.attributes.add(key=attr.GEN_AI_EVALUATION_EXPLANATION).value.string_value = "because"
        return logs


TRAINING = """
import math, os, sys
import otel_llm

handle = otel_llm.configure("trainer", endpoint=sys.argv[1], instrument=False)
parameters = {"lr": 2e-5, "data": {"name": "hh"}, "layers": ["q", "v"]}
with otel_llm.experiment(sys.argv[2], run_id="run-1", run_name="rank-16", parameters=parameters, tags=["dpo"]) as run:
    for step in range(5):
        run.metrics({"loss": 1 / (1 + step), "odd[name]": step}, step=step, epoch=step / 4)
    run.metrics({"eval/loss": math.nan}, step=4)
    run.parameters(lr=1e-5)
    run.note("warm start from the base model")
    run.model("adapter", uri="file:///models/adapter")
handle.shutdown()
"""


def train(collector: Collector, experiment: str) -> None:
    """A training run of five steps, as a program with the SDK sends it."""
    command = [sys.executable, "-c", TRAINING, collector.http, experiment]
    subprocess.run(command, check=True, timeout=60, capture_output=True)


def kept_logs(folder: Path) -> list[ExportLogsServiceRequest]:
    """The logs in a folder of the destination `file`."""
    lines = (folder / "logs.jsonl").read_bytes().splitlines()
    return [ExportLogsServiceRequest.FromString(to_protobuf(Signal.LOGS, line)[0]) for line in lines]


class Tools:
    """What tests start with, under one name."""

    program = staticmethod(program)
    debian = staticmethod(debian)
    free_port = staticmethod(free_port)
    wait_for = staticmethod(wait_for)
    call = staticmethod(call)
    running = staticmethod(running)
    listening = staticmethod(listening)
    started = staticmethod(started)
    Collector = Collector
    train = staticmethod(train)
    kept_logs = staticmethod(kept_logs)
    Trace = Trace


@pytest.fixture(scope="session")
def tools() -> type[Tools]:
    """See `Tools`."""
    return Tools
