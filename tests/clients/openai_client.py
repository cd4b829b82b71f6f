"""The `openai` client, whichever version is installed, against the local model, under the official instrumentation.

Sync, async, streamed, with tools, embeddings, raw responses; alone and inside our own helpers, where one call must be
one span with its tokens counted once; and from threads, tasks and executors.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
from clients import CONTEXT, MESSAGES, QUESTION, Collected, check, local_model, serving
from opentelemetry import trace
from otel_llm_semconv import attributes as attr

import otel_llm

MODEL = "gpt-4o-mini"
TOOL = {
    "type": "function",
    "function": {"name": "lookup", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}


def one_call(spans: list[Any], usage: Any, name: str = f"chat {MODEL}") -> dict[str, Any]:
    """The attributes of the one span of a call; its tokens are those of the response."""
    check([span.name for span in spans], [name])
    found = dict(spans[0].attributes)
    check(found.get(attr.GEN_AI_USAGE_INPUT_TOKENS), usage.prompt_tokens)
    if getattr(usage, "completion_tokens", None) is not None:
        check(found.get(attr.GEN_AI_USAGE_OUTPUT_TOKENS), usage.completion_tokens)
    check(attr.ERROR_TYPE in found, right=False)
    return found


def sync_calls(client: openai.OpenAI, collected: Collected) -> None:
    """One span each, by the official instrumentation."""
    answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    found = one_call(collected.take(), answer.usage)
    check(found[attr.GEN_AI_RESPONSE_MODEL], answer.model)
    check("4317" in (answer.choices[0].message.content or ""), right=True)
    stream = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    one_call(collected.take(), chunks[-1].usage)
    vectors = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    one_call(collected.take(), vectors.usage, "embeddings text-embedding-3-small")
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
    one_call(collected.take(), raw.parse().usage)


def tools(client: openai.OpenAI, collected: Collected) -> None:
    """The model asks for a tool, the tool runs, the model answers: chat, execute_tool, chat below one agent."""
    messages: list[Any] = [{"role": "user", "content": "What is Jaeger?"}]
    with otel_llm.agent("helper"):
        first = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
        call = first.choices[0].message.tool_calls[0]
        with otel_llm.tool(call.function.name, call_id=call.id) as step:
            result = "Jaeger shows traces in a browser."
            step.result(result)
        messages += [
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": result},
        ]
        second = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
    check(second.choices[0].message.content, result)
    spans = collected.take()
    check(
        [span.name for span in spans], [f"chat {MODEL}", "execute_tool lookup", f"chat {MODEL}", "invoke_agent helper"]
    )
    agent = spans[-1]
    check({span.parent.span_id for span in spans[:-1]}, {agent.context.span_id})
    check(spans[0].attributes[attr.GEN_AI_RESPONSE_FINISH_REASONS], ("tool_calls",))


def inside_our_helpers(client: openai.OpenAI, collected: Collected) -> None:
    """Our span and the official one are one span, with the tokens of the response, streamed and raw calls too."""
    with otel_llm.chat(provider="openai", model=MODEL):
        answer = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    one_call(collected.take(), answer.usage)

    @otel_llm.chat(provider="openai", model=MODEL)
    def streamed() -> Any:
        return client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )

    chunks = list(streamed())
    found = one_call(collected.take(), chunks[-1].usage)
    check(found[attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] > 0, right=True)
    with otel_llm.chat(provider="openai", model=MODEL) as call:
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
        call.response(raw.parse())
    one_call(collected.take(), raw.parse().usage)


STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


def read_in_a_block(client: openai.OpenAI, collected: Collected) -> None:
    """`call.stream` in a block around the client: one span with the response's tokens; raw streams, which the official
    instrumentation does not see, are read as well; a stream that nobody reads ends with its block.
    """
    with otel_llm.chat(provider="openai", model=MODEL) as call:
        chunks = list(call.stream(client.chat.completions.create(model=MODEL, messages=MESSAGES, **STREAMED)))
    found = one_call(collected.take(), chunks[-1].usage)
    check(found[attr.OTEL_LLM_STREAM_CHUNK_COUNT], len(chunks))
    check(found[attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK] > 0, right=True)
    with otel_llm.chat(provider="openai", model=MODEL) as call:
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, **STREAMED)
        chunks = list(call.stream(raw.parse()))
    found = one_call(collected.take(), chunks[-1].usage)
    check(found[attr.OTEL_LLM_STREAM_CHUNK_COUNT], len(chunks))
    with otel_llm.chat(provider="openai", model=MODEL) as call:
        call.stream(client.chat.completions.create(model=MODEL, messages=MESSAGES, **STREAMED))
    [span] = collected.take()
    check(span.attributes[attr.OTEL_LLM_OUTCOME], "cancelled")


def stopped_early(client: openai.OpenAI, collected: Collected) -> None:
    """A caller's break is no error of our step, and its span ends once."""

    @otel_llm.chat(provider="openai", model=MODEL)
    def streamed() -> Any:
        return client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)

    stream = streamed()
    next(stream)
    stream.close()
    spans = [span for span in collected.take() if span.attributes.get(attr.OTEL_LLM_OUTCOME)]
    check([span.attributes[attr.OTEL_LLM_OUTCOME] for span in spans], ["cancelled"])
    check(trace.get_current_span().get_span_context().is_valid, right=False)


