"""Whether a call was refused: by the model, which declines, or by a content filter of its provider.

The finish reasons say it, or the type of the error, or a part of the answer. Messages are searched as JSON text: a
quotation mark inside JSON text is escaped, so what is found is a key and its value, never words of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.enums import OtelLlmRefusalReason as Reason

# Finish reasons and error types of providers (lower case, `-` as `_`) -> what they come to
REFUSALS: Mapping[str, str] = {
    "refusal": Reason.REFUSAL.value,
    **dict.fromkeys(
        (
            "content_filter",  # OpenTelemetry, OpenAI, Azure
            "content_filtered",  # Bedrock
            "guardrail_intervened",
            "content_policy_violation",  # OpenAI, of images
            "safety",  # Gemini, and what follows
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "model_armor",
            "image_safety",
            "image_prohibited_content",
            "image_recitation",
            "error_toxic",  # Cohere
        ),
        Reason.CONTENT_FILTER.value,
    ),
}
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_REFUSAL_PART = re.compile(r'"type"[ \t\r\n]*:[ \t\r\n]*"refusal"')
_FINISH_REASON = re.compile(r'"finish_reason"(?=[ \t\r\n]*:[ \t\r\n]*"([^"\\]*)")')


def refusal(values: Mapping[str, AnyValue]) -> str:
    """Why the call with these attributes was refused; "" when it was not."""
    error = values.get(attr.ERROR_TYPE)
    found = _among(error.string_value) if error is not None else ""
    reasons = values.get(attr.GEN_AI_RESPONSE_FINISH_REASONS)
    if not found and reasons is not None:
        texts = [one.string_value for one in reasons.array_value.values] or [reasons.string_value]
        found = next(filter(None, map(_among, texts)), "")
    messages = values.get(attr.GEN_AI_OUTPUT_MESSAGES)
    if not found and messages is not None:
        found = _in_messages(messages, with_reasons=reasons is None)
    declined = values.get(attr.OTEL_LLM_QUALITY_REFUSED)
    if not found and declined is not None and declined.bool_value:
        found = Reason.REFUSAL.value
    return found


def _among(text: str) -> str:
    """What the first word that is a refusal comes to."""
    words = (word.lower().replace("-", "_") for word in _WORD.findall(text))
    return next((REFUSALS[word] for word in words if word in REFUSALS), "")


def _in_messages(messages: AnyValue, *, with_reasons: bool) -> str:
    text = messages.string_value
    if text:
        if _REFUSAL_PART.search(text):
            return Reason.REFUSAL.value
        said = _FINISH_REASON.findall(text) if with_reasons else []
    else:
        pairs = list(_pairs(messages))
        if ("type", "refusal") in pairs:
            return Reason.REFUSAL.value
        said = [value for key, value in pairs if key == "finish_reason" and with_reasons]
    return next(filter(None, map(_among, said)), "")


def _pairs(value: AnyValue) -> Iterator[tuple[str, str]]:
    """The keys and texts of messages, and of their parts, that are no JSON text."""
    for message in value.array_value.values:
        for one in message.kvlist_value.values:
            yield one.key, one.value.string_value
            if one.key == "parts":
                yield from _pairs(one.value)
