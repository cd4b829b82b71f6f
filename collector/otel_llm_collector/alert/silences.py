"""Silences: alerts whose labels match are not told to anybody until the silence ends. Kept over a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from otel_llm_collector import limits
from otel_llm_collector.alert.view import time
from otel_llm_collector.measure.promql.storage import Matcher

_Operator = Literal["=", "!=", "=~", "!~"]
_OPERATORS: dict[tuple[bool, bool], _Operator] = {  # by isEqual, isRegex
    (True, False): "=",
    (False, False): "!=",
    (True, True): "=~",
    (False, True): "!~",
}


@dataclass(frozen=True, slots=True)
class Silence:
    """One silence; times in seconds since the epoch."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    created_by: str
    comment: str

    def covers(self, labels: Mapping[str, str], now: float) -> bool:
        """Whether an alert with these labels is silent at `now`."""
        inside = self.starts_at <= now < self.ends_at
        return inside and all(one.matches(labels.get(one.name, "")) for one in self.matchers)


class Silences:
    """The silences there are; safe for threads. Ended ones leave at the next look."""

    def __init__(self) -> None:
        self._silences: dict[str, Silence] = {}
        self._lock = threading.Lock()

    def add(self, body: Any, identifier: str, now: float) -> str:
        """Add or replace one that is written as Alertmanager's API v2 does; returns its id.

        Raises `ValueError` when it is wrong, when there is no room, or when it is over already.
        """
        silence = read_silence(body, identifier, now)
        if silence.ends_at <= max(now, silence.starts_at):
            msg = "endsAt is not after now and startsAt; give a later end"
            raise ValueError(msg)
        with self._lock:
            self._expire(now)
            if len(self._silences) >= limits.MAX_SILENCES and silence.id not in self._silences:
                msg = f"there are {limits.MAX_SILENCES} silences already; end one first"
                raise ValueError(msg)
            self._silences[silence.id] = silence
        return silence.id

    def end(self, identifier: str) -> bool:
        """End one now; False when there is none of that name."""
        with self._lock:
            return self._silences.pop(identifier, None) is not None

    def shown(self, now: float) -> list[dict[str, Any]]:
        """Those that are not over, as Alertmanager's API v2 writes them."""
        with self._lock:
            self._expire(now)
            current = list(self._silences.values())
        return [
            {
                "id": one.id,
                "status": {"state": "active" if one.starts_at <= now else "pending"},
                "matchers": [
                    {
                        "name": matcher.name,
                        "value": matcher.value,
                        "isRegex": matcher.op in ("=~", "!~"),
                        "isEqual": matcher.op in ("=", "=~"),
                    }
                    for matcher in one.matchers
                ],
                "startsAt": time(one.starts_at),
                "endsAt": time(one.ends_at),
                "createdBy": one.created_by,
                "comment": one.comment,
            }
            for one in current
        ]

    def silenced(self, labels: Mapping[str, str], now: float) -> bool:
        """Whether an alert with these labels is not to be told."""
        return any(one.covers(labels, now) for one in tuple(self._silences.values()))

    def _expire(self, now: float) -> None:
        self._silences = {name: one for name, one in self._silences.items() if one.ends_at > now}

    def dump(self) -> list[dict[str, Any]]:
        """For the next start."""
        return [
            {
                "id": one.id,
                "matchers": [[matcher.name, matcher.op, matcher.value] for matcher in one.matchers],
                "starts_at": one.starts_at,
                "ends_at": one.ends_at,
                "created_by": one.created_by,
                "comment": one.comment,
            }
            for one in tuple(self._silences.values())
        ]

    def load(self, saved: Iterable[Mapping[str, Any]]) -> None:
        """What `dump` gave before the start."""
        for one in saved:
            matchers = tuple(Matcher(*matcher) for matcher in one["matchers"])
            self._silences[one["id"]] = Silence(**{**one, "matchers": matchers})


def read_silence(body: Any, identifier: str, now: float) -> Silence:
    """A silence as Alertmanager's API v2 writes it; raises `ValueError` with what is wrong."""
    if not isinstance(body, dict):
        msg = "the body is no JSON object; send {matchers, startsAt, endsAt, createdBy, comment}"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for all that is wrong with a body
    matchers = tuple(_matcher(one) for one in body.get("matchers") or [])
    if not any(one.matches("") is False for one in matchers):
        msg = "matchers would silence everything; give at least one that does not match the empty value"
        raise ValueError(msg)
    starts_at = _moment(body.get("startsAt"), now)
    ends_at = _moment(body.get("endsAt"), 0.0)
    comment, author = str(body.get("comment") or ""), str(body.get("createdBy") or "")
    if len(comment) > limits.MAX_SERIES_LABEL_CHARS or len(author) > limits.MAX_LABEL_CHARS:
        msg = "comment or createdBy is too long; shorten it"
        raise ValueError(msg)
    return Silence(str(body.get("id") or identifier), matchers, starts_at, ends_at, author, comment)


def _matcher(said: Any) -> Matcher:
    try:
        name, value = said["name"], said["value"]
        matcher = Matcher(name, _OPERATORS[bool(said.get("isEqual", True)), bool(said.get("isRegex"))], value)
        matcher.matches("")
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        msg = f"a matcher is wrong ({type(error).__name__}: {error}); write {{name, value, isRegex, isEqual}}"
        raise ValueError(msg) from error
    return matcher


def _moment(value: Any, default: float) -> float:
    if value is None:
        return default
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError) as error:
        msg = f"{value!r} is no time; write RFC 3339, for example 2030-01-31T12:00:00Z"
        raise ValueError(msg) from error