def stopped_early_outside_of_ours(client: openai.OpenAI, collected: Collected) -> None:
    """The official instrumentation alone: a stream that is left, not read at all, or closed is no error."""
    for read, closed in ((1, False), (0, False), (1, True)):
        stream: Any = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        for _ in range(read):
            next(stream)
        if closed:
            stream.close()
        del stream
        [span] = collected.take()
        check((span.status.is_ok, attr.ERROR_TYPE in span.attributes), (True, False))
        check(span.attributes.get(attr.OTEL_LLM_OUTCOME), None if closed else "cancelled")


def errors(client: openai.OpenAI, collected: Collected) -> None:
    """The client's exception passes and is on the span, and on the step around it."""
    try:
        with otel_llm.workflow("fails"):
            client.chat.completions.create(model="nobody", messages=MESSAGES)
    except openai.BadRequestError:
        pass
    else:
        raise AssertionError("the error was swallowed")
    spans = {span.name: span for span in collected.take()}
    for span in spans.values():
        check("BadRequestError" in span.attributes[attr.ERROR_TYPE], right=True)
    check(len(spans), 2)


def rate_limited(_: openai.OpenAI, collected: Collected) -> None:
    """A stream that is refused with 429 raises where it is asked for, and its span says so."""
    with serving(local_model(rate_limited=1)) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0)
        try:
            client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        except openai.RateLimitError:
            pass
        else:
            raise AssertionError("the error was swallowed")
    [span] = collected.take()
    check(span.attributes[attr.ERROR_TYPE], "openai.RateLimitError")
    check(span.status.is_ok, right=False)


def many_at_once(client: openai.OpenAI, collected: Collected) -> None:
    """Calls from a pool, from a thread and in tasks are children of the step that started them."""
    with otel_llm.workflow("threads"), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.chat.completions.create(model=MODEL, messages=MESSAGES), range(4)))
        thread = threading.Thread(target=client.chat.completions.create, kwargs={"model": MODEL, "messages": MESSAGES})
        thread.start()
        thread.join()
    *calls, workflow = collected.take()
    check(len(calls), 5)
    check({span.parent.span_id for span in calls}, {workflow.context.span_id})


async def asynchronous(base_url: str, collected: Collected) -> None:
    """The async client: whole, streamed, gathered, in an executor, and cancelled."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key="x", max_retries=0) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
        one_call(collected.take(), answer.usage)
        stream = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        one_call(collected.take(), chunks[-1].usage)
        async with otel_llm.workflow("gathered"):
            calls = [client.chat.completions.create(model=MODEL, messages=MESSAGES) for _ in range(4)]
            await asyncio.gather(*calls)
            sync = openai.OpenAI(base_url=base_url, api_key="x")
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, lambda: sync.chat.completions.create(model=MODEL, messages=MESSAGES))
        *children, workflow = collected.take()
        check(len(children), 5)
        check({span.parent.span_id for span in children}, {workflow.context.span_id})

        @otel_llm.chat(provider="openai", model=MODEL)
        async def ask() -> Any:
            return await client.chat.completions.create(model=MODEL, messages=MESSAGES)

        await ask()
        check(len(collected.take()), 1)
        async with otel_llm.chat(provider="openai", model=MODEL) as call:
            stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, **STREAMED)
            chunks = [chunk async for chunk in call.stream(stream)]
        found = one_call(collected.take(), chunks[-1].usage)
        check(found[attr.OTEL_LLM_STREAM_CHUNK_COUNT], len(chunks))
        task = asyncio.create_task(ask())
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        cancelled = [span for span in collected.take() if span.attributes.get(attr.OTEL_LLM_OUTCOME)]
        check([span.attributes[attr.OTEL_LLM_OUTCOME] for span in cancelled], ["cancelled"])
    check(trace.get_current_span().get_span_context().is_valid, right=False)


def main() -> None:
    """Everything, one after the other."""
    with Collected() as collected, serving(local_model()) as address:
        handle = otel_llm.configure(service_name="clients")
        check(handle.instrumented["openai"].startswith("instrumented"), right=True)
        base_url = f"{address}/v1"
        client = openai.OpenAI(base_url=base_url, api_key="x", max_retries=0)
        for scenario in (
            sync_calls,
            tools,
            inside_our_helpers,
            read_in_a_block,
            stopped_early,
            stopped_early_outside_of_ours,
            errors,
            rate_limited,
            many_at_once,
        ):
            scenario(client, collected)
            collected.take()
        asyncio.run(asynchronous(base_url, collected))
    check(bool(QUESTION and CONTEXT), right=True)


if __name__ == "__main__":
    main()
