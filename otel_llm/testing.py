"""For tests of programs that are traced: what they did, as plain typed objects, and assertions that say what was seen.

    from otel_llm.testing import capture

    def test_an_answer_costs_less_than_a_cent():
        with capture() as captured:
            answer("Which ports?")
        call = captured.only(operation="chat")
        assert call.tokens.input < 2000
        captured.assert_cost_below(0.01)

The pytest fixture `llm_spans` is a `capture` for the whole test. Nothing is sent while one is open. Prices are those of
the package `genai-prices` where it is installed (`otel-llm[collector]` brings it), or the ones given as `prices=`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

from opentelemetry import _logs, trace
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_llm import content as content_module
from otel_llm import handles, providers
from otel_llm.captured import Captured, Feedback, Price, Span, Tokens
from otel_llm.content import Mode
from otel_llm.documents import Document
from otel_llm.sessions import SessionProcessor

__all__ = ["Captured", "Document", "Feedback", "ManualClock", "Price", "Span", "Tokens", "capture"]

_SILENT = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


class ManualClock:
    """Time that moves only when it is told to, for spans and first tokens. Starts at 2020-01-01."""

    def __init__(self, start: float = 1_577_836_800.0) -> None:
        self._start = self._nanoseconds = round(start * 1e9)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError(f"advance: seconds is {seconds}; time does not go back")
        self._nanoseconds += round(seconds * 1e9)

    def time_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self._nanoseconds

    def perf_counter(self) -> float:
        """Seconds since the start of the clock, exactly as they were advanced."""
        return (self._nanoseconds - self._start) / 1e9


class _Recorder(SpanProcessor, LogRecordProcessor):
    """Stays with a provider, which cannot give a processor back, and passes on to the captures that are open."""

    def __init__(self) -> None:
        self.open: list[Captured] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing to do when a span starts."""

    def on_end(self, span: ReadableSpan) -> None:
        for captured in self.open:
            captured._add(span)  # noqa: SLF001 - ours

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        for captured in self.open:
            captured._add_event(log_record.log_record)  # noqa: SLF001

    def shutdown(self) -> None:
        """Nothing to end."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits."""
        return True


_recorders: WeakKeyDictionary[Any, _Recorder] = WeakKeyDictionary()


def _recorder(provider: Any, add: Callable[[Any], None]) -> _Recorder:
    recorder = _recorders.get(provider)
    if recorder is None:
        recorder = _recorders[provider] = _Recorder()
        add(recorder)
    return recorder


def _span_recorder() -> _Recorder:
    provider = providers.tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SessionProcessor())
        trace.set_tracer_provider(provider)
    return _recorder(provider, provider.add_span_processor)


def _event_recorder() -> _Recorder:
    provider: Any = providers.logger_provider()
    if not isinstance(provider, LoggerProvider):
        provider = LoggerProvider(shutdown_on_exit=False)
        _logs.set_logger_provider(provider)
    return _recorder(provider, provider.add_log_record_processor)


@contextmanager
def capture(
    *,
    content: Mode | None = None,
    prices: Mapping[str, Price] | None = None,
    clock: ManualClock | None = None,
) -> Iterator[Captured]:
    """Keep what happens inside the block; a `configure` inside it sends nothing.

    Args:
        content: The content mode inside the block; None leaves it as it is.
        prices: The only prices to use, by model; None uses the package `genai-prices` if it is installed.
        clock: A clock for spans and first tokens; None is the real one.
    """
    captured = Captured(prices)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, _SILENT))
        for recorder in (_span_recorder(), _event_recorder()):
            recorder.open.append(captured)
            stack.callback(recorder.open.remove, captured)
        if content is not None:
            stack.callback(content_module.override, content_module.override(content))
        if clock is not None:
            stack.enter_context(mock.patch.object(sdk_trace, "time_ns", clock.time_ns))
            stack.enter_context(mock.patch.object(handles, "perf_counter", clock.perf_counter))
        yield captured
