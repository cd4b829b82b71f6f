"""Attribute names.

Generated from the registry by `make generate`; edit `registry/*.yaml` instead.
"""

from __future__ import annotations

from typing import Final

DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
"""Deployment environment."""

ERROR_TYPE: Final = "error.type"
"""Class of error the operation ended with."""

EXCEPTION_MESSAGE: Final = "exception.message"
"""Text of the exception."""

EXCEPTION_TYPE: Final = "exception.type"
"""Class of the exception."""

GEN_AI_AGENT_DESCRIPTION: Final = "gen_ai.agent.description"
"""What the agent is for."""

GEN_AI_AGENT_ID: Final = "gen_ai.agent.id"
"""Id of a hosted agent."""

GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
"""Name of the agent."""

GEN_AI_AGENT_VERSION: Final = "gen_ai.agent.version"
"""Version of the agent."""

GEN_AI_COMPLETION: Final = "gen_ai.completion"
"""The answer as one text or JSON, of conventions up to 1.27. Deprecated. Sensitive: content."""

GEN_AI_CONVERSATION_COMPACTED: Final = "gen_ai.conversation.compacted"
"""Set to true when earlier turns were replaced by a summary."""

GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
"""The conversation, session or thread the call belongs to, as the program or library names it.

Never invented: absent when nobody supplied one. Sensitive: identity.
"""

GEN_AI_DATA_SOURCE_ID: Final = "gen_ai.data_source.id"
"""The collection, index or knowledge base that was searched."""

GEN_AI_EMBEDDINGS_DIMENSION_COUNT: Final = "gen_ai.embeddings.dimension.count"
"""Length of each embedding vector."""

GEN_AI_EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"
"""Why the score is what it is. Sensitive: content."""

GEN_AI_EVALUATION_NAME: Final = "gen_ai.evaluation.name"
"""What was evaluated."""

GEN_AI_EVALUATION_SCORE_LABEL: Final = "gen_ai.evaluation.score.label"
"""The score as a word."""

GEN_AI_EVALUATION_SCORE_VALUE: Final = "gen_ai.evaluation.score.value"
"""The score as a number."""

GEN_AI_INPUT_MESSAGES: Final = "gen_ai.input.messages"
"""The messages sent to the model. Sensitive: content."""

GEN_AI_MEMORY_QUERY_TEXT: Final = "gen_ai.memory.query.text"
"""The text that memory was searched for. Sensitive: content."""

GEN_AI_MEMORY_RECORD_COUNT: Final = "gen_ai.memory.record.count"
"""How many records were returned or changed."""

GEN_AI_MEMORY_RECORD_ID: Final = "gen_ai.memory.record.id"
"""The memory record."""

GEN_AI_MEMORY_RECORDS: Final = "gen_ai.memory.records"
"""The memory records. Sensitive: content."""

GEN_AI_MEMORY_STORE_ID: Final = "gen_ai.memory.store.id"
"""The memory store."""

GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
"""What kind of GenAI operation the span is.

Known values: `chat`, `generate_content`, `text_completion`, `embeddings`, `retrieval`, `fetch_response`,
`create_agent`, `invoke_agent`, `execute_tool`, `invoke_workflow`, `plan`, `search_memory`, `create_memory`,
`update_memory`, `upsert_memory`, `delete_memory`, `create_memory_store`, `delete_memory_store`.
"""

GEN_AI_OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
"""The messages the model answered. Sensitive: content."""

GEN_AI_OUTPUT_TYPE: Final = "gen_ai.output.type"
"""The form of output the caller asked for. Known values: `text`, `json`, `image`, `speech`."""

GEN_AI_PROMPT: Final = "gen_ai.prompt"
"""The prompt as one text or JSON, of conventions up to 1.27. Deprecated. Sensitive: content."""

GEN_AI_PROMPT_NAME: Final = "gen_ai.prompt.name"
"""Name of the prompt template."""

GEN_AI_PROMPT_VERSION: Final = "gen_ai.prompt.version"
"""Version of the prompt template."""

GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
"""Whose flavour of API was called; an open list, other values occur.

Known values: `openai`, `gcp.gen_ai`, `gcp.vertex_ai`, `gcp.gemini`, `anthropic`, `cohere`,
`azure.ai.inference`, `azure.ai.openai`, `ibm.watsonx.ai`, `aws.bedrock`, `perplexity`, `x_ai`, `deepseek`,
`groq`, `mistral_ai`, `moonshot_ai`.
"""

