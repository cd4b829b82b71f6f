"""Content is recorded as asked, stays within its bound, stays JSON, and is masked before it leaves."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import content
from otel_llm.masking import WITHHELD, masked

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=40,
)


@given(VALUES, st.integers(64, 400))
def test_json_stays_json_within_its_bound(value: Any, bound: int) -> None:
    """Whatever is given: valid JSON, valid UTF-8, not longer than the bound."""
    text = content.as_json(value, bound)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert len(text.encode()) <= bound


def test_what_json_has_not_is_written_anyway() -> None:
    """NaN, objects, cycles, surrogates and objects that cannot even be shown."""

    class Rude:
        def __repr__(self) -> str:
            raise ValueError

    cycle: list[Any] = []
    cycle.append(cycle)
    assert json.loads(content.as_json([math.nan, math.inf])) == ["nan", "inf"]
    assert json.loads(content.as_json({"a": SimpleNamespace(b=1)})) == {"a": "namespace(b=1)"}
    assert json.loads(content.as_json({(1, 2): 3})) == {"(1, 2)": 3}
    assert json.loads(content.as_json("\ud800")) == "?"
    assert "Rude" in content.as_json([Rude()])
    assert json.loads(content.as_json(cycle))


def test_long_messages_keep_their_shape() -> None:
    """Of a long conversation the texts are cut first; of one too long for that the newest messages stay."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": "x" * 1000}]}] * 4
    shortened = json.loads(content.as_json(messages, 1000))
    assert [message["role"] for message in shortened] == ["user"] * 4
    assert shortened[0]["parts"][0]["content"].endswith(content.MARK)
    many = [{"role": "user", "n": number} for number in range(1000)]
    assert json.loads(content.as_json(many, 500))[-1] == {"role": "user", "n": 999}


def test_a_long_text_is_cut_between_characters() -> None:
    """A text of three-byte characters stays valid and says that it was cut."""
    assert content.cut("€" * 100, 100) == "€" * 33 + content.MARK


@pytest.mark.parametrize(
    ("variable", "mode"),
    [
        ("", "off"),
        ("true", "full"),
        ("SPAN_ONLY", "full"),
        ("SPAN_AND_EVENT", "full"),
        ("EVENT_ONLY", "off"),
        ("NO_CONTENT", "off"),
        ("metadata", "metadata"),
        ("nonsense", "off"),
    ],
)
def test_the_standard_variable_is_understood(variable: str, mode: str) -> None:
    """OpenTelemetry's words, OpenLIT's, and ours; what nobody knows is off."""
    assert content.from_environment({content.VARIABLE: variable}) == mode


def one_of_each(mode: content.Mode | None) -> None:
    with otel_llm.chat(provider="openai", content=mode) as call:
        call.input("ask")
        call.output("answer €")
    with otel_llm.retrieval(source="docs", query="four", content=mode) as step:
        step.documents([{"id": "1", "text": "found"}])
    with otel_llm.tool("search", content=mode) as tool:
        tool.arguments({"q": 1})
        tool.result("r")
    with otel_llm.query_expansion(content=mode) as expansion:
        expansion.queries(["a", "b"])


@pytest.mark.parametrize("override", [True, False])
@pytest.mark.parametrize("mode", content.MODES)
def test_modes(spans: Any, mode: content.Mode, override: bool) -> None:
    """`off` records nothing, `metadata` sizes, `full` the texts; by default and for one call."""
    content.configure("full" if override and mode == "off" else "off" if override else mode, {})
    one_of_each(mode if override else None)
    written: dict[str, Any] = {}
    for span in spans.get_finished_spans():
        written.update(span.attributes)
    assert bool(attr.CONTENT & written.keys()) == (mode == "full")
    sizes = {key for key in written if key.startswith("otel_llm.content.")}
    assert bool(sizes) == (mode == "metadata")
    if mode == "metadata":
        assert written[attr.OTEL_LLM_CONTENT_QUERY_BYTES] == 4
        assert "answer" not in json.dumps([str(value) for value in written.values()])


def test_a_mode_that_does_not_exist_records_nothing(spans: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A typo in `content=` must not let texts out, and must not raise."""
    content.configure("full", {})
    for _ in range(2):
        with otel_llm.chat(provider="openai", content="ful") as call:  # type: ignore[arg-type]
            call.input("secret")
    assert all(attr.GEN_AI_INPUT_MESSAGES not in span.attributes for span in spans.get_finished_spans())
    assert len([one for one in caplog.records if "'ful'" in one.getMessage()]) == 1


def ended_span() -> Any:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("somebody").start_span("chat")
    messages = [{"role": "user", "parts": [{"content": "my secret"}]}]
    span.set_attributes({attr.GEN_AI_INPUT_MESSAGES: json.dumps(messages), attr.GEN_AI_REQUEST_MODEL: "secret-model"})
    span.set_attribute(attr.GEN_AI_RETRIEVAL_QUERY_TEXT, "[secret")
    span.set_attribute(attr.OTEL_LLM_QUERY_EXPANSION_QUERIES, ["secret", "b"])
    span.record_exception(ValueError("secret in an error"))
    span.set_status(Status(StatusCode.ERROR, "secret status"))
    span.end()
    [ended] = exporter.get_finished_spans()
    return ended


def stars(text: str, key: str) -> str:
    return text.replace("secret", "***") if key else text


def broken(text: str, key: str) -> str:
    raise ValueError(text, key)


def silent(text: str, key: str) -> Any:
    return None


def test_the_mask_sees_every_text_that_may_leave() -> None:
    """Content in JSON and plain, lists, errors and the status, of a span of any instrumentation; nothing else."""
    found = masked(ended_span(), stars)
    assert json.loads(found.attributes[attr.GEN_AI_INPUT_MESSAGES])[0]["parts"][0]["content"] == "my ***"
    assert found.attributes[attr.GEN_AI_RETRIEVAL_QUERY_TEXT] == "[***"
    assert found.attributes[attr.OTEL_LLM_QUERY_EXPANSION_QUERIES] == ["***", "b"]
    assert found.attributes[attr.GEN_AI_REQUEST_MODEL] == "secret-model"
    assert found.status.description == "*** status"
    assert found.status.status_code is StatusCode.ERROR
    [event] = found.events
    assert event.attributes[attr.EXCEPTION_MESSAGE] == "*** in an error"
    assert "secret" not in event.attributes["exception.stacktrace"]


@pytest.mark.parametrize("mask", [broken, silent])
def test_a_mask_that_fails_lets_nothing_out(mask: Any) -> None:
    """An exception or a wrong answer withholds that value, and the span is still sent."""
    found = masked(ended_span(), mask)
    assert found.attributes[attr.GEN_AI_RETRIEVAL_QUERY_TEXT] == WITHHELD
    assert "secret" not in found.attributes[attr.GEN_AI_INPUT_MESSAGES]
    assert found.status.description == WITHHELD
