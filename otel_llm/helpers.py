"""The helpers: each makes a `Step`, to be used as `with helper(...) as handle:` or as `@helper(...)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span, SpanKind
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import GenAiOperationName as Operation
from otel_llm_semconv.enums import OtelLlmOperationName as OurOperation

from otel_llm.content import Mode
from otel_llm.guard import text_of
from otel_llm.handles import (
    ChatHandle,
    ContextHandle,
    Handle,
    QueryExpansionHandle,
    RerankHandle,
    RetrievalHandle,
    ToolHandle,
)
from otel_llm.local_work import measured
from otel_llm.one_span import EMBEDDING, INFERENCE, RETRIEVAL
from otel_llm.steps import Step


def chat(
    *,
    provider: str,
    model: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    conversation_id: str | None = None,
    local: bool = False,
    content: Mode | None = None,
) -> Step[ChatHandle]:
    """One call to a chat model.

    Args:
        provider: Whose API is called, for example `openai`, `anthropic`, `aws.bedrock`, `gcp.gemini`.
        model: The model asked for; a decorated function's `model` argument counts too.
        temperature: Sampling temperature, when given.
        max_tokens: Most tokens of the answer, when given.
        conversation_id: The conversation, when there is one. It is never invented.
        local: The model runs in this process; with `watch_hardware` the span says what it used of the GPUs.
        content: What is recorded of this call's texts, when it is not what `configure` says.
    """
    return Step(
        _title(Operation.CHAT, model),
        measured(ChatHandle) if local else ChatHandle,
        SpanKind.INTERNAL if local else SpanKind.CLIENT,
        {
            attr.GEN_AI_OPERATION_NAME: Operation.CHAT.value,
            attr.GEN_AI_PROVIDER_NAME: provider,
            attr.GEN_AI_REQUEST_MODEL: model,
            attr.GEN_AI_REQUEST_TEMPERATURE: temperature,
            attr.GEN_AI_REQUEST_MAX_TOKENS: max_tokens,
            attr.GEN_AI_CONVERSATION_ID: conversation_id,
        },
        meeting=INFERENCE,
        content=content,
    )


llm = chat


def embedding(
    *,
    provider: str,
    model: str | None = None,
    dimensions: int | None = None,
    local: bool = False,
    content: Mode | None = None,
) -> Step[ChatHandle]:
    """One call that turns texts into vectors of `dimensions` numbers; `local` and `content` as for `chat`."""
    return Step(
        _title(Operation.EMBEDDINGS, model),
        measured(ChatHandle) if local else ChatHandle,
        SpanKind.INTERNAL if local else SpanKind.CLIENT,
        {
            attr.GEN_AI_OPERATION_NAME: Operation.EMBEDDINGS.value,
            attr.GEN_AI_PROVIDER_NAME: provider,
            attr.GEN_AI_REQUEST_MODEL: model,
            attr.GEN_AI_EMBEDDINGS_DIMENSION_COUNT: dimensions,
        },
        meeting=EMBEDDING,
        content=content,
    )


def retrieval(
    *, source: str, k: int | None = None, query: str | None = None, content: Mode | None = None
) -> Step[RetrievalHandle]:
    """One search.

    Args:
        source: What is searched: an index, a collection, a table; few different values.
        k: How many documents are asked for.
        query: What is searched for; kept as content is.
        content: What is recorded of this step's texts, when it is not what `configure` says.
    """

    def handle(span: Span, mode: Mode) -> RetrievalHandle:
        made = RetrievalHandle(span, mode)
        if query is not None:
            made.query(query)
        return made

    return Step(
        _title(Operation.RETRIEVAL, source),
        handle,
        SpanKind.CLIENT,
        {
            attr.GEN_AI_OPERATION_NAME: Operation.RETRIEVAL.value,
            attr.GEN_AI_DATA_SOURCE_ID: source,
            attr.OTEL_LLM_RETRIEVAL_SOURCE: source,
            attr.GEN_AI_RETRIEVAL_TOP_K: k,
        },
        meeting=RETRIEVAL,
        content=content,
    )


def rerank(
    *, model: str | None = None, provider: str | None = None, top_n: int | None = None, local: bool = False
) -> Step[RerankHandle]:
    """One reordering of documents, of which the best `top_n` are kept; `local` as for `chat`."""
    return _ours(
        OurOperation.RERANK,
        measured(RerankHandle) if local else RerankHandle,
        {attr.GEN_AI_REQUEST_MODEL: model, attr.GEN_AI_PROVIDER_NAME: provider, attr.OTEL_LLM_RERANK_TOP_N: top_n},
    )


def build_context(*, max_tokens: int | None = None) -> Step[ContextHandle]:
    """The building of a model's context from documents, within `max_tokens`."""
    return _ours(OurOperation.BUILD_CONTEXT, ContextHandle, {attr.OTEL_LLM_CONTEXT_MAX_TOKENS: max_tokens})


