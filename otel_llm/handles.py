"""What a step's `with` block gets: a typed handle to say what happened.

Handles never raise into the program: a value that cannot be read is left out and a warning says so once.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, TypeVar, overload

from opentelemetry.trace import Span
from otel_llm_semconv import attributes as attr

from otel_llm.content import Mode, as_json, record
from otel_llm.documents import MAX_DOCUMENTS, Document, count_of, read_documents
from otel_llm.guard import guarded, warn_once
from otel_llm.responses import Response, StreamReader, read_response
from otel_llm.streams import AsyncStream, Reading, Stream

Item = TypeVar("Item")


class Handle:
    """A running step. `span` is OpenTelemetry's own span, `content` the mode that this step records content in."""

    __slots__ = ("content", "span", "work")

    reads_arguments = False  # whether `called` looks at anything
    reading: Reading | None = None  # the stream that the block reads, where it reads one

    def __init__(self, span: Span, content: Mode) -> None:
        self.span = span
        self.content = content
        self.work: Any = None  # the measurement of a local model's step

    @guarded
    def set(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes of your own."""
        self.span.set_attributes(attributes)

    @guarded
    def attribute(self, key: str, value: Any) -> None:
        """Set one attribute; None is left out."""
        if value is not None:
            self.span.set_attribute(key, value)

    # The following are called by the machinery.

    def called(self, arguments: Mapping[str, Any]) -> None:
        """A decorated function is called with these arguments."""

    def is_stream(self, result: Any) -> bool:
        """Whether a function's result is still going on after it returned."""
        return is_stream(result)

    def read(self, result: Any) -> None:
        """A decorated function returned `result`."""

    def begin_stream(self) -> None:
        """The step hands over items one by one from now on."""

    def chunk(self, item: Any) -> None:
        """One item was handed over."""

    def finish(self) -> None:
        """The step is about to end."""


class ChatHandle(Handle):
    """A call to a model."""

    __slots__ = ("_began", "_chunks", "_first", "_last", "_stream", "reading")

    def __init__(self, span: Span, content: Mode) -> None:
        super().__init__(span, content)
        self._began = perf_counter()
        self._first = 0.0
        self._last = 0.0
        self._chunks = 0
        self._stream: StreamReader | None = None
        self.reading = None

    @overload
    def stream(self, chunks: AsyncIterable[Item]) -> AsyncStream[Item]: ...

    @overload
    def stream(self, chunks: Iterable[Item]) -> Stream[Item]: ...

    def stream(self, chunks: Any) -> Any:
        """Hand over a streamed answer chunk by chunk; time it, and read what its chunks say of usage and model.

            with otel_llm.chat(provider="openai", model="gpt-4o-mini") as call:
                for chunk in call.stream(client.chat.completions.create(..., stream=True)):
                    ...

        The step lasts as long as the block and the stream do: a stream that outlives the block (because it is returned,
        say) ends the step at its own end. A stream that is left early has the outcome `cancelled`. Whatever else the
        provider's stream can do, what is returned can too.
        """
        if is_mock(chunks):
            return chunks
        if hasattr(chunks, "__aiter__"):
            steps: Any = chunks if hasattr(chunks, "__anext__") else aiter(chunks)
            self.reading = Reading()
            return AsyncStream(steps, self.reading, self)
        if hasattr(chunks, "__iter__"):
            steps = chunks if hasattr(chunks, "__next__") else iter(chunks)
            self.reading = Reading()
            return Stream(steps, self.reading, self)
        warn_once(f"a stream is {type(chunks).__name__}, which is not iterable; it is given back as it is")
        return chunks

    @guarded
    def response(self, response: Any) -> Any:
        """Read model, id, finish reasons, tokens and text from a provider's response object or a dict of its shape.

        Understood: OpenAI (chat completions, responses, embeddings), Anthropic, Google, and what has their fields.
        Returns `response`.
        """
        self._write(read_response(response))
        return response

    @guarded
    def usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        estimated: bool = False,
    ) -> None:
        """Say the token counts: cached and written ones are part of the input, reasoning part of the output.

        `estimated` marks counts that are not the provider's.
        """
        self.attribute(attr.GEN_AI_USAGE_INPUT_TOKENS, input_tokens)
        self.attribute(attr.GEN_AI_USAGE_OUTPUT_TOKENS, output_tokens)
        self.attribute(attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, cached_tokens)
        self.attribute(attr.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS, cache_write_tokens)
        self.attribute(attr.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS, reasoning_tokens)
        if estimated:
            self.attribute(attr.OTEL_LLM_USAGE_ESTIMATED, True)

    @guarded
    def input(self, messages: str | Sequence[Mapping[str, Any]]) -> None:
        """Say what is sent to the model: a text, or messages with `role` and `content`; kept as content is."""
        if self.content != "off":
            record(self.span, attr.GEN_AI_INPUT_MESSAGES, _messages(messages, "user"), self.content)

    @guarded
    def output(self, messages: str | Sequence[Mapping[str, Any]]) -> None:
        """Say what the model answered; kept as content is."""
        if self.content != "off":
            record(self.span, attr.GEN_AI_OUTPUT_MESSAGES, _messages(messages, "assistant"), self.content)

    def _write(self, facts: Response) -> None:
        self.attribute(attr.GEN_AI_RESPONSE_MODEL, facts.model)
        self.attribute(attr.GEN_AI_RESPONSE_ID, facts.id)
        self.attribute(attr.GEN_AI_RESPONSE_FINISH_REASONS, facts.finish_reasons or None)
        self.attribute(attr.OPENAI_RESPONSE_SERVICE_TIER, facts.service_tier)
        self.usage(
            input_tokens=facts.input_tokens,
            output_tokens=facts.output_tokens,
            cached_tokens=facts.cached_tokens,
            cache_write_tokens=facts.cache_write_tokens,
            reasoning_tokens=facts.reasoning_tokens,
        )
        if facts.text:
            self.output(facts.text)

    reads_arguments = True

    def called(self, arguments: Mapping[str, Any]) -> None:
        """Take model and messages from arguments of those names."""
        model, messages = arguments.get("model"), arguments.get("messages")
        if isinstance(model, str):
            self.attribute(attr.GEN_AI_REQUEST_MODEL, model)
        if messages is not None:
            self.input(messages)

    def read(self, result: Any) -> None:
        """Read the response."""
        if isinstance(result, str):
            self.output(result)
        elif result is not None:
            self.response(result)

    def begin_stream(self) -> None:
        """Time the chunks from here."""
        self._stream = StreamReader(with_text=self.content != "off")
        self._chunks = 0
        self.attribute(attr.GEN_AI_REQUEST_STREAM, True)

    def chunk(self, item: Any) -> None:
        """Note the time; remember what chunks say of usage and model, to be read once at the end."""
        self._last = perf_counter()
        if not self._chunks:
            self._first = self._last
        self._chunks += 1
        if self._stream is not None:
            self._stream.take(item)

    @guarded
    def finish(self) -> None:
        """Write what the stream was like."""
        if not self._chunks:
            return
        self.span.set_attribute(attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK, self._first - self._began)
        self.span.set_attribute(attr.OTEL_LLM_STREAM_CHUNK_COUNT, self._chunks)
        if self._chunks > 1:
            per_chunk = (self._last - self._first) / (self._chunks - 1)
            self.span.set_attribute(attr.OTEL_LLM_STREAM_TIME_PER_CHUNK, per_chunk)
        if self._stream is not None:
            self._write(self._stream.result())