GEN_AI_REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
"""How many answers were asked for, when not one."""

GEN_AI_REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
"""Encodings asked for embeddings."""

GEN_AI_REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
"""Frequency penalty."""

GEN_AI_REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
"""Most tokens the answer may have."""

GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
"""The model the caller asked for."""

GEN_AI_REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
"""Presence penalty."""

GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"
"""The earlier response that this request continues."""

GEN_AI_REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
"""How much reasoning was asked for, in the provider's own word."""

GEN_AI_REQUEST_SEED: Final = "gen_ai.request.seed"
"""Seed for repeatable sampling."""

GEN_AI_REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
"""Texts that end the answer."""

GEN_AI_REQUEST_STREAM: Final = "gen_ai.request.stream"
"""True when the answer was asked for as a stream; absent otherwise."""

GEN_AI_REQUEST_STREAM_CURSOR: Final = "gen_ai.request.stream_cursor"
"""Where a resumed stream was asked to continue."""

GEN_AI_REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
"""Sampling temperature."""

GEN_AI_REQUEST_TOP_K: Final = "gen_ai.request.top_k"
"""How many candidate tokens decoding keeps."""

GEN_AI_REQUEST_TOP_P: Final = "gen_ai.request.top_p"
"""Nucleus sampling threshold."""

GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
"""Why each answer ended, one entry per answer."""

GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
"""The provider's id of the answer."""

GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
"""The model that answered."""

GEN_AI_RESPONSE_STATUS: Final = "gen_ai.response.status"
"""State of a response that is fetched later.

Known values: `queued`, `in_progress`, `completed`, `incomplete`, `failed`, `cancelled`.
"""

GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds from the request to the first chunk of a streamed answer."""

GEN_AI_RETRIEVAL_DOCUMENTS: Final = "gen_ai.retrieval.documents"
"""The documents found: a list of objects with id and score. Sensitive: content."""

GEN_AI_RETRIEVAL_QUERY_TEXT: Final = "gen_ai.retrieval.query.text"
"""The text that was searched for. Sensitive: content."""

GEN_AI_RETRIEVAL_TOP_K: Final = "gen_ai.retrieval.top_k"
"""How many documents were asked for."""

GEN_AI_SYSTEM: Final = "gen_ai.system"
"""The provider, under its former name. Deprecated: use `gen_ai.provider.name`."""

GEN_AI_SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
"""Instructions given apart from the messages. Sensitive: content."""

GEN_AI_TOKEN_MODALITY: Final = "gen_ai.token.modality"
"""The form of the content that tokens stand for. Known values: `text`, `image`, `audio`, `unknown`."""

GEN_AI_TOKEN_TYPE: Final = "gen_ai.token.type"
"""Which side tokens are on; our metrics add its subsets. Known values: `input`, `output`."""

GEN_AI_TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
"""Arguments of the call. Sensitive: content."""

GEN_AI_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
"""Id of the call."""

GEN_AI_TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
"""Result of the call. Sensitive: content."""

GEN_AI_TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
"""Tools the model could call. Sensitive: content."""

GEN_AI_TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
"""What the tool is for."""

GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
"""Name of the tool."""

GEN_AI_TOOL_TYPE: Final = "gen_ai.tool.type"
"""Where the tool runs: function, extension or datastore."""

GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.audio.cache_read.input_tokens"
"""Prompt tokens that were audio and came from the cache."""

GEN_AI_USAGE_AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
"""Prompt tokens that were audio; a part of the input tokens."""

GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"
"""Answer tokens that were audio; a part of the output tokens."""

GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
"""Prompt tokens written to the cache, under a former name.

Deprecated: use `gen_ai.usage.cache_write.input_tokens`.
"""

GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
"""Prompt tokens read from the provider's cache; a part of the input tokens."""

GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
"""Prompt tokens written to the provider's cache; a part of the input tokens."""

GEN_AI_USAGE_COMPLETION_TOKENS: Final = "gen_ai.usage.completion_tokens"
"""Tokens of the answer, under a former name. Deprecated: use `gen_ai.usage.output_tokens`."""

GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.image.cache_read.input_tokens"
"""Prompt tokens that were image and came from the cache."""

GEN_AI_USAGE_IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
"""Prompt tokens that were image; a part of the input tokens."""

GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.image.output_tokens"
"""Answer tokens that were image; a part of the output tokens."""

GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""Tokens of the prompt, all cached ones included."""

GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
"""Tokens of the answer, reasoning included."""

GEN_AI_USAGE_PROMPT_TOKENS: Final = "gen_ai.usage.prompt_tokens"
"""Tokens of the prompt, under a former name. Deprecated: use `gen_ai.usage.input_tokens`."""

GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
"""Tokens spent on reasoning; a part of the output tokens."""

GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.text.cache_read.input_tokens"
"""Prompt tokens that were text and came from the cache."""

GEN_AI_USAGE_TEXT_INPUT_TOKENS: Final = "gen_ai.usage.text.input_tokens"
"""Prompt tokens that were text; a part of the input tokens."""

GEN_AI_USAGE_TEXT_OUTPUT_TOKENS: Final = "gen_ai.usage.text.output_tokens"
"""Answer tokens that were text; a part of the output tokens."""

GEN_AI_WORKFLOW_NAME: Final = "gen_ai.workflow.name"
"""Name of the workflow; few different values."""

HTTP_REQUEST_METHOD: Final = "http.request.method"
"""Method of the HTTP request."""

HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
"""Status of the HTTP response."""

HTTP_ROUTE: Final = "http.route"
"""Matched route of the HTTP server."""

OPENAI_API_TYPE: Final = "openai.api.type"
"""Which of OpenAI's APIs was called."""

OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
"""The service tier asked for."""

OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
"""The service tier that served the call; it changes the price."""

OPENAI_RESPONSE_SYSTEM_FINGERPRINT: Final = "openai.response.system_fingerprint"
"""The provider's fingerprint of its configuration."""

OTEL_LLM_CONTENT_DROPPED: Final = "otel_llm.content.dropped"
"""True when content was removed from the span before it left the program."""

OTEL_LLM_CONTEXT_DOCUMENT_COUNT: Final = "otel_llm.context.document_count"
"""Documents that made it into the context."""

OTEL_LLM_CONTEXT_MAX_TOKENS: Final = "otel_llm.context.max_tokens"
"""Token budget of the context."""

OTEL_LLM_CONTEXT_TOKEN_COUNT_ESTIMATED: Final = "otel_llm.context.token_count_estimated"
"""True when the tokens were not counted by the model's own tokenizer."""

OTEL_LLM_CONTEXT_TOKENS: Final = "otel_llm.context.tokens"
"""Tokens of the context given to the model."""

OTEL_LLM_CONTEXT_TRUNCATED: Final = "otel_llm.context.truncated"
"""True when documents or text were left out to fit the budget."""

OTEL_LLM_COST_CURRENCY: Final = "otel_llm.cost.currency"
"""Currency of the price, ISO 4217."""

OTEL_LLM_COST_INPUT: Final = "otel_llm.cost.input"
"""Price of the input tokens, cached ones at their own rate."""

OTEL_LLM_COST_OUTPUT: Final = "otel_llm.cost.output"
"""Price of the output tokens."""

OTEL_LLM_COST_PRICE_VERSION: Final = "otel_llm.cost.price_version"
"""Version of the price book."""

OTEL_LLM_COST_SOURCE: Final = "otel_llm.cost.source"
"""Where the price comes from."""

OTEL_LLM_COST_TOTAL: Final = "otel_llm.cost.total"
"""Price of the provider call in `otel_llm.cost.currency`.

Absent when the price is not known; `otel_llm.cost.unknown_reason` then says why. Never 0 for unknown.
"""

OTEL_LLM_COST_UNKNOWN_REASON: Final = "otel_llm.cost.unknown_reason"
"""Why a provider call has no price.

Known values: `no_usage`, `no_model`, `unknown_provider`, `unknown_model`, `unpriced_unit`,
`inconsistent_usage`.
"""

OTEL_LLM_DATA_ITEM_COUNT: Final = "otel_llm.data.item_count"
"""Items that a data processing step handled."""

OTEL_LLM_OPERATION_NAME: Final = "otel_llm.operation.name"
"""The RAG step for which OpenTelemetry has no operation name.

Known values: `rerank`, `build_context`, `query_expansion`, `data_processing`, `training_step`.
"""

OTEL_LLM_OUTCOME: Final = "otel_llm.outcome"
"""How a step ended. Known values: `ok`, `error`, `cancelled`."""

OTEL_LLM_QUERY_EXPANSION_COUNT: Final = "otel_llm.query_expansion.count"
"""How many queries one was expanded to."""

