"""What is wrong with something given to us is said once a kind, and never raised into the program."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger("otel_llm")

Method = TypeVar("Method", bound=Callable[..., Any])

MAX_KINDS = 1000  # drop: further kinds of warnings are not said, so that what is remembered of them has an end

_warned: set[str] = set()


def warn_once(sentence: str, kind: str = "") -> None:
    """Log a warning, once for each `kind` (default: for each sentence)."""
    if (kind or sentence) not in _warned and len(_warned) < MAX_KINDS:
        _warned.add(kind or sentence)
        logger.warning("otel_llm: %s", sentence)


def forget() -> None:
    """Warn of everything again; for tests."""
    _warned.clear()


def guarded(method: Method) -> Method:
    """A method whose failures are logged, once a kind, instead of raised into the program; it then returns None."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception as error:  # the program's own work must go on
            name = method.__qualname__
            warn_once(f"{name} could not record what it was given: {text_of(error)}", f"{name}: {type(error).__name__}")
            return None

    return call  # type: ignore[return-value]


def text_of(value: object) -> str:
    """`value` as a text; the name of its type when it has none."""
    if type(value) is str:
        return value
    try:
        return str(value)
    except Exception:
        return type(value).__name__
