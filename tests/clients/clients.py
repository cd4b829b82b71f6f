"""What the programs of this folder share: telemetry in memory, and the local model server in a thread.

Each program runs in an environment of its own, made by `run.py` from the packages that it names there, so that client
libraries that exclude each other are all tested.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

LOCAL_MODEL = Path(__file__).parents[2] / "examples" / "local_model"
sys.path.insert(0, str(LOCAL_MODEL))

CONTEXT = (
    "OTLP listens on port 4317 for gRPC. Port 4318 is for HTTP. Jaeger shows traces in a browser. "
    "A counter only grows and is read as a rate. " * 3
)
QUESTION = "Which port does OTLP use for gRPC?"
MESSAGES = [{"role": "system", "content": f"Context:\n{CONTEXT}"}, {"role": "user", "content": QUESTION}]


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI application from a thread; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > deadline:
            raise TimeoutError("the model server did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()


def local_model(**faults: float) -> Any:
    """The local model as an application that loses no time, and fails only as `faults` say."""
    from server import NO_FAULTS, Model, create_app  # noqa: PLC0415 - beside the example

    return create_app(Model(replace(NO_FAULTS, **faults), 7, first_token_seconds=0.005, seconds_per_token=0.0002))


class Collected:
    """Everything that is reported from now on. Set before the program instruments anything."""

    def __init__(self) -> None:
        os.environ |= {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
        self._spans = InMemorySpanExporter()
        self._logs = InMemoryLogRecordExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        trace.set_tracer_provider(provider)
        logs = LoggerProvider(shutdown_on_exit=False)
        logs.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        _logs.set_logger_provider(logs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            for span in self._spans.get_finished_spans():
                sys.stderr.write(f"{span.name} {dict(span.attributes or {})}\n")

    def spans(self, name: str | None = None) -> list[Any]:
        """The spans that ended, or those of a name."""
        return [span for span in self._spans.get_finished_spans() if name in (None, span.name)]

    def take(self) -> list[Any]:
        """The spans that ended since the last time."""
        found = list(self._spans.get_finished_spans())
        self._spans.clear()
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        """The attributes of the events of a name."""
        records = [one.log_record for one in self._logs.get_finished_logs()]
        return [dict(one.attributes or {}) for one in records if one.event_name == name]


def check(seen: object, right: object) -> None:
    """Fails the program when something is not what it should be; `assert` would vanish under -O."""
    if seen != right:
        raise AssertionError(f"seen {seen!r}, right would be {right!r}")
