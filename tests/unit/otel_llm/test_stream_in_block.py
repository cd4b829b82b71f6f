"""`with otel_llm.chat(...) as call:` and `for chunk in call.stream(...)`: one span, right however the stream ends."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, Self

import pytest
from opentelemetry import trace
from otel_llm_semconv import attributes as attr

import otel_llm

CHUNKS = [
    SimpleNamespace(model="m-1", usage=None, choices=[SimpleNamespace(delta=None, finish_reason=None)]),
    SimpleNamespace(model="m-1", usage=None, choices=[SimpleNamespace(delta=None, finish_reason="stop")]),
    SimpleNamespace(model="m-1", choices=[], usage=SimpleNamespace(prompt_tokens=9, completion_tokens=2)),
]


class Provider:
    """A client's stream: iterable, closable, with something of its own."""

    response = "raw"

    def __init__(self, *, fail: bool = False) -> None:
        self._chunks = iter(CHUNKS)
        self._fail = fail
        self.closed = False
        self.seen: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.seen.append(trace.get_current_span())
        if self._fail and len(self.seen) == 2:
            raise ConnectionError("cut")
        return next(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True


class AsyncProvider:
    """The same for an asynchronous client."""

    def __init__(self, *, fail: bool = False, hang: bool = False) -> None:
        self._inner = Provider(fail=fail)
        self._hang = hang

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await asyncio.sleep(0)
        if self._hang and self._inner.seen:
            await asyncio.sleep(60)
        try:
            return next(self._inner)
        except StopIteration:
            raise StopAsyncIteration from None


@pytest.fixture
def call() -> Any:
    """A chat step."""
    return otel_llm.chat(provider="p", model="m")


def only(spans: Any) -> dict[str, Any]:
    """The attributes of the one finished span."""
    [span] = spans.get_finished_spans()
    assert span.status.is_ok or span.attributes[attr.OTEL_LLM_OUTCOME] == "error"
    return dict(span.attributes)


def whole(said: dict[str, Any]) -> None:
    """What a stream that was read to its end says."""
    assert said[attr.OTEL_LLM_OUTCOME] == "ok"
    assert said[attr.GEN_AI_REQUEST_STREAM] is True
    assert said[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == 3
    assert said[attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] > 0
    assert said[attr.OTEL_LLM_STREAM_TIME_PER_CHUNK] > 0
    assert (said[attr.GEN_AI_USAGE_INPUT_TOKENS], said[attr.GEN_AI_USAGE_OUTPUT_TOKENS]) == (9, 2)
    assert said[attr.GEN_AI_RESPONSE_MODEL] == "m-1"
    assert said[attr.GEN_AI_RESPONSE_FINISH_REASONS] == ("stop",)


def test_read_to_its_end(spans: Any, call: Any) -> None:
    """Every chunk is the caller's, the steps of the stream see the span, which ends with the block."""
    provider = Provider()
    with call as step:
        stream = step.stream(provider)
        assert stream.response == "raw"
        assert list(stream) == CHUNKS
        assert spans.get_finished_spans() == ()
        assert trace.get_current_span() is step.span
    assert set(provider.seen) == {step.span}
    whole(only(spans))


def test_read_to_its_end_async(spans: Any, call: Any) -> None:
    """The same with an asynchronous client, in `async with` and in `with`."""

    async def read(*, plain: bool) -> None:
        if plain:
            with call as step:
                assert [chunk async for chunk in step.stream(AsyncProvider())] == CHUNKS
        else:
            async with call as step:
                assert [chunk async for chunk in step.stream(AsyncProvider())] == CHUNKS

    for plain in (True, False):
        spans.clear()
        asyncio.run(read(plain=plain))
        whole(only(spans))


@pytest.mark.parametrize("kept", [True, False], ids=["kept in a variable", "thrown away"])
def test_left_early(spans: Any, call: Any, *, kept: bool) -> None:
    """A `break` is `cancelled`, no error: at the block's end, or when the variable goes."""

    def read() -> None:
        with call as step:
            stream = step.stream(Provider())
            chunks = iter(stream)
            if not kept:
                del stream
            for _ in chunks:
                break
            del chunks
            assert spans.get_finished_spans() == ()

    read()
    gc.collect()
    said = only(spans)
    assert said[attr.OTEL_LLM_OUTCOME] == "cancelled"
    assert said[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == 1


def test_left_early_async(spans: Any, call: Any) -> None:
    """A `break` out of `async for`, and a task that is cancelled while it waits for a chunk."""

    async def read() -> None:
        async with call as step:
            async for _ in step.stream(AsyncProvider()):
                break

    async def wait() -> None:
        async with call as step:
            async for _ in step.stream(AsyncProvider(hang=True)):
                pass

    async def cancel() -> None:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    for work in (read, cancel):
        spans.clear()
        asyncio.run(work())
        said = only(spans)
        assert said[attr.OTEL_LLM_OUTCOME] == "cancelled"
        assert said[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == 1


@pytest.mark.parametrize("caught", [True, False], ids=["caught in the block", "not caught"])
def test_cut_in_the_middle(spans: Any, call: Any, *, caught: bool) -> None:
    """The provider's error is the program's as it was and the span's; also where the block catches it."""

    def read() -> None:
        with call as step:
            try:
                for _ in step.stream(Provider(fail=True)):
                    pass
            except ConnectionError:
                if not caught:
                    raise

    if caught:
        read()
    else:
        with pytest.raises(ConnectionError, match="cut"):
            read()
    said = only(spans)
    assert said[attr.OTEL_LLM_OUTCOME] == "error"
    assert said[attr.ERROR_TYPE] == "ConnectionError"
    assert said[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == 1


def test_cut_in_the_middle_async(spans: Any, call: Any) -> None:
    """The same with an asynchronous client."""

    async def read() -> None:
        async with call as step:
            async for _ in step.stream(AsyncProvider(fail=True)):
                pass

    with pytest.raises(ConnectionError, match="cut"):
        asyncio.run(read())
    assert only(spans)[attr.ERROR_TYPE] == "ConnectionError"


def test_an_error_of_the_block_itself(spans: Any, call: Any) -> None:
    """It ends the step at once, and what becomes of the stream afterwards changes nothing."""

    def read(streams: list[Any]) -> None:
        with call as step:
            streams.append(step.stream(Provider()))
            next(streams[0])
            raise LookupError("mine")

    streams: list[Any] = []
    with pytest.raises(LookupError, match="mine"):
        read(streams)
    assert only(spans)[attr.ERROR_TYPE] == "LookupError"
    assert len(list(streams[0])) == 2
    assert only(spans)[attr.OTEL_LLM_STREAM_CHUNK_COUNT] == 1


def test_a_stream_that_outlives_its_block(spans: Any, call: Any) -> None:
    """An answer that is returned and read elsewhere: its step has the whole, and the reader does not see its span."""

    def answer() -> Any:
        with call as step:
            return step.stream(Provider())

    with otel_llm.workflow("web") as web:
        stream = answer()
        assert spans.get_finished_spans() == ()
        for _ in stream:
            assert trace.get_current_span() is web.span
        [span] = spans.get_finished_spans()
        assert span.parent.span_id == web.span.get_span_context().span_id
        whole(dict(span.attributes))


def test_the_streams_own_context_manager(spans: Any, call: Any) -> None:
    """`with call.stream(...) as stream` closes the provider's stream; leaving it early is `cancelled`."""
    provider = Provider()
    with call as step, step.stream(provider) as stream:
        next(stream)
    assert provider.closed
    assert only(spans)[attr.OTEL_LLM_OUTCOME] == "cancelled"


def test_a_second_attempt(spans: Any, call: Any) -> None:
    """After a stream that failed and was caught, the one that worked is what the step says."""
    with call as step:
        with pytest.raises(ConnectionError):
            list(step.stream(Provider(fail=True)))
        list(step.stream(Provider()))
    whole(only(spans))


def test_what_is_no_stream(spans: Any, call: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A list is read as one; what cannot be iterated is given back, with one warning; the block's result is ok."""
    with call as step:
        assert list(step.stream(CHUNKS)) == CHUNKS
    whole(only(spans))
    spans.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with call as step:
                assert step.stream(None) is None
    assert [one.attributes[attr.OTEL_LLM_OUTCOME] for one in spans.get_finished_spans()] == ["ok", "ok"]
    assert len(caplog.records) == 1
