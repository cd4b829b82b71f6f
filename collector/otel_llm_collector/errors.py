"""The collector's errors.

    CollectorError
    +-- ConfigError            a file that cannot be run: every problem at once
    +-- StartError             a port, a file or a peer that stops the start
    +-- Permanent              the same input will always fail: do not retry
    |   +-- MalformedRequest   not an OTLP request (400 / INVALID_ARGUMENT)
    |   +-- NotAllowed         who sends has not shown that they may (401 / UNAUTHENTICATED)
    |   +-- TooLarge           over a size limit (413 / RESOURCE_EXHAUSTED without RetryInfo)
    |   +-- Unacceptable       a backend refuses what a request holds; part of it may pass
    +-- Retryable(after)       may succeed later; `after` is the delay in seconds that the other side asked for
        +-- NotYet             the backend is well; what this request needs there has not arrived

A sentence has four parts: where, what is wrong, the value seen, what would be right.
"""

from __future__ import annotations

from dataclasses import dataclass


class CollectorError(Exception):
    """Anything the collector raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration file."""

    path: str  # "exporters.jaeger.endpoint"
    wrong: str  # "is not a host:port address"
    seen: str  # the value as written, or "nothing"
    right: str  # "write host:port, for example 127.0.0.1:4317"

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong} (seen: {self.seen}); {self.right}"


class ConfigError(CollectorError):
    """A configuration that cannot be run; `problems` lists everything that is wrong with it."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"{source}: {count}", *(f"  {problem}" for problem in problems)]))


class StartError(CollectorError):
    """The collector cannot start; the message names what stands in the way and the option that moves it."""


class Permanent(CollectorError):
    """The same input will always fail."""


class MalformedRequest(Permanent):
    """The bytes are not the OTLP request they claim to be."""


class NotAllowed(Permanent):
    """Who sends has not shown that they may."""


class TooLarge(Permanent):
    """A request, or what it decompresses to, is over its limit."""


class Unacceptable(Permanent):
    """A backend refuses what the request holds, not who sends it or where: a part of it may pass."""


class Retryable(CollectorError):
    """May succeed later."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class NotYet(Retryable):
    """The backend is well, but what this request needs there has not arrived."""