class RetrievalHandle(Handle):
    """A search."""

    @guarded
    def query(self, text: str) -> None:
        """Say what is searched for; kept as content is."""
        record(self.span, attr.GEN_AI_RETRIEVAL_QUERY_TEXT, text, self.content)

    @guarded
    def documents(self, documents: Iterable[Any]) -> None:
        """Say what was found, in order of rank: LangChain or LlamaIndex documents, dicts, (document, score), texts."""
        found = read_documents(documents)
        self.span.set_attribute(attr.OTEL_LLM_RETRIEVAL_RETURNED_K, count_of(documents, found))
        scores = [document.score for document in found if document.score is not None]
        if len(scores) == len(found):
            self.span.set_attribute(attr.OTEL_LLM_RETRIEVAL_SCORES, scores)
        ids = [document.id for document in found if document.id is not None]
        if ids and len(ids) == len(found):
            self.span.set_attribute(attr.OTEL_LLM_RETRIEVAL_DOCUMENT_IDS, ids)
        if self.content != "off":
            record(self.span, attr.GEN_AI_RETRIEVAL_DOCUMENTS, [_shown(one) for one in found], self.content)

    reads_arguments = True

    def called(self, arguments: Mapping[str, Any]) -> None:
        """Take query and k from arguments of the usual names."""
        query = next((arguments[name] for name in ("query", "question", "text") if name in arguments), None)
        if isinstance(query, str):
            self.query(query)
        k = next((arguments[name] for name in ("k", "top_k", "limit", "n_results") if name in arguments), None)
        if isinstance(k, int) and not isinstance(k, bool):
            self.attribute(attr.GEN_AI_RETRIEVAL_TOP_K, k)

    def read(self, result: Any) -> None:
        """Take the documents from a list, or from a dict with `documents`."""
        if isinstance(result, Mapping):
            result = result.get("documents")
        if isinstance(result, (list, tuple)):
            self.documents(result)


