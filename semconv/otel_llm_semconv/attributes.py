"""Attribute names.

Generated from the registry by `make generate`; edit `registry/*.yaml` instead.
"""

from __future__ import annotations

from typing import Final

CLIENT_ADDRESS: Final = "client.address"
"""Address of the client. Sensitive: identity."""

CODE_FILE_PATH: Final = "code.file.path"
"""File of the code."""

CODE_FUNCTION_NAME: Final = "code.function.name"
"""Function of the code."""

CODE_LINE_NUMBER: Final = "code.line.number"
"""Line of the code."""

CPU_MODE: Final = "cpu.mode"
"""What the CPU was doing.

Known values: `user`, `system`, `nice`, `idle`, `iowait`, `interrupt`, `steal`, `kernel`.
"""

DB_COLLECTION_NAME: Final = "db.collection.name"
"""The collection or table."""

DB_SYSTEM_NAME: Final = "db.system.name"
"""The database system."""

DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
"""Deployment environment."""

DISK_IO_DIRECTION: Final = "disk.io.direction"
"""Direction of the transfer. Known values: `read`, `write`."""

ERROR_TYPE: Final = "error.type"
"""Class of error the operation ended with."""

EXCEPTION_MESSAGE: Final = "exception.message"
"""Text of the exception."""

EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
"""Stack trace of the exception."""

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

HOST_ID: Final = "host.id"
"""Id of the host."""

HOST_NAME: Final = "host.name"
"""Name of the host."""

HTTP_REQUEST_METHOD: Final = "http.request.method"
"""Method of the HTTP request."""

HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
"""Status of the HTTP response."""

HTTP_ROUTE: Final = "http.route"
"""Matched route of the HTTP server."""

HW_DRIVER_VERSION: Final = "hw.driver_version"
"""Version of the driver."""

HW_FIRMWARE_VERSION: Final = "hw.firmware_version"
"""Version of the firmware."""

HW_GPU_TASK: Final = "hw.gpu.task"
"""What the GPU is busy with. Known values: `decoder`, `encoder`, `general`."""

HW_ID: Final = "hw.id"
"""Id of the device; a GPU's UUID."""

HW_MODEL: Final = "hw.model"
"""Model of the device."""

HW_NAME: Final = "hw.name"
"""Name of the device."""

HW_PARENT: Final = "hw.parent"
"""Id of the device this one is a part of."""

HW_SENSOR_LOCATION: Final = "hw.sensor_location"
"""Where in the device the sensor is."""

HW_SERIAL_NUMBER: Final = "hw.serial_number"
"""Serial number of the device. Sensitive: identity."""

HW_STATE: Final = "hw.state"
"""State of the device. Known values: `ok`, `degraded`, `failed`, `predicted_failure`."""

HW_TYPE: Final = "hw.type"
"""Kind of the device; more kinds exist than are named here. Known values: `gpu`, `cpu`, `memory`."""

HW_VENDOR: Final = "hw.vendor"
"""Who made the device."""

K8S_NAMESPACE_NAME: Final = "k8s.namespace.name"
"""Namespace of the pod."""

K8S_NODE_NAME: Final = "k8s.node.name"
"""Node of the pod."""

K8S_POD_NAME: Final = "k8s.pod.name"
"""Name of the pod."""

NETWORK_INTERFACE_NAME: Final = "network.interface.name"
"""Name of the network interface."""

NETWORK_IO_DIRECTION: Final = "network.io.direction"
"""Direction of the transfer. Known values: `transmit`, `receive`."""

NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
"""Version of the protocol."""

OPENAI_API_TYPE: Final = "openai.api.type"
"""Which of OpenAI's APIs was called."""

OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
"""The service tier asked for."""

OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
"""The service tier that served the call; it changes the price."""

OPENAI_RESPONSE_SYSTEM_FINGERPRINT: Final = "openai.response.system_fingerprint"
"""The provider's fingerprint of its configuration."""

OTEL_LLM_ALERT_NAME: Final = "otel_llm.alert.name"
"""Name of the alert."""