def query_expansion(*, content: Mode | None = None) -> Step[QueryExpansionHandle]:
    """The expansion of one query to several."""
    return _ours(OurOperation.QUERY_EXPANSION, QueryExpansionHandle, {}, content=content)


def data_processing(name: str | None = None, *, items: int | None = None) -> Step[Handle]:
    """A step that prepares data, such as chunking or ingestion of `items` items."""
    return _ours(OurOperation.DATA_PROCESSING, Handle, {attr.OTEL_LLM_DATA_ITEM_COUNT: items}, name)


def workflow(name: str, *, conversation_id: str | None = None) -> Step[Handle]:
    """A whole answer, or another chain of steps; `name` has few different values."""
    return Step(
        _title(Operation.INVOKE_WORKFLOW, name),
        Handle,
        SpanKind.INTERNAL,
        {
            attr.GEN_AI_OPERATION_NAME: Operation.INVOKE_WORKFLOW.value,
            attr.GEN_AI_WORKFLOW_NAME: name,
            attr.GEN_AI_CONVERSATION_ID: conversation_id,
        },
    )


def agent(name: str, *, provider: str | None = None, model: str | None = None) -> Step[Handle]:
    """One run of an agent in this process."""
    return Step(
        _title(Operation.INVOKE_AGENT, name),
        Handle,
        SpanKind.INTERNAL,
        {
            attr.GEN_AI_OPERATION_NAME: Operation.INVOKE_AGENT.value,
            attr.GEN_AI_AGENT_NAME: name,
            attr.GEN_AI_PROVIDER_NAME: provider,
            attr.GEN_AI_REQUEST_MODEL: model,
        },
    )


def tool(name: str, *, call_id: str | None = None, content: Mode | None = None) -> Step[ToolHandle]:
    """One call of a tool; `call_id` is the model's id of the call."""
    return Step(
        _title(Operation.EXECUTE_TOOL, name),
        ToolHandle,
        SpanKind.INTERNAL,
        {
            attr.GEN_AI_OPERATION_NAME: Operation.EXECUTE_TOOL.value,
            attr.GEN_AI_TOOL_NAME: name,
            attr.GEN_AI_TOOL_CALL_ID: call_id,
        },
        content=content,
    )


def span(name: str | None = None, *, attributes: Mapping[str, Any] | None = None) -> Step[Handle]:
    """Any other piece of work; a decorated function gives its name when there is none."""
    return Step(name, Handle, SpanKind.INTERNAL, {} if attributes is None else attributes)


def _ours(
    operation: OurOperation,
    handle: Any,
    attributes: dict[str, Any],
    name: str | None = None,
    content: Mode | None = None,
) -> Step[Any]:
    """A RAG step that OpenTelemetry has no operation name for."""
    attributes = {attr.OTEL_LLM_OPERATION_NAME: operation.value, **attributes}
    return Step(_title(operation, name), handle, SpanKind.INTERNAL, attributes, content=content)


def _title(operation: Operation | OurOperation, name: object) -> str:
    """A span's name: what is done, and to what where that is known."""
    text = "" if name is None else text_of(name)
    return f"{operation.value} {text}" if text else operation.value
