"""Whatever is given to the helpers: the program's own result and exception are untouched, one warning a kind."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import content, guard
from otel_llm.documents import MAX_DOCUMENTS
from otel_llm.span_queue import SpanQueue


class Rude:
    """Raises whatever is done with it."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name != "__len__":
            return object.__getattribute__(self, name)
        raise ValueError(name)

    def __repr__(self) -> str:
        raise ValueError

    def __str__(self) -> str:
        raise ValueError

    def __iter__(self) -> Iterator[Any]:
        raise ValueError

    def __bool__(self) -> bool:
        raise ValueError

    def __eq__(self, other: object) -> bool:
        raise ValueError

    __hash__ = None  # type: ignore[assignment]


class Shut:
    """Nothing at all can be asked of it, not even what class it is."""

    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)

    def __repr__(self) -> str:
        raise ValueError


class RudeList(list[Any]):
    """A list that has no length, no truth and no items."""

    def __iter__(self) -> Iterator[Any]:
        raise ValueError

    def __len__(self) -> int:
        raise ValueError

    def __bool__(self) -> bool:
        raise ValueError


class RudeDict(dict[Any, Any]):
    """A dict that gives nothing away."""

    def __getitem__(self, key: Any) -> Any:
        raise ValueError

    def __iter__(self) -> Iterator[Any]:
        raise ValueError

    def get(self, *args: Any) -> Any:
        raise ValueError

    def items(self) -> Any:
        raise ValueError


