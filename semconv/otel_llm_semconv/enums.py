"""Well-known attribute values.

Generated from the registry by `make generate`; edit `registry/*.yaml` instead.
"""

from __future__ import annotations

from enum import StrEnum


class GenAiOperationName(StrEnum):
    """gen_ai.operation.name: What kind of GenAI operation the span is."""

    CHAT = "chat"
    GENERATE_CONTENT = "generate_content"
    TEXT_COMPLETION = "text_completion"
    EMBEDDINGS = "embeddings"
    RETRIEVAL = "retrieval"
    FETCH_RESPONSE = "fetch_response"
    CREATE_AGENT = "create_agent"
    INVOKE_AGENT = "invoke_agent"
    EXECUTE_TOOL = "execute_tool"
    INVOKE_WORKFLOW = "invoke_workflow"
    PLAN = "plan"
    SEARCH_MEMORY = "search_memory"
    CREATE_MEMORY = "create_memory"
    UPDATE_MEMORY = "update_memory"
    UPSERT_MEMORY = "upsert_memory"
    DELETE_MEMORY = "delete_memory"
    CREATE_MEMORY_STORE = "create_memory_store"
    DELETE_MEMORY_STORE = "delete_memory_store"


class GenAiOutputType(StrEnum):
    """gen_ai.output.type: The form of output the caller asked for."""

    TEXT = "text"
    JSON = "json"
    IMAGE = "image"
    SPEECH = "speech"


class GenAiProviderName(StrEnum):
    """gen_ai.provider.name: Whose flavour of API was called; an open list, other values occur."""

    OPENAI = "openai"
    GCP_GEN_AI = "gcp.gen_ai"
    GCP_VERTEX_AI = "gcp.vertex_ai"
    GCP_GEMINI = "gcp.gemini"
    ANTHROPIC = "anthropic"
    COHERE = "cohere"
    AZURE_AI_INFERENCE = "azure.ai.inference"
    AZURE_AI_OPENAI = "azure.ai.openai"
    IBM_WATSONX_AI = "ibm.watsonx.ai"
    AWS_BEDROCK = "aws.bedrock"
    PERPLEXITY = "perplexity"
    X_AI = "x_ai"
    DEEPSEEK = "deepseek"
    GROQ = "groq"
    MISTRAL_AI = "mistral_ai"
    MOONSHOT_AI = "moonshot_ai"


class GenAiResponseStatus(StrEnum):
    """gen_ai.response.status: State of a response that is fetched later."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"


class GenAiTokenModality(StrEnum):
    """gen_ai.token.modality: The form of the content that tokens stand for."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    UNKNOWN = "unknown"


class GenAiTokenType(StrEnum):
    """gen_ai.token.type: Which side tokens are on; our metrics add its subsets."""

    INPUT = "input"
    OUTPUT = "output"


class OtelLlmCostUnknownReason(StrEnum):
    """otel_llm.cost.unknown_reason: Why a provider call has no price."""

    NO_USAGE = "no_usage"
    """No token counts arrived, as in a stream without usage."""
    NO_MODEL = "no_model"
    """The span names no model."""
    UNKNOWN_PROVIDER = "unknown_provider"
    """The price book has no such provider."""
    UNKNOWN_MODEL = "unknown_model"
    """The price book has no such model at this provider."""
    UNPRICED_UNIT = "unpriced_unit"
    """The model is known but has no price for what was used."""
    INCONSISTENT_USAGE = "inconsistent_usage"
    """The token counts contradict each other."""


class OtelLlmOperationName(StrEnum):
    """otel_llm.operation.name: The RAG step for which OpenTelemetry has no operation name."""

    RERANK = "rerank"
    BUILD_CONTEXT = "build_context"
    QUERY_EXPANSION = "query_expansion"
    DATA_PROCESSING = "data_processing"
    TRAINING_STEP = "training_step"


class OtelLlmOutcome(StrEnum):
    """otel_llm.outcome: How a step ended."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    """The caller stopped it: an early break, a closed stream, a cancelled task. Not an error."""
