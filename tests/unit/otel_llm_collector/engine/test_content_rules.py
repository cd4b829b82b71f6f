"""Content is redacted in whatever form it was sent."""

from __future__ import annotations

from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_llm_collector.engine.content import ContentRules
from otel_llm_collector.engine.settings import ProcessorsConfig

RULES = ContentRules(ProcessorsConfig.model_validate({"redaction": {"detectors": ["email"]}}))


def test_text_sent_as_bytes_is_redacted_and_other_bytes_stay() -> None:
    """A prompt in `bytes_value` hides nothing; bytes without a find are the same bytes."""
    span = Span()
    for content in (b"ask bob@x.com", b"\xff\xfe bob@x.com", b"\xff\x00\x01"):
        span.attributes.add(key="input.value").value.bytes_value = content
    found: dict[str, int] = {}
    assert RULES.span(span, found)
    assert [one.value.bytes_value for one in span.attributes] == [b"ask [email]", b" [email]", b"\xff\x00\x01"]
    assert found == {"email": 2}
