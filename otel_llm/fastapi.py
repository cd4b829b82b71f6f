"""FastAPI through OpenTelemetry's own instrumentation, set up so that it fits streaming answers.

No span per chunk (a streamed answer of 20 chunks would make 22 of them), stable HTTP attributes, health pages left out,
the time to the first byte on the server's span. When the server shuts the application down what waits is sent, since a
server may die by the signal that stopped it. Needs the extra `otel-llm[fastapi]`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from otel_llm_semconv import attributes as attr

from otel_llm import providers

if TYPE_CHECKING:
    from fastapi import FastAPI

# Stable HTTP conventions; OpenTelemetry reads this once, at the first instrumentation of anything.
STABILITY_VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"

EXCLUDED_URLS = r"/(health|healthz|ready|live|metrics)/?(\?.*)?$"


FLUSH_SECONDS = 2.0


def instrument_fastapi(app: FastAPI, *, excluded_urls: str | None = None) -> None:
    """Trace one application; `excluded_urls` are comma-separated expressions searched in the URL.

    Raises `ImportError` when the extra is not installed.
    """
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415 - an extra

    os.environ.setdefault(STABILITY_VARIABLE, "http")
    _add_inner()
    FastAPIInstrumentor.instrument_app(app, **_options(excluded_urls))


def instrument_class() -> None:
    """Trace every application that is created from now on."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415 - an extra

    _add_inner()
    FastAPIInstrumentor().instrument(**_options(None))


def _options(excluded_urls: str | None) -> dict[str, Any]:
    from_environment = os.environ.get("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS") or os.environ.get(
        "OTEL_PYTHON_EXCLUDED_URLS"
    )
    return {
        "exclude_spans": ["receive", "send"],
        "excluded_urls": excluded_urls or from_environment or EXCLUDED_URLS,
        **providers.used("tracer_provider", "meter_provider"),
    }


def _add_inner() -> None:
    """Put `Inner` into the middleware of every application, inside the server's span."""
    from starlette.applications import Starlette  # noqa: PLC0415 - an extra

    kinds: list[Any] = [kind for kind in _and_subclasses(Starlette) if "build_middleware_stack" in vars(kind)]
    for kind in kinds:
        build = vars(kind)["build_middleware_stack"]
        if getattr(build, "_otel_llm", False):
            continue

        def build_middleware_stack(self: Any, build: Callable[[Any], Any] = build) -> Any:
            stack = build(self)
            if hasattr(stack, "app") and not isinstance(stack.app, Inner):
                stack.app = Inner(stack.app)  # behind the outermost, which OpenTelemetry's takes apart
            return stack

        build_middleware_stack._otel_llm = True  # type: ignore[attr-defined] # noqa: SLF001 - our own mark
        kind.build_middleware_stack = build_middleware_stack


def _and_subclasses(kind: type[Any]) -> list[type[Any]]:
    below: list[type[Any]] = kind.__subclasses__()
    return [kind, *(each for one in below for each in _and_subclasses(one))]


Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


class Inner:
    """ASGI middleware: the time to the first byte of an answer, and the flush at the application's end."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.app(scope, receive, _timed(send))
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, _flushing(send))
        else:
            await self.app(scope, receive, send)


def _timed(send: Send) -> Send:
    began = time.perf_counter()
    span = trace.get_current_span()
    waiting = True

    async def send_and_time(message: Message) -> None:
        nonlocal waiting
        if waiting and message["type"] == "http.response.body" and message.get("body"):
            waiting = False
            span.set_attribute(attr.OTEL_LLM_HTTP_TIME_TO_FIRST_BYTE, time.perf_counter() - began)
        await send(message)

    return send_and_time


def _flushing(send: Send) -> Send:
    async def send_after_flush(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            import asyncio  # noqa: PLC0415 - it is there; importing it with this module would cost every program 30 ms

            from otel_llm.setup import current  # noqa: PLC0415 - it imports this module

            handle = current()
            if handle is not None:
                await asyncio.to_thread(handle.force_flush, FLUSH_SECONDS)
        await send(message)

    return send_after_flush
