"""Instrumentation of libraries, by OpenTelemetry's own packages where they are installed.

Each library stands for itself: one that is absent or fails leaves the others and the program alone, and the reason can
be read in the handle that `configure` returns.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module

from otel_llm.fastapi import STABILITY_VARIABLE, instrument_class

logger = logging.getLogger(__name__)


def instrument_libraries(which: bool | Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    """Instrument the libraries named by `which` (True: all that are known); returns what became of each."""
    if which is False:
        return {}
    names = list(_LIBRARIES) if which is True else list(which)
    unknown = sorted(set(names) - set(_LIBRARIES))
    if unknown:
        msg = f"configure: instrument names {unknown[0]!r}; known are {', '.join(_LIBRARIES)}"
        raise ValueError(msg)
    os.environ.setdefault(STABILITY_VARIABLE, "http")
    return {name: _attempt(name) for name in names}


def _attempt(name: str) -> str:
    try:
        _LIBRARIES[name]()
    except ImportError as error:
        return f"not installed ({error.name or error})"
    except Exception as error:  # somebody else's code must not stop the program
        logger.warning("otel_llm: %s could not be instrumented: %s", name, error)
        return f"failed ({type(error).__name__}: {error})"
    return "instrumented"


def _openai() -> None:
    import_module("openai")
    import_module("opentelemetry.instrumentation.genai.openai").OpenAIInstrumentor().instrument()


def _threading() -> None:
    import_module("opentelemetry.instrumentation.threading").ThreadingInstrumentor().instrument()


def _fastapi() -> None:
    import_module("fastapi")
    instrument_class()


_LIBRARIES: dict[str, Callable[[], None]] = {"threading": _threading, "fastapi": _fastapi, "openai": _openai}