class RudeText(str):
    """A text that has no length and is equal to nothing."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __len__(self) -> int:
        raise ValueError

    def __eq__(self, other: object) -> bool:
        raise ValueError

    def __str__(self) -> str:
        raise ValueError


class RudeNumber(int):
    """A number that cannot be compared, shown or asked for its truth."""

    def __bool__(self) -> bool:
        raise ValueError

    def __ge__(self, other: Any) -> bool:
        raise ValueError

    def __repr__(self) -> str:
        raise ValueError


class Anything:
    """It has every attribute, and each has every attribute."""

    def __getattr__(self, name: str) -> Any:
        return Anything()


RUDE: list[Any] = [
    Shut(),
    RudeList([1]),
    RudeDict(a=1),
    RudeText("x"),
    RudeNumber(5),
    Anything(),
    MagicMock(),
    AsyncMock(),
]
WRONG: list[Any] = [
    *(7, "text", b"bytes", [None], {"a": {1, 2}}, object(), Rude(), float("nan"), "\ud800", {"usage": 7}),
    *RUDE,
]

STEPS: list[tuple[Callable[[], Any], list[str]]] = [
    (lambda: otel_llm.chat(provider="p"), ["response", "input", "output", "set"]),
    (lambda: otel_llm.embedding(provider="p"), ["response"]),
    (lambda: otel_llm.retrieval(source="s"), ["query", "documents"]),
    (otel_llm.rerank, ["before", "after"]),
    (otel_llm.query_expansion, ["queries"]),
    (lambda: otel_llm.tool("t"), ["arguments", "result"]),
    (lambda: otel_llm.monitor("m"), ["log"]),
]


@pytest.mark.parametrize("wrong", range(len(WRONG)))
@pytest.mark.parametrize("mode", content.MODES)
def test_handles_take_anything(spans: Any, mode: content.Mode, wrong: int, caplog: pytest.LogCaptureFixture) -> None:
    """Every method of every handle with every wrong thing, twice: no exception, each span ends, a warning once."""
    content.configure(mode, {})
    made = 0
    for make, methods in STEPS:
        for method in methods:
            for _ in range(2):
                with make() as step:
                    getattr(step, method)(WRONG[wrong])
                made += 1
    ended = spans.get_finished_spans()
    assert len(ended) == made
    assert {span.attributes[attr.OTEL_LLM_OUTCOME] for span in ended} == {"ok"}
    said = [one.getMessage() for one in caplog.records if one.name.startswith("otel_llm")]
    assert len(said) == len(set(said))


@pytest.mark.parametrize("wrong", range(len(WRONG)))
def test_decorated_functions_return_what_they_return(spans: Any, wrong: int) -> None:
    """Arguments and results of any kind pass through every helper as the very same objects."""
    value = WRONG[wrong]
    for make, _ in STEPS:

        @make()
        def function(messages: Any, *, model: Any = None) -> Any:
            return messages

        @make()
        async def coroutine(messages: Any) -> Any:
            return messages

        assert function(value, model=value) is value
        assert function(messages=value) is value
        assert asyncio.run(coroutine(value)) is value
    assert len(spans.get_finished_spans()) == 3 * len(STEPS)


def test_helpers_take_wrong_arguments(spans: Any) -> None:
    """Names, models and attributes of wrong types make a span all the same."""
    for make in (
        lambda: otel_llm.chat(provider=None, model=7),  # type: ignore[arg-type]
        lambda: otel_llm.retrieval(source=None, k="five", query=["q"]),  # type: ignore[arg-type]
        lambda: otel_llm.workflow(None),  # type: ignore[arg-type]
        lambda: otel_llm.tool(3.5, call_id={}),  # type: ignore[arg-type]
        lambda: otel_llm.span(7, attributes=[("a", 1)]),  # type: ignore[arg-type]
        lambda: otel_llm.span("x", attributes={1: object(), "deep": {"a": [1, "b"]}}),  # type: ignore[dict-item]
        lambda: otel_llm.monitor(None, attributes=3),  # type: ignore[arg-type]
        lambda: otel_llm.data_processing(items="many"),  # type: ignore[arg-type]
    ):
        with make():
            pass
    assert [span for span in spans.get_finished_spans() if not isinstance(span.name, str)] == []
    assert len(spans.get_finished_spans()) == 8


HELPERS: list[Callable[[Any], Any]] = [
    lambda wrong: otel_llm.chat(provider=wrong, model=wrong, temperature=wrong, conversation_id=wrong, content=wrong),
    lambda wrong: otel_llm.embedding(provider=wrong, model=wrong, dimensions=wrong),
    lambda wrong: otel_llm.retrieval(source=wrong, k=wrong, query=wrong),
    lambda wrong: otel_llm.rerank(model=wrong, provider=wrong, top_n=wrong),
    lambda wrong: otel_llm.build_context(max_tokens=wrong),
    lambda wrong: otel_llm.data_processing(wrong, items=wrong),
    lambda wrong: otel_llm.workflow(wrong, conversation_id=wrong),
    lambda wrong: otel_llm.agent(wrong, provider=wrong, model=wrong),
    lambda wrong: otel_llm.tool(wrong, call_id=wrong),
    lambda wrong: otel_llm.span(wrong, attributes=wrong),
    lambda wrong: otel_llm.span("x", attributes={"key": wrong}),
    lambda wrong: otel_llm.monitor(wrong, attributes=wrong),
    lambda wrong: otel_llm.training_step(step=wrong, epoch=wrong, batch_size=wrong),
    lambda wrong: otel_llm.session(user_id=wrong, tags=wrong, metadata=wrong),
    lambda wrong: otel_llm.session(tags=[wrong], metadata={"key": wrong}),
]


@pytest.mark.parametrize("wrong", range(len(WRONG)))
def test_helpers_take_anything(spans: Any, wrong: int) -> None:
    """What cannot even be looked at, given to every argument of every helper: the block runs, and its span ends."""
    ran = 0
    for make in HELPERS:
        with make(WRONG[wrong]):
            ran += 1
    assert ran == len(HELPERS)
    assert len(spans.get_finished_spans()) == len(HELPERS) - 2  # a session is no span
    otel_llm.log_metrics(WRONG[wrong])
    otel_llm.log_metrics({"key": WRONG[wrong]})
    otel_llm.log_tokens(provider=WRONG[wrong], model=WRONG[wrong], input_tokens=WRONG[wrong])
    otel_llm.log_model_info(WRONG[wrong], parameter_count=WRONG[wrong])
    otel_llm.feedback(comment=WRONG[wrong], score=WRONG[wrong], label=WRONG[wrong], traceparent=WRONG[wrong])


def test_a_mocked_client_stays_a_mock(spans: Any) -> None:
    """A program's own tests: a mock that could be a stream comes back as it is, and the step ends."""
    client = MagicMock()

    @otel_llm.chat(provider="openai")
    def ask() -> Any:
        return client.chat.completions.create()

    assert ask() is client.chat.completions.create.return_value
    with otel_llm.chat(provider="openai") as call:
        assert call.stream(client.stream()) is client.stream.return_value
    assert [span.attributes[attr.OTEL_LLM_OUTCOME] for span in spans.get_finished_spans()] == ["ok", "ok"]