OTEL_LLM_ALERT_SEVERITY: Final = "otel_llm.alert.severity"
"""How bad it is. Known values: `info`, `warning`, `critical`."""

OTEL_LLM_ALERT_STATE: Final = "otel_llm.alert.state"
"""State of the alert. Known values: `inactive`, `pending`, `firing`."""

OTEL_LLM_ARTIFACT_KIND: Final = "otel_llm.artifact.kind"
"""What the artifact is. Known values: `model`, `dataset`, `checkpoint`, `file`."""

OTEL_LLM_ARTIFACT_NAME: Final = "otel_llm.artifact.name"
"""Name of an artifact."""

OTEL_LLM_ARTIFACT_SHA256: Final = "otel_llm.artifact.sha256"
"""Hash of the artifact in hexadecimal."""

OTEL_LLM_ARTIFACT_SIZE: Final = "otel_llm.artifact.size"
"""Size of the artifact in bytes."""

OTEL_LLM_ARTIFACT_URI: Final = "otel_llm.artifact.uri"
"""Where the artifact lies."""

OTEL_LLM_BUDGET_GROUP: Final = "otel_llm.budget.group"
"""Whose spending it is: the values of the labels the budget is kept by."""

OTEL_LLM_BUDGET_NAME: Final = "otel_llm.budget.name"
"""Name of the budget."""

OTEL_LLM_BUDGET_PERIOD: Final = "otel_llm.budget.period"
"""Period after which spending starts from 0. Known values: `day`, `month`."""

OTEL_LLM_CHUNKING_CHUNK_COUNT: Final = "otel_llm.chunking.chunk_count"
"""Chunks that came out."""

OTEL_LLM_CHUNKING_CHUNK_SIZE: Final = "otel_llm.chunking.chunk_size"
"""Largest size of a chunk, in the unit of the method."""

OTEL_LLM_CHUNKING_METHOD: Final = "otel_llm.chunking.method"
"""How documents were cut."""

OTEL_LLM_CHUNKING_OVERLAP: Final = "otel_llm.chunking.overlap"
"""Overlap of neighbouring chunks."""

OTEL_LLM_COLLECTOR_DECISION: Final = "otel_llm.collector.decision"
"""What was decided: kept or dropped."""

OTEL_LLM_COLLECTOR_ENDPOINT: Final = "otel_llm.collector.endpoint"
"""Which endpoint of the query API."""

OTEL_LLM_COLLECTOR_EXPORTER: Final = "otel_llm.collector.exporter"
"""The destination's name in the configuration."""

OTEL_LLM_COLLECTOR_INTENTIONAL: Final = "otel_llm.collector.intentional"
"""Whether the configuration asked for it: true or false."""

OTEL_LLM_COLLECTOR_OUTCOME: Final = "otel_llm.collector.outcome"
"""How it ended."""

OTEL_LLM_COLLECTOR_POLICY: Final = "otel_llm.collector.policy"
"""The policy of late sampling that decided."""

OTEL_LLM_COLLECTOR_REASON: Final = "otel_llm.collector.reason"
"""Why, as an id."""

OTEL_LLM_COLLECTOR_RECEIVER: Final = "otel_llm.collector.receiver"
"""Which receiver."""

OTEL_LLM_COLLECTOR_SIGNAL: Final = "otel_llm.collector.signal"
"""Which signal of OTLP."""

OTEL_LLM_COLLECTOR_TARGET: Final = "otel_llm.collector.target"
"""Who is notified."""

OTEL_LLM_COLLECTOR_TRANSPORT: Final = "otel_llm.collector.transport"
"""What it came over."""

OTEL_LLM_COLLECTOR_VERSION: Final = "otel_llm.collector.version"
"""The running version."""

OTEL_LLM_CONTENT_DOCUMENTS_BYTES: Final = "otel_llm.content.documents_bytes"
"""Size of the documents whose content was not recorded."""

OTEL_LLM_CONTENT_DROPPED: Final = "otel_llm.content.dropped"
"""True when content was removed from the span before it left the program."""

OTEL_LLM_CONTENT_INPUT_BYTES: Final = "otel_llm.content.input_bytes"
"""Size of the input whose content was not recorded."""

