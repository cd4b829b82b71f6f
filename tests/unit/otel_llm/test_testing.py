"""The testing kit: typed finished spans, a clock of one's own, assertions whose failures can be read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import otel_llm
from otel_llm.testing import Captured, ManualClock, Price, Tokens, capture

PRICES = {"gpt-4o-mini": Price(input=1.0, output=10.0, cached=0.5)}


def answer(clock: ManualClock | None = None) -> None:
    """A small RAG answer: 1000 tokens in, 200 of them cached, 100 out."""
    with otel_llm.workflow("answer"):
        with otel_llm.retrieval(source="docs", k=2, query="ports") as step:
            step.documents([{"id": "a", "score": 0.9, "text": "4317"}, {"id": "b", "score": 0.4}])
            if clock:
                clock.advance(0.25)
        with otel_llm.chat(provider="openai", model="gpt-4o-mini") as call:
            call.usage(input_tokens=1000, output_tokens=100, cached_tokens=200, reasoning_tokens=10)


def test_spans_are_typed_and_linked(spans: Any) -> None:
    """Name, operation, model, tokens, cost, documents, parent and children."""
    with capture(prices=PRICES) as captured:
        answer()
    call = captured.only(operation="chat")
    assert (call.provider, call.model, call.outcome, call.error) == ("openai", "gpt-4o-mini", "ok", None)
    assert call.tokens == Tokens(1000, 100, 200, 10)
    assert call.cost == pytest.approx((800 * 1.0 + 200 * 0.5 + 100 * 10.0) / 1e6)
    assert call.parent is not None
    assert call.parent.name == "invoke_workflow answer"
    assert [child.operation for child in call.parent.children] == ["retrieval", "chat"]
    search = captured.only("retrieval docs")
    assert [(one.id, one.score, one.text) for one in search.documents] == [("a", 0.9, None), ("b", 0.4, None)]
    assert (captured.tokens.total, captured.cost) == (1100, call.cost)


def test_content_for_the_block(spans: Any) -> None:
    """`content="full"` shows documents' texts, and the mode is as before afterwards."""
    with capture(content="full") as captured:
        answer()
    assert captured.only(operation="retrieval").documents[0].text == "4317"
    with capture() as captured:
        answer()
    captured.assert_no_content("4317", "ports")


def test_a_clock_of_ones_own(spans: Any) -> None:
    """Durations and the time to first token are what the test says, to the nanosecond."""
    clock = ManualClock()

    @otel_llm.chat(provider="openai", model="m")
    def stream() -> Any:
        clock.advance(0.5)
        yield "a"
        clock.advance(0.1)
        yield "b"
        clock.advance(0.1)

    with capture(clock=clock) as captured:
        assert list(stream()) == ["a", "b"]
        answer(clock)
    call = captured.only(operation="chat", model="m")
    assert (call.ttft, call.duration, call.start) == (pytest.approx(0.5), pytest.approx(0.7), 1_577_836_800.0)
    assert captured.only(operation="retrieval").duration == pytest.approx(0.25)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)


def test_captures_nest_and_end(spans: Any) -> None:
    """Each capture has what happened inside it, in every thread, and nothing afterwards."""
    with capture() as outer:
        with otel_llm.span("one"), capture() as inner:
            thread = threading.Thread(target=answer)
            thread.start()
            thread.join()
        answer()
    answer()
    assert [len(inner.spans), len(outer.spans)] == [3, 7]


def test_feedback_is_captured(spans: Any) -> None:
    """What `feedback` sends, with the span that it judges."""
    with capture() as captured, otel_llm.workflow("answer"):
        otel_llm.feedback(thumbs="up", comment="good")
    [judged] = captured.feedback
    assert (judged.name, judged.score, judged.label, judged.comment) == ("user_feedback", 1.0, "up", "good")
    assert judged.span_id == captured.only("invoke_workflow answer").span_id


def test_the_price_book_is_used_where_it_is_installed(spans: Any) -> None:
    """Without `prices` a known model has the package's price; an unknown one has none."""
    with capture() as captured:
        answer()
        with otel_llm.chat(provider="openai", model="nobody-knows") as call:
            call.usage(input_tokens=1)
    assert captured.only(model="gpt-4o-mini").cost == pytest.approx(0.000135 + 0.00006, rel=0.5)
    assert captured.only(model="nobody-knows").cost is None
    assert captured.cost is None


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        (lambda seen: seen.only("chat x"), "expected exactly one span with name='chat x', found 0"),
        (lambda seen: seen.only(), "expected exactly one span with any, found 4"),
        (lambda seen: seen.assert_tokens_below(1100), "expected fewer than 1100 tokens, used 1100"),
        (lambda seen: seen.assert_cost_below(0.001), "expected to cost less than $0.001000, cost $0.001900"),
        (lambda seen: seen.assert_no_errors(), "expected no errors, 1 spans failed, the first: broken"),
        (
            lambda seen: seen.assert_order("chat", "retrieval"),
            "expected chat then retrieval; 'retrieval' did not start",
        ),
        (lambda seen: seen.assert_no_content("secret"), "expected 'secret' nowhere, it is in span 'broken', an event"),
    ],
)
def test_failures_can_be_read(spans: Any, claim: Any, sentence: str) -> None:
    """What was expected, what was seen, and the tree of spans with tokens, cost and documents."""
    with capture(prices=PRICES) as captured:
        answer()
        with pytest.raises(ValueError, match="secret"), otel_llm.span("broken"):
            raise ValueError("secret")
    with pytest.raises(AssertionError) as failed:
        claim(captured)
    said = str(failed.value)
    assert said.startswith(sentence)
    assert "\n  invoke_workflow answer  " in said
    assert "\n    chat gpt-4o-mini  " in said
    assert "1000 in, 100 out  $0.001900" in said
    assert "2 documents" in said


def test_claims_that_hold(spans: Any) -> None:
    """The same assertions are silent where they are right."""
    with capture(prices=PRICES) as captured:
        answer()
    captured.assert_order("invoke_workflow answer", "retrieval", "chat")
    captured.assert_tokens_below(1101)
    captured.assert_cost_below(0.002)
    captured.assert_no_errors()
    captured.assert_no_content("4317")


def test_an_unknown_price_is_not_zero(spans: Any) -> None:
    """A test on cost fails where a price is not known, instead of passing."""
    with capture(prices={}) as captured:
        answer()
    with pytest.raises(AssertionError, match="no price is known for gpt-4o-mini"):
        captured.assert_cost_below(1.0)


def test_the_fixture(llm_spans: Captured, spans: Any) -> None:
    """Pytest knows `llm_spans` without any import."""
    answer()
    assert llm_spans.only(operation="chat").tokens.input == 1000
    assert os.environ["OTEL_TRACES_EXPORTER"] == "none"


@pytest.mark.integration
def test_a_failed_test_shows_its_spans(tmp_path: Path) -> None:
    """In a project of its own: the fixture is there, `configure` sends nothing, the report has the tree."""
    (tmp_path / "test_it.py").write_text(
        "import otel_llm\n"
        "def test_it(llm_spans):\n"
        "    otel_llm.configure('app')\n"
        "    with otel_llm.chat(provider='openai', model='m') as call:\n"
        "        call.usage(input_tokens=7)\n"
        "    assert llm_spans.tokens.total == 8\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "1 failed" in ended.stdout
    assert "- spans -" in ended.stdout
    assert "chat m" in ended.stdout
    assert "7 in, 0 out" in ended.stdout
    assert "Transient error" not in ended.stdout + ended.stderr
