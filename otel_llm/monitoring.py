"""`monitor`, `log_metrics`, `log_tokens`, `log_model_info`: what a program says of its own work.

    with otel_llm.monitor("nightly-index") as job:
        job.log({"documents": 1200, "skipped": 3})

Numbers go on the span and, as the gauge `otel_llm.program.value`, to the metrics; a monitor's duration is the histogram
`otel_llm.monitor.duration`. All of it is as safe as the other helpers: nothing is raised into the program.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics
from otel_llm_semconv.enums import GenAiOperationName as Operation

from otel_llm.content import Mode
from otel_llm.guard import guarded, text_of, warn_once
from otel_llm.handles import ChatHandle, Handle
from otel_llm.instruments import gauge, histogram
from otel_llm.steps import Step, as_attributes

MAX_NAMES = 200  # drop: further names of numbers are left out, with one warning

_names: set[str] = set()


class MonitorHandle(Handle):
    """A monitored piece of work."""

    __slots__ = ("_began", "_name")

    def __init__(self, span: Span, content: Mode, name: str) -> None:
        super().__init__(span, content)
        self._name = name
        self._began = perf_counter()

    def log(self, values: Mapping[str, float]) -> None:
        """Say numbers, as `log_metrics` does."""
        _log_metrics(values, self.span)

    @guarded
    def finish(self) -> None:
        """Record how long it took."""
        seconds = perf_counter() - self._began
        histogram(metrics.OTEL_LLM_MONITOR_DURATION).record(seconds, {attr.OTEL_LLM_MONITOR_NAME: self._name})


def monitor(name: str, *, attributes: Mapping[str, Any] | None = None) -> Step[MonitorHandle]:
    """A piece of work under a name with few different values; as `with` or as a decorator."""
    title = text_of(name)
    return Step(
        title,
        lambda span, content: MonitorHandle(span, content, title),
        SpanKind.INTERNAL,
        {**as_attributes({} if attributes is None else attributes), attr.OTEL_LLM_MONITOR_NAME: title},
    )


def log_metrics(values: Mapping[str, float]) -> None:
    """Say numbers of the current span: `log_metrics({"documents": 12})`. What is no number is left out."""
    _log_metrics(values, trace.get_current_span())


@guarded
def _log_metrics(values: Mapping[str, float], span: Span) -> None:
    gauge_of_values = gauge(metrics.OTEL_LLM_PROGRAM_VALUE)
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            warn_once(f"log_metrics: {name} is {value!r}, no number; it is left out", f"log_metrics: {name}")
            continue
        span.set_attribute(f"{attr.OTEL_LLM_VALUE}.{name}", value)
        if _is_admitted(str(name)):
            gauge_of_values.set(value, {attr.OTEL_LLM_VALUE_NAME: str(name)})


def _is_admitted(name: str) -> bool:
    """Whether a name may be a label: there is room for so many, since each is a time series."""
    if name not in _names and len(_names) >= MAX_NAMES:
        warn_once(f"log_metrics: more than {MAX_NAMES} names; further ones are on spans only", "log_metrics: names")
        return False
    _names.add(name)
    return True


@guarded
def log_tokens(
    *,
    provider: str,
    model: str,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cached_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    estimated: bool = False,
) -> None:
    """Say the tokens of a model call that nothing else traces; the collector prices them.

    Inside a step such as `chat` they are that step's. Elsewhere they become a span of their own, without duration.
    """
    current = trace.get_current_span()
    said: Mapping[str, Any] = getattr(current, "attributes", None) or {}
    counts: dict[str, Any] = {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cached_tokens": cached_tokens,
        "reasoning_tokens": reasoning_tokens,
        "estimated": estimated,
    }
    if said.get(attr.GEN_AI_OPERATION_NAME) in _CALLS:
        ChatHandle(current, "off").usage(**counts)
        return
    attributes = {
        attr.GEN_AI_OPERATION_NAME: Operation.CHAT.value,
        attr.GEN_AI_PROVIDER_NAME: provider,
        attr.GEN_AI_REQUEST_MODEL: model,
    }
    with Step(f"{Operation.CHAT} {model}", ChatHandle, SpanKind.CLIENT, attributes) as call:
        call.usage(**counts)


_CALLS = {Operation.CHAT, Operation.GENERATE_CONTENT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS}


@guarded
def log_model_info(
    name: str,
    *,
    version: str | None = None,
    parameter_count: int | None = None,
    quantization: str | None = None,
    context_tokens: int | None = None,
    device: str | None = None,
) -> None:
    """Say of the current span which model does the work, in as much detail as is known."""
    said = {
        attr.OTEL_LLM_MODEL_NAME: name,
        attr.OTEL_LLM_MODEL_VERSION: version,
        attr.OTEL_LLM_MODEL_PARAMETER_COUNT: parameter_count,
        attr.OTEL_LLM_MODEL_QUANTIZATION: quantization,
        attr.OTEL_LLM_MODEL_CONTEXT_TOKENS: context_tokens,
        attr.OTEL_LLM_MODEL_DEVICE: device,
    }
    trace.get_current_span().set_attributes({key: value for key, value in said.items() if value is not None})
