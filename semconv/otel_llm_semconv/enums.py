"""Well-known attribute values.

Generated from the registry by `make generate`; edit `registry/*.yaml` instead.
"""

from __future__ import annotations

from enum import StrEnum


class CpuMode(StrEnum):
    """cpu.mode: What the CPU was doing."""

    USER = "user"
    SYSTEM = "system"
    NICE = "nice"
    IDLE = "idle"
    IOWAIT = "iowait"
    INTERRUPT = "interrupt"
    STEAL = "steal"
    KERNEL = "kernel"


class DiskIoDirection(StrEnum):
    """disk.io.direction: Direction of the transfer."""

    READ = "read"
    WRITE = "write"


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


class HwGpuTask(StrEnum):
    """hw.gpu.task: What the GPU is busy with."""

    DECODER = "decoder"
    ENCODER = "encoder"
    GENERAL = "general"


class HwState(StrEnum):
    """hw.state: State of the device."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    PREDICTED_FAILURE = "predicted_failure"


class HwType(StrEnum):
    """hw.type: Kind of the device; more kinds exist than are named here."""

    GPU = "gpu"
    CPU = "cpu"
    MEMORY = "memory"


class NetworkIoDirection(StrEnum):
    """network.io.direction: Direction of the transfer."""

    TRANSMIT = "transmit"
    RECEIVE = "receive"


class OtelLlmAlertSeverity(StrEnum):
    """otel_llm.alert.severity: How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class OtelLlmAlertState(StrEnum):
    """otel_llm.alert.state: State of the alert."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


class OtelLlmArtifactKind(StrEnum):
    """otel_llm.artifact.kind: What the artifact is."""

    MODEL = "model"
    DATASET = "dataset"
    CHECKPOINT = "checkpoint"
    FILE = "file"


class OtelLlmBudgetPeriod(StrEnum):
    """otel_llm.budget.period: Period after which spending starts from 0."""

    DAY = "day"
    MONTH = "month"


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


class OtelLlmEvaluationEvaluatorType(StrEnum):
    """otel_llm.evaluation.evaluator.type: Who evaluated."""

    HUMAN = "human"
    LLM_JUDGE = "llm_judge"
    DETERMINISTIC = "deterministic"


class OtelLlmExperimentStatus(StrEnum):
    """otel_llm.experiment.status: How the run ended."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


class OtelLlmFeedbackKind(StrEnum):
    """otel_llm.feedback.kind: The form the feedback was given in."""

    THUMBS = "thumbs"
    STARS = "stars"
    SCORE = "score"
    LABEL = "label"
    COMMENT = "comment"


class OtelLlmGpuClockDomain(StrEnum):
    """otel_llm.gpu.clock_domain: Which clock."""

    GRAPHICS = "graphics"
    MEMORY = "memory"
    SM = "sm"
    VIDEO = "video"


class OtelLlmGpuLink(StrEnum):
    """otel_llm.gpu.link: Which link of the GPU."""

    PCIE = "pcie"
    NVLINK = "nvlink"


class OtelLlmGpuMethod(StrEnum):
    """otel_llm.gpu.method: How energy was measured."""

    COUNTER_SHARE = "counter_share"
    """A share of the device's energy counter."""
    INSTANT_POWER = "instant_power"
    """Power times time; the device has no counter or the span is too short for it."""
    MODELLED = "modelled"
    """Computed from the model of the device, not measured."""


class OtelLlmOperationName(StrEnum):
    """otel_llm.operation.name: The RAG step for which OpenTelemetry has no operation name."""

    RERANK = "rerank"
    BUILD_CONTEXT = "build_context"
    QUERY_EXPANSION = "query_expansion"
    DATA_PROCESSING = "data_processing"
    TRAINING_STEP = "training_step"
    EXPERIMENT = "experiment"


class OtelLlmOutcome(StrEnum):
    """otel_llm.outcome: How a step ended."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    """The caller stopped it: an early break, a closed stream, a cancelled task. Not an error."""


class OtelLlmRefusalReason(StrEnum):
    """otel_llm.refusal.reason: What kept a provider call from being answered."""

    REFUSAL = "refusal"
    """The model declined to answer."""
    CONTENT_FILTER = "content_filter"
    """A filter of the provider stopped the question or the answer."""


class OtelLlmRetrievalScoreKind(StrEnum):
    """otel_llm.retrieval.score_kind: What the scores mean, where the store is known to have one meaning."""

    SIMILARITY = "similarity"
    """Higher is nearer."""
    DISTANCE = "distance"
    """Lower is nearer."""


class SystemMemoryState(StrEnum):
    """system.memory.state: Use of memory."""

    USED = "used"
    FREE = "free"
    SHARED = "shared"
    BUFFERS = "buffers"
    CACHED = "cached"


class SystemPagingState(StrEnum):
    """system.paging.state: Use of swap."""

    USED = "used"
    FREE = "free"
