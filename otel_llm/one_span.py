"""One call of a model is one span, also where OpenTelemetry's own GenAI instrumentations see the same call.

They share a place in the context (`opentelemetry-util-genai`): an inner call finds the data of the outer one there,
makes no span, and publishes what it knows to the outer. A step of ours takes part on both sides: as the outer one it
puts such data into its context and reads it at the end; as the inner one it writes to that data instead of to a span.
Instrumentations that do not know that place (Traceloop, OpenInference) are asked to stay silent inside our calls.

Nothing is imported: where util-genai is not loaded, nobody can meet.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext
from otel_llm_semconv import attributes as attr

from otel_llm.content import Mode, record


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where calls of one kind meet: the key in the context, and the class of the data that is there."""

    key: str
    module: str
    data_class: str


INFERENCE = Meeting(
    "opentelemetry.genai.client.inference.context",
    "opentelemetry.util.genai._inference_invocation",
    "InferenceData",
)
EMBEDDING = Meeting(
    "opentelemetry.genai.client.embedding.context",
    "opentelemetry.util.genai._embedding_invocation",
    "EmbeddingData",
)
RETRIEVAL = Meeting(
    "opentelemetry.genai.client.retrieval.context",
    "opentelemetry.util.genai._retrieval_invocation",
    "RetrievalData",
)

# Attribute -> field of the data. What has no field travels in the data's `attributes`.
_FIELDS = {
    attr.GEN_AI_CONVERSATION_COMPACTED: "conversation_compacted",
    attr.GEN_AI_CONVERSATION_ID: "conversation_id",
    attr.GEN_AI_DATA_SOURCE_ID: "data_source_id",
    attr.GEN_AI_EMBEDDINGS_DIMENSION_COUNT: "embeddings_dimension_count",
    attr.GEN_AI_OUTPUT_TYPE: "output_type",
    attr.GEN_AI_PROMPT_NAME: "prompt_name",
    attr.GEN_AI_PROMPT_VERSION: "prompt_version",
    attr.GEN_AI_PROVIDER_NAME: "provider_name",
    attr.GEN_AI_REQUEST_CHOICE_COUNT: "request_choice_count",
    attr.GEN_AI_REQUEST_ENCODING_FORMATS: "request_encoding_formats",
    attr.GEN_AI_REQUEST_FREQUENCY_PENALTY: "request_frequency_penalty",
    attr.GEN_AI_REQUEST_MAX_TOKENS: "request_max_tokens",
    attr.GEN_AI_REQUEST_MODEL: "request_model",
    attr.GEN_AI_REQUEST_PRESENCE_PENALTY: "request_presence_penalty",
    attr.GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID: "request_previous_response_id",
    attr.GEN_AI_REQUEST_REASONING_LEVEL: "request_reasoning_level",
    attr.GEN_AI_REQUEST_SEED: "request_seed",
    attr.GEN_AI_REQUEST_STOP_SEQUENCES: "request_stop_sequences",
    attr.GEN_AI_REQUEST_STREAM: "request_stream",
    attr.GEN_AI_REQUEST_TEMPERATURE: "request_temperature",
    attr.GEN_AI_REQUEST_TOP_K: "request_top_k",
    attr.GEN_AI_REQUEST_TOP_P: "request_top_p",
    attr.GEN_AI_RESPONSE_FINISH_REASONS: "response_finish_reasons",
    attr.GEN_AI_RESPONSE_ID: "response_id",
    attr.GEN_AI_RESPONSE_MODEL: "response_model",
    attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: "response_time_to_first_chunk",
    attr.GEN_AI_RETRIEVAL_QUERY_TEXT: "retrieval_query_text",
    attr.GEN_AI_RETRIEVAL_TOP_K: "retrieval_top_k",
    attr.GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: "usage_audio_cache_read_input_tokens",
    attr.GEN_AI_USAGE_AUDIO_INPUT_TOKENS: "usage_audio_input_tokens",
    attr.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: "usage_audio_output_tokens",
    attr.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: "usage_cache_read_input_tokens",
    attr.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: "usage_cache_write_input_tokens",
    attr.GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS: "usage_image_cache_read_input_tokens",
    attr.GEN_AI_USAGE_IMAGE_INPUT_TOKENS: "usage_image_input_tokens",
    attr.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: "usage_image_output_tokens",
    attr.GEN_AI_USAGE_INPUT_TOKENS: "usage_input_tokens",
    attr.GEN_AI_USAGE_OUTPUT_TOKENS: "usage_output_tokens",
    attr.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: "usage_reasoning_output_tokens",
    attr.GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS: "usage_text_cache_read_input_tokens",
    attr.GEN_AI_USAGE_TEXT_INPUT_TOKENS: "usage_text_input_tokens",
    attr.GEN_AI_USAGE_TEXT_OUTPUT_TOKENS: "usage_text_output_tokens",
    attr.SERVER_ADDRESS: "server_address",
    attr.SERVER_PORT: "server_port",
}
_CONTENT_FIELDS = {
    attr.GEN_AI_INPUT_MESSAGES: "input_messages",
    attr.GEN_AI_OUTPUT_MESSAGES: "output_messages",
    attr.GEN_AI_RETRIEVAL_DOCUMENTS: "retrieval_documents",
    attr.GEN_AI_SYSTEM_INSTRUCTIONS: "system_instructions",
    attr.GEN_AI_TOOL_DEFINITIONS: "tool_definitions",
}