OTEL_LLM_CONTENT_OUTPUT_BYTES: Final = "otel_llm.content.output_bytes"
"""Size of the output whose content was not recorded."""

OTEL_LLM_CONTENT_QUERY_BYTES: Final = "otel_llm.content.query_bytes"
"""Size of the query whose text was not recorded."""

OTEL_LLM_CONTENT_TRUNCATED: Final = "otel_llm.content.truncated"
"""Fields that were cut: name, original size in bytes, SHA-256 of the original, parted by spaces."""

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

OTEL_LLM_DIALECT_CARRIED: Final = "otel_llm.dialect.carried"
"""Attributes of those dialects that OpenTelemetry's now say as a whole; `a.*` stands for all that begin so."""

OTEL_LLM_DIALECT_NAMES: Final = "otel_llm.dialect.names"
"""The dialects that the span's attributes were carried over from."""

OTEL_LLM_DIALECT_PROBLEMS: Final = "otel_llm.dialect.problems"
"""What could not be carried over, each as reason and attribute; the attribute stays as it came."""

OTEL_LLM_DPO_BETA: Final = "otel_llm.dpo.beta"
"""Strength of the preference loss."""

OTEL_LLM_DPO_REWARD_ACCURACY: Final = "otel_llm.dpo.reward_accuracy"
"""Fraction of pairs whose chosen answer has the higher reward."""

OTEL_LLM_DPO_REWARD_CHOSEN: Final = "otel_llm.dpo.reward_chosen"
"""Mean reward of the chosen answers."""

OTEL_LLM_DPO_REWARD_MARGIN: Final = "otel_llm.dpo.reward_margin"
"""Mean of chosen less rejected reward."""

OTEL_LLM_DPO_REWARD_REJECTED: Final = "otel_llm.dpo.reward_rejected"
"""Mean reward of the rejected answers."""

OTEL_LLM_EVALUATION_EVALUATOR_NAME: Final = "otel_llm.evaluation.evaluator.name"
"""Name of the evaluator: a check, a judge's model; never a person's."""

OTEL_LLM_EVALUATION_EVALUATOR_TYPE: Final = "otel_llm.evaluation.evaluator.type"
"""Who evaluated. Known values: `human`, `llm_judge`, `deterministic`."""

OTEL_LLM_EXPERIMENT_METRIC_NAME: Final = "otel_llm.experiment.metric_name"
"""Name of a metric as the program calls it."""

OTEL_LLM_EXPERIMENT_METRIC_VALUE: Final = "otel_llm.experiment.metric_value"
"""Value of that metric."""

OTEL_LLM_EXPERIMENT_NAME: Final = "otel_llm.experiment.name"
"""Name of the experiment."""

OTEL_LLM_EXPERIMENT_NOTE: Final = "otel_llm.experiment.note"
"""A note on the run. Sensitive: content."""

OTEL_LLM_EXPERIMENT_PARAMETERS: Final = "otel_llm.experiment.parameters"
"""Parameters of the run, a JSON object."""

OTEL_LLM_EXPERIMENT_RUN_ID: Final = "otel_llm.experiment.run_id"
"""Id of the run of the experiment."""

OTEL_LLM_EXPERIMENT_RUN_NAME: Final = "otel_llm.experiment.run_name"
"""Name of the run."""

OTEL_LLM_EXPERIMENT_STATUS: Final = "otel_llm.experiment.status"
"""How the run ended. Known values: `running`, `finished`, `failed`, `killed`."""

OTEL_LLM_EXPERIMENT_TAGS: Final = "otel_llm.experiment.tags"
"""Tags of the run."""

OTEL_LLM_FEEDBACK_ID: Final = "otel_llm.feedback.id"
"""Id of the feedback; the same id again replaces it."""

OTEL_LLM_FEEDBACK_KIND: Final = "otel_llm.feedback.kind"
"""The form the feedback was given in. Known values: `thumbs`, `stars`, `score`, `label`, `comment`."""

OTEL_LLM_FEEDBACK_STARS: Final = "otel_llm.feedback.stars"
"""Stars out of five."""

