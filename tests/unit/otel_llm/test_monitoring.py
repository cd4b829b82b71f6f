"""What a program says of its own work is on its span and in its metrics, and cannot hurt it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics as metrics_api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import monitoring


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that gives the points recorded so far: (metric, label values) -> value or count."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics_api, "get_meter_provider", lambda: provider)
    monkeypatch.setattr(monitoring, "_names", set())

    def points() -> dict[tuple[str, str], float]:
        found = {}
        data: Any = reader.get_metrics_data()
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        value = getattr(point, "value", None)
                        found[metric.name, *map(str, point.attributes.values())] = (
                            value if value is not None else point.count
                        )
        return found

    yield points
    provider.shutdown()


def test_a_monitor(spans: Any, measured: Any) -> None:
    """Its numbers and name on the span, its numbers and duration in the metrics."""
    with otel_llm.monitor("nightly", attributes={"shard": 3}) as job:
        job.log({"documents": 12, "ratio": 0.5})
        otel_llm.log_metrics({"skipped": 1})

    @otel_llm.monitor("nightly")
    def again() -> None:
        """Nothing."""

    again()
    first = spans.get_finished_spans()[0]
    assert first.name == "nightly"
    assert {key: value for key, value in first.attributes.items() if key != attr.OTEL_LLM_OUTCOME} == {
        "shard": 3,
        attr.OTEL_LLM_MONITOR_NAME: "nightly",
        "otel_llm.value.documents": 12,
        "otel_llm.value.ratio": 0.5,
        "otel_llm.value.skipped": 1,
    }
    assert measured() == {
        ("otel_llm.program.value", "documents"): 12,
        ("otel_llm.program.value", "ratio"): 0.5,
        ("otel_llm.program.value", "skipped"): 1,
        ("otel_llm.monitor.duration", "nightly"): 2,
    }


def test_tokens_of_a_step_are_the_steps(spans: Any) -> None:
    """Inside a chat no other span is made."""
    with otel_llm.chat(provider="openai", model="m"):
        otel_llm.log_tokens(provider="openai", model="m", input_tokens=7, output_tokens=2, cached_tokens=3)
    [span] = spans.get_finished_spans()
    assert span.attributes[attr.GEN_AI_USAGE_INPUT_TOKENS] == 7
    assert span.attributes[attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS] == 3


def test_tokens_that_nothing_traces_become_a_span(spans: Any) -> None:
    """Elsewhere: a span that the collector can price, a child of the current one."""
    with otel_llm.monitor("job"):
        otel_llm.log_tokens(provider="openai", model="m", input_tokens=7, estimated=True)
    call, job = spans.get_finished_spans()
    assert call.parent.span_id == job.context.span_id
    assert (call.name, call.attributes[attr.GEN_AI_PROVIDER_NAME]) == ("chat m", "openai")
    assert call.attributes[attr.OTEL_LLM_USAGE_ESTIMATED] is True


def test_model_info(spans: Any) -> None:
    """What is known of the model stands on the current span."""
    with otel_llm.span("work"):
        otel_llm.log_model_info("minilm", parameter_count=22_000_000, device="cpu")
    [span] = spans.get_finished_spans()
    assert span.attributes[attr.OTEL_LLM_MODEL_NAME] == "minilm"
    assert span.attributes[attr.OTEL_LLM_MODEL_PARAMETER_COUNT] == 22_000_000
    assert attr.OTEL_LLM_MODEL_VERSION not in span.attributes


def test_what_is_no_number_is_left_out(spans: Any, measured: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One warning a name, the rest goes on; nothing at all to say is no problem either."""
    for _ in range(2):
        with otel_llm.monitor("job") as job:
            job.log({"good": 1, "bad": "x", "nan": float("nan"), "flag": True})  # type: ignore[dict-item]
            job.log(7)  # type: ignore[arg-type]
            otel_llm.log_metrics(None)  # type: ignore[arg-type]
    assert measured()["otel_llm.program.value", "good"] == 1
    assert len(caplog.records) == 4
    otel_llm.log_metrics({"outside": 1})


def test_names_are_bounded(spans: Any, measured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that makes up names does not make up time series without end."""
    monkeypatch.setattr(monitoring, "MAX_NAMES", 3)
    with otel_llm.monitor("job") as job:
        job.log({f"name{number}": number for number in range(10)})
    assert len([name for name, *_ in measured() if name == "otel_llm.program.value"]) == 3