# What Traceloop's instrumentations of models look for; others look only for the key of `suppress_instrumentation`.
_TRACELOOP_KEY = "suppress_language_model_instrumentation"
_OPENINFERENCE = "openinference.instrumentation"


def outer_data(meeting: Meeting) -> Any:
    """The data of an official call that is under way around us, or None."""
    found = context_api.get_value(meeting.key)
    return None if found is None or isinstance(found, _Summing) else found


class _Summing:
    """Marks data of ours; a second inner call adds its tokens instead of replacing the first one's."""

    def merge(self, other: Any, *, overwrite: bool = True) -> None:
        """Take over what an inner call knows."""
        mine: Any = self
        another = mine.response_id is not None and other.response_id not in (None, mine.response_id)
        before = dataclasses.replace(mine) if another else None
        super().merge(other, overwrite=overwrite)  # type: ignore[misc] # util-genai's own
        for name in _USAGE_FIELDS if before is not None else ():
            counts = [count for one in (before, other) if (count := getattr(one, name, None)) is not None]
            setattr(mine, name, sum(counts) if counts else None)


_USAGE_FIELDS = [name for name in _FIELDS.values() if name.startswith("usage_")]
_classes: dict[str, Any] = {}


def announce(meeting: Meeting, context: Context, mode: Mode) -> tuple[Context, Any]:
    """`context` for the inside of a call of ours, and the data that inner calls will publish to (None: nobody can)."""
    added: dict[str, Any] = {_TRACELOOP_KEY: True} if meeting is not RETRIEVAL else {}
    if _OPENINFERENCE in sys.modules and meeting is not RETRIEVAL:
        added[context_api._SUPPRESS_INSTRUMENTATION_KEY] = True  # noqa: SLF001 - it has no public name
    data = None
    module = sys.modules.get(meeting.module)
    if module is not None:
        data = _data_class(meeting, module)()
        data.capture_content = mode == "full"
        added[meeting.key] = data
    return (Context({**context, **added}) if added else context), data


def _data_class(meeting: Meeting, module: Any) -> Any:
    found = _classes.get(meeting.data_class)
    if found is None:
        base = getattr(module, meeting.data_class)
        bases = (_Summing, base) if meeting is INFERENCE else (base,)
        found = _classes[meeting.data_class] = type(f"Our{meeting.data_class}", bases, {})
    return found


def read_back(data: Any, span: Span, mode: Mode) -> None:
    """Put on `span` what inner calls published and the step itself did not say."""
    said: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    found = {key: value for key, field in _FIELDS.items() if (value := getattr(data, field, None)) is not None}
    found |= data.attributes
    span.set_attributes({key: value for key, value in found.items() if key not in said})
    for key, field in _CONTENT_FIELDS.items():
        content = getattr(data, field, None)
        if content and key not in said:
            record(span, key, [_as_dict(one) for one in content], mode)


def _as_dict(part: Any) -> Any:
    return dataclasses.asdict(part) if dataclasses.is_dataclass(part) and not isinstance(part, type) else part


_PLAIN = (str, bool, int, float, bytes, list, tuple)


class InnerSpan(Span):
    """Stands for the span of a call that is under way around us: what is said of ours, it will say."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._outer = trace.get_current_span()

    def set_attribute(self, key: str, value: Any) -> None:
        field = _FIELDS.get(key)
        if field is not None and hasattr(self._data, field):
            setattr(self._data, field, list(value) if isinstance(value, tuple) else value)
        elif key != attr.GEN_AI_OPERATION_NAME and issubclass(type(value), _PLAIN):  # else the other code would fail
            self._data.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def get_span_context(self) -> SpanContext:
        return self._outer.get_span_context()

    def add_event(self, *args: Any, **kwargs: Any) -> None:
        self._outer.add_event(*args, **kwargs)

    def add_link(self, *args: Any, **kwargs: Any) -> None:
        self._outer.add_link(*args, **kwargs)

    def record_exception(self, *args: Any, **kwargs: Any) -> None:
        """The outer call says what went wrong with it, if anything did."""

    def set_status(self, *args: Any, **kwargs: Any) -> None:
        """The outer call's own."""

    def update_name(self, name: str) -> None:
        """The outer call has its name."""

    def is_recording(self) -> bool:
        return self._outer.is_recording()

    def end(self, end_time: int | None = None) -> None:
        """The outer call ends its span."""