OTEL_LLM_GPU_CLOCK_DOMAIN: Final = "otel_llm.gpu.clock_domain"
"""Which clock. Known values: `graphics`, `memory`, `sm`, `video`."""

OTEL_LLM_GPU_DEVICE_IDS: Final = "otel_llm.gpu.device_ids"
"""The devices, by UUID."""

OTEL_LLM_GPU_ENERGY: Final = "otel_llm.gpu.energy"
"""Joules that were attributed to the span, over all devices."""

OTEL_LLM_GPU_ENERGY_PER_OUTPUT_TOKEN: Final = "otel_llm.gpu.energy_per_output_token"
"""Joules by output tokens."""

OTEL_LLM_GPU_LINK: Final = "otel_llm.gpu.link"
"""Which link of the GPU. Known values: `pcie`, `nvlink`."""

OTEL_LLM_GPU_LOW_CONFIDENCE: Final = "otel_llm.gpu.low_confidence"
"""True when fewer than three samples fell into the span."""

OTEL_LLM_GPU_MEMORY_PEAK: Final = "otel_llm.gpu.memory_peak"
"""Most bytes of GPU memory that the process was seen to hold during the span."""

OTEL_LLM_GPU_METHOD: Final = "otel_llm.gpu.method"
"""How energy was measured. Known values: `counter_share`, `instant_power`, `modelled`."""

OTEL_LLM_GPU_MIG_PROFILE: Final = "otel_llm.gpu.mig.profile"
"""Profile of the MIG instance."""

OTEL_LLM_GPU_SAMPLE_COUNT: Final = "otel_llm.gpu.sample_count"
"""Samples of the device that fell into the span."""

OTEL_LLM_GPU_SECONDS: Final = "otel_llm.gpu.seconds"
"""GPU-seconds that were attributed to the span, over all devices."""

OTEL_LLM_GPU_SECONDS_PER_OUTPUT_TOKEN: Final = "otel_llm.gpu.seconds_per_output_token"
"""GPU-seconds by output tokens."""

OTEL_LLM_GPU_THROTTLE_REASON: Final = "otel_llm.gpu.throttle_reason"
"""Why the clocks are held down, in the driver's words."""

OTEL_LLM_GROUNDING_CITATION_COUNT: Final = "otel_llm.grounding.citation_count"
"""Citations in the answer."""

OTEL_LLM_GROUNDING_CITED_DOCUMENT_IDS: Final = "otel_llm.grounding.cited_document_ids"
"""Ids of the documents that the answer cites, in order. Sensitive: identity."""

OTEL_LLM_GROUNDING_SUPPORTED_RATIO: Final = "otel_llm.grounding.supported_ratio"
"""Fraction of the answer's claims that the context supports."""

OTEL_LLM_GROUNDING_UNKNOWN_CITATION_COUNT: Final = "otel_llm.grounding.unknown_citation_count"
"""Citations of documents that were not in the context."""

OTEL_LLM_HTTP_TIME_TO_FIRST_BYTE: Final = "otel_llm.http.time_to_first_byte"
"""Seconds from the start of a request to the first byte of its answer's body."""

OTEL_LLM_LORA_ALPHA: Final = "otel_llm.lora.alpha"
"""Scale of the adapter."""

OTEL_LLM_LORA_DROPOUT: Final = "otel_llm.lora.dropout"
"""Dropout of the adapter."""

OTEL_LLM_LORA_RANK: Final = "otel_llm.lora.rank"
"""Rank of the adapter."""

OTEL_LLM_LORA_TARGET_MODULES: Final = "otel_llm.lora.target_modules"
"""Modules the adapter is put on."""

OTEL_LLM_LORA_TOTAL_PARAMETER_COUNT: Final = "otel_llm.lora.total_parameter_count"
"""Parameters of the whole model."""

OTEL_LLM_LORA_TRAINABLE_PARAMETER_COUNT: Final = "otel_llm.lora.trainable_parameter_count"
"""Parameters that are trained."""

OTEL_LLM_METADATA: Final = "otel_llm.metadata"
"""What the program said of its session, one attribute for each key."""

