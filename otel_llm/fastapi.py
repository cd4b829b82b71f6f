"""FastAPI through OpenTelemetry's own instrumentation, set up so that it fits streaming answers.

No span per chunk (a streamed answer of 20 chunks would make 22 of them), stable HTTP attributes, health pages left out.
Needs the extra `otel-llm[fastapi]`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

# Stable HTTP conventions; OpenTelemetry reads this once, at the first instrumentation of anything.
STABILITY_VARIABLE = "OTEL_SEMCONV_STABILITY_OPT_IN"

EXCLUDED_URLS = r"/(health|healthz|ready|live|metrics)/?(\?.*)?$"


def instrument_fastapi(app: FastAPI, *, excluded_urls: str | None = None) -> None:
    """Trace one application; `excluded_urls` are comma-separated expressions searched in the URL.

    Raises `ImportError` when the extra is not installed.
    """
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415 - an extra

    os.environ.setdefault(STABILITY_VARIABLE, "http")
    FastAPIInstrumentor.instrument_app(app, **_options(excluded_urls))


def instrument_class() -> None:
    """Trace every application that is created from now on."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415 - an extra

    FastAPIInstrumentor().instrument(**_options(None))


def _options(excluded_urls: str | None) -> dict[str, Any]:
    from_environment = os.environ.get("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS") or os.environ.get(
        "OTEL_PYTHON_EXCLUDED_URLS"
    )
    return {
        "exclude_spans": ["receive", "send"],
        "excluded_urls": excluded_urls or from_environment or EXCLUDED_URLS,
    }
