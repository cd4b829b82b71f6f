"""The module in Rust, `otel_llm_wire`: whether it is there and fits. Where it is not, Python does the same work.

`OTEL_LLM_ENGINE=pure` leaves it aside everywhere.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

NAME = "otel_llm_wire"
# The form of what is given to it and what it answers; a build that knows another form is not used.
TABLES = 9


def missing() -> str:
    """Why there is no such module, or ""."""
    if importlib.util.find_spec(NAME) is None:
        return "otel-llm-wire is not installed (make native builds it where cargo is)"
    return ""


def misfit() -> str:
    """Why the module that is there cannot be used, or ""."""
    seen = getattr(importlib.import_module(NAME), "TABLES", 0)
    if seen != TABLES:
        return f"otel-llm-wire reads tables of form {seen}, this collector writes {TABLES}; install both of one version"
    return ""


def module(environment: Mapping[str, str]) -> Any | None:
    """The module, or None where it cannot or shall not be used."""
    if environment.get("OTEL_LLM_ENGINE") == "pure" or missing() or misfit():
        return None
    return importlib.import_module(NAME)