OTEL_LLM_QUERY_EXPANSION_QUERIES: Final = "otel_llm.query_expansion.queries"
"""The queries that one was expanded to. Sensitive: content."""

OTEL_LLM_RERANK_INPUT_COUNT: Final = "otel_llm.rerank.input_count"
"""Documents before reranking."""

OTEL_LLM_RERANK_ORDER_AFTER: Final = "otel_llm.rerank.order_after"
"""Ids after reranking. Sensitive: identity."""

OTEL_LLM_RERANK_ORDER_BEFORE: Final = "otel_llm.rerank.order_before"
"""Ids before reranking. Sensitive: identity."""

OTEL_LLM_RERANK_OUTPUT_COUNT: Final = "otel_llm.rerank.output_count"
"""Documents after reranking."""

OTEL_LLM_RERANK_SCORES: Final = "otel_llm.rerank.scores"
"""Scores after reranking, in order of rank."""

OTEL_LLM_RERANK_TOP_N: Final = "otel_llm.rerank.top_n"
"""Documents that reranking was asked to keep."""

OTEL_LLM_RETRIEVAL_DOCUMENT_IDS: Final = "otel_llm.retrieval.document_ids"
"""Ids of the documents in order of rank. Sensitive: identity."""

OTEL_LLM_RETRIEVAL_RETURNED_K: Final = "otel_llm.retrieval.returned_k"
"""How many documents came back."""

OTEL_LLM_RETRIEVAL_SCORES: Final = "otel_llm.retrieval.scores"
"""Scores of the documents in order of rank."""

OTEL_LLM_RETRIEVAL_SOURCE: Final = "otel_llm.retrieval.source"
"""What was searched, in the program's words: an index, a file, a table."""

OTEL_LLM_STREAM_CHUNK_COUNT: Final = "otel_llm.stream.chunk_count"
"""Chunks of a streamed answer."""

OTEL_LLM_STREAM_TIME_PER_CHUNK: Final = "otel_llm.stream.time_per_chunk"
"""Mean seconds between chunks after the first."""

OTEL_LLM_TAGS: Final = "otel_llm.tags"
"""Tags that the program gave the trace."""

OTEL_LLM_USAGE_ESTIMATED: Final = "otel_llm.usage.estimated"
"""True when token counts are estimates instead of the provider's."""

OTEL_LLM_USAGE_REPAIRED: Final = "otel_llm.usage.repaired"
"""What was corrected in the span's token counts."""

SERVER_ADDRESS: Final = "server.address"
"""Host that was called."""

SERVER_PORT: Final = "server.port"
"""Port that was called."""

SERVICE_INSTANCE_ID: Final = "service.instance.id"
"""Id of this instance of the service."""

SERVICE_NAME: Final = "service.name"
"""Logical name of the service."""

SERVICE_NAMESPACE: Final = "service.namespace"
"""Namespace of the service's name."""

SERVICE_VERSION: Final = "service.version"
"""Version of the service."""

SESSION_ID: Final = "session.id"
"""Session of the user. Sensitive: identity."""

URL_PATH: Final = "url.path"
"""Path of the URL."""

USER_ID: Final = "user.id"
"""Id of the user. Sensitive: identity."""

CONTENT: Final = frozenset(
    {
        GEN_AI_COMPLETION,
        GEN_AI_EVALUATION_EXPLANATION,
        GEN_AI_INPUT_MESSAGES,
        GEN_AI_MEMORY_QUERY_TEXT,
        GEN_AI_MEMORY_RECORDS,
        GEN_AI_OUTPUT_MESSAGES,
        GEN_AI_PROMPT,
        GEN_AI_RETRIEVAL_DOCUMENTS,
        GEN_AI_RETRIEVAL_QUERY_TEXT,
        GEN_AI_SYSTEM_INSTRUCTIONS,
        GEN_AI_TOOL_CALL_ARGUMENTS,
        GEN_AI_TOOL_CALL_RESULT,
        GEN_AI_TOOL_DEFINITIONS,
        OTEL_LLM_QUERY_EXPANSION_QUERIES,
    }
)
"""Attributes that say what people or models wrote."""

IDENTITY: Final = frozenset(
    {
        GEN_AI_CONVERSATION_ID,
        OTEL_LLM_RERANK_ORDER_AFTER,
        OTEL_LLM_RERANK_ORDER_BEFORE,
        OTEL_LLM_RETRIEVAL_DOCUMENT_IDS,
        SESSION_ID,
        USER_ID,
    }
)
"""Attributes that say who somebody is, or which document."""