def test_documents_without_end_are_read_to_a_bound(spans: Any) -> None:
    """An iterable that never ends, a range of a billion and endless tags: the first ones are read, the rest is left."""
    with otel_llm.retrieval(source="s") as step, otel_llm.session(tags=map(str, itertools.count())):
        step.documents({"id": str(number)} for number in itertools.count())
    with otel_llm.retrieval(source="s") as step:
        step.documents(range(10**9))
    first, second = (span.attributes for span in spans.get_finished_spans())
    assert len(first[attr.OTEL_LLM_RETRIEVAL_DOCUMENT_IDS]) == MAX_DOCUMENTS
    assert second[attr.OTEL_LLM_RETRIEVAL_RETURNED_K] == 10**9


@pytest.mark.parametrize("error", [ValueError("own"), KeyboardInterrupt(), SystemExit(3), Rude])
def test_the_programs_exception_is_its_own(spans: Any, error: Any) -> None:
    """The very same exception comes out, also one that cannot be shown."""

    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise ValueError

    raised = Unspeakable() if error is Rude else error

    @otel_llm.chat(provider="p")
    def function() -> None:
        raise raised

    with pytest.raises(type(raised)) as caught:
        function()
    assert caught.value is raised
    [span] = spans.get_finished_spans()
    assert span.attributes[attr.OTEL_LLM_OUTCOME] == "error"


@pytest.mark.parametrize("thing", [int, 7, None, "text"])
def test_what_is_no_function_is_left_alone(spans: Any, thing: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A class, or nothing that can be called, comes back as it is, with one warning."""
    guard.forget()
    assert otel_llm.span("x")(thing) is thing
    assert otel_llm.span("x")(thing) is thing
    assert len(caplog.records) == 1


class Slow(SpanExporter):
    """An exporter that takes its time and then remembers."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def export(self, spans: Any) -> SpanExportResult:
        for span in spans:
            span.name.encode()  # as protobuf does: a lone surrogate cannot be written
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to end."""


def test_a_callback_that_blocks_holds_nobody_back() -> None:
    """A mask that never returns: the program runs on, and the end keeps its budget."""
    blocked = threading.Event()

    def never(text: str, key: str) -> str:
        blocked.wait(20)
        return text

    queue = SpanQueue(Slow, mask=never, flush_seconds=0.01)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    began = time.monotonic()
    for _ in range(50):
        with provider.get_tracer("t").start_as_current_span("work") as span:
            span.set_attribute(attr.GEN_AI_INPUT_MESSAGES, "text")
    assert time.monotonic() - began < 1
    queue.shutdown(200)
    assert time.monotonic() - began < 3
    blocked.set()


def test_a_span_that_cannot_be_written_does_not_take_others_with_it() -> None:
    """One bad name among ninety-nine: the others arrive, one is counted as dropped."""
    exporter = Slow()
    queue = SpanQueue(lambda: exporter, flush_seconds=5)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    for number in range(100):
        provider.get_tracer("t").start_span("\ud800" if number == 37 else f"good {number}").end()
    assert queue.force_flush(5000)
    assert len(exporter.names) == 99
    assert (queue.exported_spans, queue.dropped_spans) == (99, 1)
    queue.shutdown(100)
