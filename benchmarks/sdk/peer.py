"""Runs inside a peer's own environment: what its decorator costs around a no-op, and a raw span in the same process.

python peer.py NAME    -> one line of JSON
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

ROUNDS, CALLS = 25, 200


class Null:
    """An exporter that takes everything."""

    def export(self, spans: Any) -> Any:
        """Take them."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to end."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Nothing waits."""
        return True


def provider_to_nowhere() -> Any:
    """A stock provider whose spans go nowhere."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Null()))
    return provider


def otel_llm() -> Callable[[], object]:
    """Ours."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    import otel_llm
    from otel_llm.sessions import SessionProcessor
    from otel_llm.span_queue import SpanQueue

    provider = TracerProvider()
    provider.add_span_processor(SessionProcessor())
    provider.add_span_processor(SpanQueue(Null))
    trace.set_tracer_provider(provider)
    return otel_llm.span("work")(lambda: None)


def traceloop() -> Callable[[], object]:
    """traceloop-sdk's `@task`."""
    from traceloop.sdk import Traceloop
    from traceloop.sdk.decorators import task

    Traceloop.init(app_name="bench", exporter=Null(), telemetry_enabled=False, instruments=set())
    return task(name="work")(lambda: None)


def openlit() -> Callable[[], object]:
    """OpenLIT's `@openlit.trace`, on a provider of the program."""
    from opentelemetry import trace

    trace.set_tracer_provider(provider_to_nowhere())
    import openlit

    prices = Path(tempfile.mkstemp(suffix=".json")[1])
    prices.write_text("{}", encoding="utf-8")
    openlit.init(disable_metrics=True, pricing_json=str(prices), disabled_instrumentors=[])

    @openlit.trace
    def work() -> None:
        pass

    return work


def langfuse() -> Callable[[], object]:
    """Langfuse's `@observe`."""
    from langfuse import Langfuse, observe

    Langfuse(public_key="pk", secret_key="sk", base_url="http://127.0.0.1:9", span_exporter=Null())  # noqa: S106 - no secret

    @observe(name="work")
    def work() -> None:
        pass

    return work


def logfire() -> Callable[[], object]:
    """Logfire's `@instrument`."""
    import logfire
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[BatchSpanProcessor(Null())])

    @logfire.instrument("work")
    def work() -> None:
        pass

    return work


def opik() -> Callable[[], object]:
    """Opik's `@track`; its queue is left to its own thread."""
    os.environ.update(OPIK_URL_OVERRIDE="http://127.0.0.1:9/api", OPIK_CHECK_TLS_CERTIFICATE="false")
    import opik

    @opik.track(name="work")
    def work() -> None:
        pass

    return work


PEERS = {
    "otel-llm": ("otel_llm", otel_llm),
    "traceloop-sdk": ("traceloop.sdk", traceloop),
    "openlit": ("openlit", openlit),
    "langfuse": ("langfuse", langfuse),
    "logfire": ("logfire", logfire),
    "opik": ("opik", opik),
}


def per_call(work: Callable[[], object]) -> float:
    """Microseconds of CPU a call, median of rounds."""
    found = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(CALLS):
            work()
        found.append((time.thread_time() - began) / CALLS * 1e6)
    return statistics.median(found)


def main(name: str) -> None:
    """Measure one peer."""
    module, make = PEERS[name]
    began = time.process_time()
    __import__(module)
    imported = (time.process_time() - began) * 1000
    result: dict[str, Any] = {"version": metadata.version(name), "import_ms": imported}
    began = time.process_time()
    work = make()
    result["init_ms"] = (time.process_time() - began) * 1000
    try:
        tracer = provider_to_nowhere().get_tracer("raw")
    except ImportError:
        tracer = None  # opik has no OpenTelemetry

    def raw() -> None:
        with tracer.start_as_current_span("work"):
            pass

    per_call(work)
    result["decorator_us"] = per_call(work)
    if tracer is not None:
        per_call(raw)
        result["raw_us"] = per_call(raw)
    sys.stdout.write("RESULT " + json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)  # what a peer does at its end is not measured here


if __name__ == "__main__":
    main(sys.argv[1])
