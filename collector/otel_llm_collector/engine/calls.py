"""Which provider calls were counted already: the memory that reaches across requests.

A layer around a call (a framework's span around a client's) usually arrives after it, because children end first, and
often in another request; a client that traces itself repeats the response id of the call in a trace of its own; a
sender that got no answer sends the same spans again. Each call is to be counted once all the same.

The memory holds the calls of `window_ns` of event time and at most `capacity` of them, in two generations: when the
younger is full or old, the older is forgotten. What may have been known then is not guessed: the call counts, and
`Verdict.FORGOTTEN` says so. `judge` asks and changes nothing; `remember` is called when the request is kept, so that a
request that is refused and sent again counts once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from otel_llm_collector.engine.spans import GenAiSpan


class Verdict(IntEnum):
    """What is known about a call."""

    NEW = 0
    LAYER = 1  # another layer of it was counted
    ANSWERED = 2  # its response was counted under another span
    REPEATED = 3  # this very span was counted
    LATE = 4  # a layer that knew no tokens was counted before; this one knows them and counts too
    FORGOTTEN = 5  # it began before what is remembered; a layer of it may have been counted

    @property
    def note(self) -> str:
        """The reason under which it is counted; "" for what is nothing special."""
        return _NOTES[self]


_NOTES = ("", "layered_duplicate", "repeated_response", "repeated_span", "layered_late", "layers_forgotten")


@dataclass(frozen=True, slots=True)
class Call:
    """What is remembered of one provider call."""

    key: bytes  # trace id and span id
    parent: bytes  # trace id and the parent's span id
    operation: str
    response: tuple[str, str] | None  # service and response id
    has_usage: bool
    is_wrapper: bool  # its own request showed that it is a layer around another call
    start: int
    end: int


_MAX_NAME_CHARS = 200  # a longer response id or service is nobody's, and not worth keeping


def as_call(service: str, genai: GenAiSpan) -> Call:
    """What is remembered of a GenAI span that is a provider call."""
    span, response = genai.span, genai.response_id
    return Call(
        key=span.trace_id + span.span_id,
        parent=span.trace_id + span.parent_span_id,
        operation=genai.operation,
        response=(service, response) if response and max(len(response), len(service)) <= _MAX_NAME_CHARS else None,
        has_usage=genai.usage is not None,
        is_wrapper=genai.is_wrapper,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
    )


class Memory(Protocol):
    """What both engines ask; the one in Rust brings its own."""

    def judge(self, calls: Sequence[Call]) -> list[int]: ...
    def remember(self, calls: Sequence[Call]) -> None: ...


@dataclass(slots=True)
class _Generation:
    """Calls of one stretch of event time."""

    began: int = 0
    newest: int = 0
    spans: dict[bytes, tuple[str, bool]] = field(default_factory=dict)  # operation, has usage
    layers: dict[tuple[bytes, str], bool] = field(default_factory=dict)  # parent and operation: whether one has usage
    responses: dict[tuple[str, str], bool] = field(default_factory=dict)  # has usage


class CallMemory:
    """See the module. Safe for threads."""

    def __init__(self, capacity: int, window_ns: int) -> None:
        self._capacity = max(capacity // 2, 1)
        self._window = window_ns // 2
        self._younger = _Generation()
        self._older = _Generation()
        self._horizon = 0  # what ended before may be forgotten
        self._lock = threading.Lock()

    def judge(self, calls: Sequence[Call]) -> list[int]:
        """A verdict on each of the calls of one request, by what earlier requests brought."""
        with self._lock:
            return [self._verdict(call) for call in calls]

    def remember(self, calls: Sequence[Call]) -> None:
        """The request of these calls is kept."""
        with self._lock:
            for call in calls:
                self._remember(call)

    def _verdict(self, call: Call) -> Verdict:
        both = (self._younger, self._older)
        if any(call.key in one.spans for one in both):
            return Verdict.REPEATED
        if call.is_wrapper:
            return Verdict.NEW
        inner = _any(one.layers.get((call.key, call.operation)) for one in both)
        if inner is not None:
            return _counted(Verdict.LAYER, inner, call)
        outer = next((one.spans[call.parent] for one in both if call.parent in one.spans), None)
        if outer is not None and outer[0] == call.operation:
            return _counted(Verdict.LAYER, outer[1], call)
        answered = _any(one.responses.get(call.response) for one in both) if call.response else None
        if answered is not None:
            return _counted(Verdict.ANSWERED, answered, call)
        return Verdict.FORGOTTEN if call.start < self._horizon else Verdict.NEW

    def _remember(self, call: Call) -> None:
        now = self._younger
        if len(now.spans) >= self._capacity or (now.spans and call.end - now.began >= self._window):
            self._horizon = max(self._horizon, self._older.newest)
            self._older, self._younger = now, _Generation()
            now = self._younger
        if not now.spans:
            now.began = call.end
        now.newest = max(now.newest, call.end)
        now.spans[call.key] = (call.operation, call.has_usage)
        layer = (call.parent, call.operation)
        now.layers[layer] = now.layers.get(layer, False) or call.has_usage
        if call.response:
            now.responses[call.response] = now.responses.get(call.response, False) or call.has_usage


def _any(found: Iterable[bool | None]) -> bool | None:
    """Whether any is True; None when there is none at all."""
    values = [one for one in found if one is not None]
    return any(values) if values else None


def _counted(verdict: Verdict, has_usage: bool, call: Call) -> Verdict:
    """`verdict`, unless what was counted knew no tokens and `call` does."""
    return verdict if has_usage or not call.has_usage else Verdict.LATE