OTEL_LLM_MODEL_CONTEXT_TOKENS: Final = "otel_llm.model.context_tokens"
"""Most tokens that the model can take in."""

OTEL_LLM_MODEL_DEVICE: Final = "otel_llm.model.device"
"""Where the model runs."""

OTEL_LLM_MODEL_NAME: Final = "otel_llm.model.name"
"""The model that does the work, as the program calls it."""

OTEL_LLM_MODEL_PARAMETER_COUNT: Final = "otel_llm.model.parameter_count"
"""Parameters of the model."""

OTEL_LLM_MODEL_QUANTIZATION: Final = "otel_llm.model.quantization"
"""How the model's weights are stored."""

OTEL_LLM_MODEL_VERSION: Final = "otel_llm.model.version"
"""Version or revision of the model."""

OTEL_LLM_MONITOR_NAME: Final = "otel_llm.monitor.name"
"""Name of a piece of work that the program monitors; few different values."""

OTEL_LLM_OPERATION_NAME: Final = "otel_llm.operation.name"
"""The RAG step for which OpenTelemetry has no operation name.

Known values: `rerank`, `build_context`, `query_expansion`, `data_processing`, `training_step`, `experiment`.
"""

OTEL_LLM_OUTCOME: Final = "otel_llm.outcome"
"""How a step ended. Known values: `ok`, `error`, `cancelled`."""

OTEL_LLM_OUTPUT_TIME_PER_TOKEN: Final = "otel_llm.output.time_per_token"
"""Mean seconds between output tokens after the first, of a streamed answer."""

OTEL_LLM_OUTPUT_TOKENS_PER_SECOND: Final = "otel_llm.output.tokens_per_second"
"""Output tokens by the seconds after the first chunk; by the whole duration where none was timed."""

OTEL_LLM_QUALITY_ANSWER_LENGTH: Final = "otel_llm.quality.answer_length"
"""Characters of the answer."""

OTEL_LLM_QUALITY_FAILED_CHECKS: Final = "otel_llm.quality.failed_checks"
"""Names of the checks the answer did not pass."""

OTEL_LLM_QUALITY_LANGUAGE: Final = "otel_llm.quality.language"
"""Language of the answer, ISO 639-1."""

OTEL_LLM_QUALITY_REFUSED: Final = "otel_llm.quality.refused"
"""True when the model declined to answer."""

OTEL_LLM_QUALITY_REPETITION_RATIO: Final = "otel_llm.quality.repetition_ratio"
"""Fraction of the answer's word sequences that repeat."""

OTEL_LLM_QUERY_EXPANSION_COUNT: Final = "otel_llm.query_expansion.count"
"""How many queries one was expanded to."""

OTEL_LLM_QUERY_EXPANSION_QUERIES: Final = "otel_llm.query_expansion.queries"
"""The queries that one was expanded to. Sensitive: content."""

OTEL_LLM_REFUSAL_REASON: Final = "otel_llm.refusal.reason"
"""What kept a provider call from being answered. Known values: `refusal`, `content_filter`."""

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

OTEL_LLM_RETRIEVAL_SCORE_KIND: Final = "otel_llm.retrieval.score_kind"
"""What the scores mean, where the store is known to have one meaning. Known values: `similarity`, `distance`."""

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

OTEL_LLM_TRAINING_BATCH_SIZE: Final = "otel_llm.training.batch_size"
"""Samples of a step, over all devices."""

OTEL_LLM_TRAINING_DATA_WAIT: Final = "otel_llm.training.data_wait"
"""Seconds that the step waited for data."""

OTEL_LLM_TRAINING_EPOCH: Final = "otel_llm.training.epoch"
"""Epochs done, with fraction."""

OTEL_LLM_TRAINING_GRADIENT_NORM: Final = "otel_llm.training.gradient_norm"
"""Norm of the gradients before clipping."""

OTEL_LLM_TRAINING_LEARNING_RATE: Final = "otel_llm.training.learning_rate"
"""Learning rate of the step."""

