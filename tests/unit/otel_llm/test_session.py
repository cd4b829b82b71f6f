"""A session reaches everything inside its block, nothing after it, and other services only as far as it may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from otel_llm_semconv import attributes as attr

import otel_llm
from otel_llm import threads as context_in_threads
from otel_llm.session_baggage import SessionPropagator
from otel_llm.sessions import KEY, attributes_of


@pytest.fixture
def threads() -> Iterator[None]:
    """Threads and executors take the context with them, as after `configure`."""
    context_in_threads.instrument()
    yield
    context_in_threads.undo()


def users(spans: Any) -> dict[str, Any]:
    """The user of each finished span, by its name."""
    return {span.name: span.attributes.get(attr.USER_ID) for span in spans.get_finished_spans()}


def work(name: str) -> None:
    with otel_llm.span(name):
        pass


def test_every_key_is_on_spans_of_the_block_and_on_none_after_it(spans: Any) -> None:
    """User, session, conversation, tags and metadata are there; the next span of the thread has none of them."""
    with otel_llm.session(
        user_id="u", session_id="s", conversation_id="c", tags=["beta", "eu"], metadata={"plan": "free", "seats": 3}
    ):
        work("inside")
    work("after")
    inside, after = spans.get_finished_spans()
    assert {key: value for key, value in inside.attributes.items() if key != attr.OTEL_LLM_OUTCOME} == {
        attr.USER_ID: "u",
        attr.SESSION_ID: "s",
        attr.GEN_AI_CONVERSATION_ID: "c",
        attr.OTEL_LLM_TAGS: ("beta", "eu"),
        f"{attr.OTEL_LLM_METADATA}.plan": "free",
        f"{attr.OTEL_LLM_METADATA}.seats": 3,
    }
    assert set(after.attributes) == {attr.OTEL_LLM_OUTCOME}


def test_a_conversation_is_never_invented_and_a_steps_own_wins(spans: Any) -> None:
    """No conversation id without one; the one that a call names stays."""
    with otel_llm.session(user_id="u"), otel_llm.chat(provider="openai"):
        pass
    with otel_llm.session(conversation_id="c"), otel_llm.chat(provider="openai", conversation_id="mine"):
        pass
    first, second = spans.get_finished_spans()
    assert attr.GEN_AI_CONVERSATION_ID not in first.attributes
    assert second.attributes[attr.GEN_AI_CONVERSATION_ID] == "mine"


def test_scopes_nest(spans: Any) -> None:
    """An inner scope changes what it names, adds its tags, and gives the rest back at its end."""
    with otel_llm.session(user_id="u", session_id="s", tags=["a"]):
        with otel_llm.session(user_id="v", tags=["b"]):
            work("inner")
        work("outer")
    inner, outer = spans.get_finished_spans()
    assert (inner.attributes[attr.USER_ID], inner.attributes[attr.SESSION_ID]) == ("v", "s")
    assert inner.attributes[attr.OTEL_LLM_TAGS] == ("a", "b")
    assert (outer.attributes[attr.USER_ID], outer.attributes[attr.OTEL_LLM_TAGS]) == ("u", ("a",))


def test_threads_and_executors_are_inside(spans: Any, threads: None) -> None:
    """A thread, a pool and a loop's executor started in the block: parallel retrieval keeps its user."""
    with ThreadPoolExecutor() as pool, otel_llm.session(user_id="u"):
        thread = threading.Thread(target=work, args=("thread",))
        thread.start()
        thread.join()
        pool.submit(work, "pool").result()

        async def in_executor() -> None:
            await asyncio.get_running_loop().run_in_executor(None, work, "executor")

        asyncio.run(in_executor())
    pool_after = ThreadPoolExecutor()
    pool_after.submit(work, "after").result()
    pool_after.shutdown()
    assert users(spans) == {"thread": "u", "pool": "u", "executor": "u", "after": None}


