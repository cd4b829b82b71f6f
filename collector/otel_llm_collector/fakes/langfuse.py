"""Langfuse."""

from __future__ import annotations

import base64
from typing import Any

from otel_llm_collector.fakes.server import FakeServer, Refused, Request, otlp_spans


class FakeLangfuse(FakeServer):
    """Langfuse's OTLP intake and scores.

    After langfuse/langfuse 6275144 (4.16.0) and its documentation: Basic authentication, a whole request refused for
    one bad id, scores that replace those of their id.
    """

    def __init__(self, public_key: str, secret_key: str) -> None:
        super().__init__()
        self._expected = "Basic " + base64.b64encode(f"{public_key}:{secret_key}".encode()).decode()
        self.spans: list[Any] = []
        self.scores: dict[str, dict[str, Any]] = {}

    def answer(self, request: Request) -> tuple[int, Any]:
        """See the class."""
        if request.headers.get("authorization") != self._expected:
            raise Refused(401, "Invalid credentials. Confirm that you've configured the correct host.")
        if request.method != "POST":
            raise Refused(405, "Method not allowed")
        if request.path == "/api/public/otel/v1/traces":
            spans = otlp_spans(request)
            if any(len(span.trace_id) != 16 or len(span.span_id) != 8 for span in spans):  # noqa: PLR2004 - OTLP's
                raise Refused(400, "Invalid trace or span id")
            self.spans += spans
            return 200, {}
        if request.path == "/api/public/scores":
            score = request.document()
            known = {"id", "name", "value", "dataType", "comment", "traceId", "observationId", "sessionId"}
            targets = {"traceId", "sessionId"} & set(score)
            if not set(score) <= known or not score.get("name") or len(targets) != 1:
                raise Refused(400, f"Invalid request data: {score}")
            numeric = isinstance(score.get("value"), (int, float))
            if numeric != (score.get("dataType") == "NUMERIC"):
                raise Refused(400, "value does not fit dataType")
            self.scores[score["id"]] = score
            return 200, {"id": score["id"]}
        raise Refused(404, f"no {request.path}")