OTEL_LLM_TRAINING_LOSS: Final = "otel_llm.training.loss"
"""Loss of the step."""

OTEL_LLM_TRAINING_SAMPLE_COUNT: Final = "otel_llm.training.sample_count"
"""Samples that the step trained on."""

OTEL_LLM_TRAINING_STEP: Final = "otel_llm.training.step"
"""Number of the optimizer step."""

OTEL_LLM_TRAINING_TOKEN_COUNT: Final = "otel_llm.training.token_count"
"""Tokens that the step trained on."""

OTEL_LLM_USAGE_CACHE_HIT_RATIO: Final = "otel_llm.usage.cache_hit_ratio"
"""Input tokens from the cache by input tokens."""

OTEL_LLM_USAGE_CONTEXT_UTILIZATION: Final = "otel_llm.usage.context_utilization"
"""Input tokens by the size of the model's context window, where that is known."""

OTEL_LLM_USAGE_ESTIMATED: Final = "otel_llm.usage.estimated"
"""True when token counts are estimates instead of the provider's."""

OTEL_LLM_USAGE_REPAIRED: Final = "otel_llm.usage.repaired"
"""What was corrected in the span's token counts."""

OTEL_LLM_VALUE: Final = "otel_llm.value"
"""A number that the program said of its work, one attribute for each name."""

OTEL_LLM_VALUE_NAME: Final = "otel_llm.value_name"
"""Name of a number that the program said of its work."""

PROCESS_COMMAND: Final = "process.command"
"""The command of the process."""

PROCESS_EXECUTABLE_NAME: Final = "process.executable.name"
"""Name of the executable."""

PROCESS_PID: Final = "process.pid"
"""Id of the process."""

PROCESS_RUNTIME_NAME: Final = "process.runtime.name"
"""Name of the runtime."""

PROCESS_RUNTIME_VERSION: Final = "process.runtime.version"
"""Version of the runtime."""

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

SESSION_PREVIOUS_ID: Final = "session.previous_id"
"""The session before this one. Sensitive: identity."""

SYSTEM_DEVICE: Final = "system.device"
"""Name of the device."""

SYSTEM_MEMORY_STATE: Final = "system.memory.state"
"""Use of memory. Known values: `used`, `free`, `shared`, `buffers`, `cached`."""

SYSTEM_PAGING_STATE: Final = "system.paging.state"
"""Use of swap. Known values: `used`, `free`."""

TELEMETRY_SDK_LANGUAGE: Final = "telemetry.sdk.language"
"""Language of the SDK."""

TELEMETRY_SDK_NAME: Final = "telemetry.sdk.name"
"""Which SDK recorded it."""

TELEMETRY_SDK_VERSION: Final = "telemetry.sdk.version"
"""Version of the SDK."""

URL_FULL: Final = "url.full"
"""The whole URL."""

URL_PATH: Final = "url.path"
"""Path of the URL."""

URL_SCHEME: Final = "url.scheme"
"""Scheme of the URL."""

USER_EMAIL: Final = "user.email"
"""Mail address of the user. Sensitive: identity."""

USER_ID: Final = "user.id"
"""Id of the user. Sensitive: identity."""

USER_NAME: Final = "user.name"
"""Short name of the user. Sensitive: identity."""

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
        OTEL_LLM_EXPERIMENT_NOTE,
        OTEL_LLM_QUERY_EXPANSION_QUERIES,
    }
)
"""Attributes that say what people or models wrote."""

IDENTITY: Final = frozenset(
    {
        CLIENT_ADDRESS,
        GEN_AI_CONVERSATION_ID,
        HW_SERIAL_NUMBER,
        OTEL_LLM_GROUNDING_CITED_DOCUMENT_IDS,
        OTEL_LLM_RERANK_ORDER_AFTER,
        OTEL_LLM_RERANK_ORDER_BEFORE,
        OTEL_LLM_RETRIEVAL_DOCUMENT_IDS,
        SESSION_ID,
        SESSION_PREVIOUS_ID,
        USER_EMAIL,
        USER_ID,
        USER_NAME,
    }
)
"""Attributes that say who somebody is, or which document."""