def test_concurrent_tasks_do_not_mix(spans: Any) -> None:
    """Two tasks in sessions of their own, at the same time, through one scope object each and through a shared one."""
    shared = otel_llm.session(tags=["shared"])

    async def one(user: str) -> None:
        async with otel_llm.session(user_id=user):
            with shared:
                await asyncio.sleep(0.002)
                with otel_llm.span(f"of {user}"):
                    await asyncio.sleep(0.002)
            work(f"later {user}")

    async def both() -> None:
        await asyncio.gather(one("u"), one("v"))

    asyncio.run(both())
    assert users(spans) == {"of u": "u", "of v": "v", "later u": "u", "later v": "v"}
    tagged = {span.name for span in spans.get_finished_spans() if attr.OTEL_LLM_TAGS in span.attributes}
    assert tagged == {"of u", "of v"}


def test_spans_of_others_are_inside(spans: Any) -> None:
    """A span that an instrumentation of another library starts has the user too."""
    with otel_llm.session(user_id="u"):
        trace.get_tracer("somebody").start_span("GET").end()
    assert users(spans) == {"GET": "u"}


def test_as_a_decorator(spans: Any) -> None:
    """Functions and coroutines, each call in the scope."""

    @otel_llm.session(user_id="u")
    def function() -> None:
        work("function")

    @otel_llm.session(user_id="v")
    async def coroutine() -> None:
        work("coroutine")

    function()
    asyncio.run(coroutine())
    assert users(spans) == {"function": "u", "coroutine": "v"}


def test_wrong_types_are_left_out_with_one_warning_each(spans: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing given to `session` raises into the program."""
    for _ in range(3):
        with otel_llm.session(user_id=object(), tags=7, metadata=["no"], session_id=5):  # type: ignore[arg-type]
            work("inside")
    assert spans.get_finished_spans()[0].attributes[attr.SESSION_ID] == "5"
    assert len([one for one in caplog.records if "session:" in one.getMessage()]) == 3


def headers(propagator: SessionPropagator, **attributes: str) -> dict[str, str]:
    """The headers for a request whose client span has these attributes."""
    carrier: dict[str, str] = {}
    named = {key.replace("_", "."): value for key, value in attributes.items()}
    with trace.get_tracer("http").start_as_current_span("GET", attributes=named):
        propagator.inject(carrier)
    return carrier


def test_other_services_get_chosen_keys_if_their_host_is_chosen(spans: Any) -> None:
    """Only allow-listed keys, only to allow-listed hosts; a host that is not known gets nothing."""
    propagator = SessionPropagator([attr.SESSION_ID, attr.OTEL_LLM_TAGS], ["rag.internal", "*.svc.local"])
    with otel_llm.session(user_id="secret", session_id="s 1", tags=["a", "b"]):
        sent = headers(propagator, server_address="rag.internal")
        assert sent == {"baggage": "session.id=s+1,otel_llm.tags=a%2Cb"}
        assert headers(propagator, url_full="https://search.svc.local:9200/x") == sent
        assert headers(propagator, server_address="api.openai.com") == {}
        assert headers(propagator) == {}
    assert headers(propagator, server_address="rag.internal") == {}

    received = attributes_of(propagator.extract({"baggage": sent["baggage"] + ",user.id=forged"}))
    assert received == {attr.SESSION_ID: "s 1", attr.OTEL_LLM_TAGS: ("a", "b")}


def test_the_programs_own_baggage_stays(spans: Any) -> None:
    """What the program put into its baggage is sent along with the session."""
    propagator = SessionPropagator([attr.SESSION_ID], ["rag.internal"])
    context = baggage.set_baggage("own", "1")
    carrier: dict[str, str] = {}
    with otel_llm.session(session_id="s"):
        span = trace.get_tracer("http").start_span("GET", attributes={"server.address": "rag.internal"})
        within = context_api.set_value(KEY, attributes_of(), trace.set_span_in_context(span, context))
        propagator.inject(carrier, within)
    assert carrier == {"baggage": "own=1,session.id=s"}
