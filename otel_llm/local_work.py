"""Where a step meets what measures the work of models that run in this process.

`hardware.py` sets `meter` where there is a GPU to measure. The handle of a local model's step is made by `measured`, so
that the measurement begins with the span, and `finish` ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from opentelemetry.trace import Span

logger = logging.getLogger(__name__)

H = TypeVar("H", bound="Measurable")


class Measurable(Protocol):
    """A handle: its span, and what `Meter.begin` returned for it."""

    span: Span
    work: Any


class Meter(Protocol):
    """Measures the work done between `begin` and `end`; neither blocks."""

    def begin(self) -> Any:
        """A step starts; what is returned is given to `end`."""

    def end(self, begun: Any, span: Span) -> None:
        """The step is about to end: write on its span what it used."""


meter: Meter | None = None


def measured(make: Callable[..., H]) -> Callable[..., H]:
    """`make`, which makes a step's handle, with a measurement that begins when it is called."""

    def make_measured(*arguments: Any) -> H:
        handle = make(*arguments)
        if meter is not None:
            handle.work = meter.begin()
        return handle

    return make_measured


def finish(handle: Measurable) -> None:
    """End the measurement of a handle, if it has one. Never raises."""
    begun, handle.work = handle.work, None
    if begun is None or meter is None:
        return
    try:
        meter.end(begun, handle.span)
    except Exception:
        logger.debug("the GPU work of a span could not be written", exc_info=True)