class RerankHandle(Handle):
    """A reordering of documents."""

    @guarded
    def before(self, documents: Iterable[Any]) -> None:
        """Say what came in, in its order."""
        found = read_documents(documents)
        self.span.set_attribute(attr.OTEL_LLM_RERANK_INPUT_COUNT, count_of(documents, found))
        self.span.set_attribute(attr.OTEL_LLM_RERANK_ORDER_BEFORE, [one.id or "" for one in found])

    @guarded
    def after(self, documents: Iterable[Any]) -> None:
        """Say what came out, best first."""
        found = read_documents(documents)
        self.span.set_attribute(attr.OTEL_LLM_RERANK_OUTPUT_COUNT, count_of(documents, found))
        self.span.set_attribute(attr.OTEL_LLM_RERANK_ORDER_AFTER, [one.id or "" for one in found])
        scores = [one.score for one in found if one.score is not None]
        if scores and len(scores) == len(found):
            self.span.set_attribute(attr.OTEL_LLM_RERANK_SCORES, scores)

    reads_arguments = True

    def called(self, arguments: Mapping[str, Any]) -> None:
        """Take what came in from an argument of the usual names."""
        came = next((arguments[name] for name in ("documents", "passages", "docs", "nodes") if name in arguments), None)
        if isinstance(came, (list, tuple)):
            self.before(came)

    def read(self, result: Any) -> None:
        """Take the documents from a returned list."""
        if isinstance(result, (list, tuple)):
            self.after(result)


class ContextHandle(Handle):
    """The building of a model's context."""

    @guarded
    def built(
        self, *, tokens: int, documents: int | None = None, truncated: bool | None = None, estimated: bool = False
    ) -> None:
        """Say how large it became; `estimated` when the tokens were not counted by the model's own tokenizer."""
        self.span.set_attribute(attr.OTEL_LLM_CONTEXT_TOKENS, tokens)
        self.span.set_attribute(attr.OTEL_LLM_CONTEXT_TOKEN_COUNT_ESTIMATED, estimated)
        self.attribute(attr.OTEL_LLM_CONTEXT_DOCUMENT_COUNT, documents)
        self.attribute(attr.OTEL_LLM_CONTEXT_TRUNCATED, truncated)


class QueryExpansionHandle(Handle):
    """The expansion of one query to several."""

    @guarded
    def queries(self, queries: Sequence[str]) -> None:
        """Say what the query became; the texts are kept as content is."""
        self.span.set_attribute(attr.OTEL_LLM_QUERY_EXPANSION_COUNT, len(queries))
        first = list(queries[:MAX_DOCUMENTS])
        record(self.span, attr.OTEL_LLM_QUERY_EXPANSION_QUERIES, first, self.content)

    def read(self, result: Any) -> None:
        """Take the queries from a returned list."""
        if isinstance(result, (list, tuple)) and all(isinstance(one, str) for one in result[:MAX_DOCUMENTS]):
            self.queries(result)


class ToolHandle(Handle):
    """A call of a tool."""

    @guarded
    def arguments(self, arguments: Any) -> None:
        """Say what the tool is called with; kept as content is."""
        record(self.span, attr.GEN_AI_TOOL_CALL_ARGUMENTS, arguments, self.content)

    @guarded
    def result(self, result: Any) -> None:
        """Say what the tool answered; kept as content is."""
        record(self.span, attr.GEN_AI_TOOL_CALL_RESULT, result, self.content)

    reads_arguments = True

    def called(self, arguments: Mapping[str, Any]) -> None:
        """Take the arguments of the call; what a method belongs to is none."""
        self.arguments({name: value for name, value in arguments.items() if name not in {"self", "cls"}})

    def read(self, result: Any) -> None:
        """Take the result of the call."""
        self.result(result)


def is_stream(thing: Any) -> bool:
    """Whether `thing` hands over its items one by one. What merely has an attribute of any name does not."""
    kind = type(thing)
    if hasattr(kind, "__iter__") and hasattr(thing, "__next__"):
        return not is_mock(thing)
    return hasattr(kind, "__aiter__") and hasattr(thing, "__anext__") and not is_mock(thing)


def is_mock(thing: Any) -> bool:
    """Whether `thing` stands for something in a test of the program's: it can do everything, and is no stream."""
    mock = sys.modules.get("unittest.mock")
    return mock is not None and issubclass(type(thing), mock.NonCallableMock)


def _messages(messages: str | Sequence[Mapping[str, Any]], role: str) -> list[dict[str, Any]]:
    """Messages in the conventions' shape: a role and parts."""
    if isinstance(messages, str):
        return [{"role": role, "parts": [{"type": "text", "content": messages}]}]
    shaped = []
    for message in messages:
        if "parts" in message:
            shaped.append(dict(message))
            continue
        said = message.get("content")
        text = said if isinstance(said, str) else as_json(said, None)
        shaped.append({"role": message.get("role", role), "parts": [{"type": "text", "content": text}]})
    return shaped


def _shown(document: Document) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": document.id, "score": document.score}
    return {**shown, "content": document.text} if document.text else shown
