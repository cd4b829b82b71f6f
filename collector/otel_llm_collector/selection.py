"""Choosing spans, metric points and log records by what they say: the words that filters, policies and plug-ins share.

A `Selection` is what stands in a configuration, a `Matcher` several of them compiled once for one signal. Before a
request is parsed, its bytes are searched for the words without which nothing in it can match.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from otel_llm_semconv import attributes as attr
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from otel_llm_collector.any_value import scalar_text
from otel_llm_collector.contract import Signal

_MODEL = (attr.GEN_AI_REQUEST_MODEL, attr.GEN_AI_RESPONSE_MODEL)
_OPERATION = (attr.GEN_AI_OPERATION_NAME, attr.OTEL_LLM_OPERATION_NAME)
_WILD = re.compile(r"[*?\[]")


def _words(value: object) -> object:
    """One word or a list of them; numbers and booleans as they are written in JSON."""
    values = value if isinstance(value, list) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values] if value is not None else value


def _several(value: object) -> object:
    return [value] if isinstance(value, Mapping) else value


_Word = str | bool | int | float
Words = Annotated[list[str], BeforeValidator(_words, json_schema_input_type=_Word | list[_Word]), Field(min_length=1)]


class Selection(BaseModel):
    """Which items are meant: all options that are given hold; of a list, any one. `*`, `?` and `[…]` are wildcards."""

    model_config = ConfigDict(extra="forbid")

    signals: list[Signal] | None = Field(None, min_length=1, description="Only items of traces, metrics or logs.")
    service: Words | None = Field(None, description="The service.name of their resource.")
    model: Words | None = Field(None, description="The requested or the answering model.")
    operation: Words | None = Field(None, description="The operation: chat, embeddings, retrieval and so on.")
    attributes: dict[str, Words] = Field(
        default_factory=dict, description="Attributes of the item or its resource, by name."
    )


# one mapping, or a list of which any one is enough
Selections = Annotated[list[Selection], BeforeValidator(_several, json_schema_input_type=Selection | list[Selection])]


class Matcher:
    """Several selections compiled for one signal: an item matches when any of them means it."""

    def __init__(self, selections: Iterable[Selection], signal: Signal) -> None:
        meant = [one for one in selections if one.signals is None or signal in one.signals]
        self._alternatives = [_compiled(one) for one in meant]
        self._needles = [_needles(one) for one in meant]
        self.keys = frozenset(key for tests in self._alternatives for keys, _ in tests for key in keys)

    def possible(self, payload: bytes) -> bool:
        """False when nothing in `payload` can match."""
        return any(all(any(word in payload for word in group) for group in groups) for groups in self._needles)

    def matches(self, resource: Mapping[str, AnyValue], attributes: Mapping[str, AnyValue]) -> bool:
        """Whether an item with these attributes, cut down by `picked` to `keys`, is meant."""
        return any(
            all(_holds(keys, test, resource, attributes) for keys, test in tests) for tests in self._alternatives
        )

    def picked(self, attributes: Iterable[Any]) -> dict[str, AnyValue]:
        """Of an item's or a resource's attributes those that matter here."""
        return {one.key: one.value for one in attributes if one.key in self.keys}


_Test = Callable[[str], bool]


def _compiled(selection: Selection) -> list[tuple[tuple[str, ...], _Test]]:
    """The keys of which any one has to pass, and the test, for each option."""
    tests: list[tuple[tuple[str, ...], _Test]] = [
        (keys, _one_of(words))
        for keys, words in (
            ((attr.SERVICE_NAME,), selection.service),
            (_MODEL, selection.model),
            (_OPERATION, selection.operation),
        )
        if words is not None
    ]
    return tests + [((key,), _one_of(words)) for key, words in selection.attributes.items()]


def _one_of(words: list[str]) -> _Test:
    if not any(_WILD.search(word) for word in words):
        return frozenset(words).__contains__
    pattern = re.compile("|".join(fnmatch.translate(word) for word in words))
    return lambda text: pattern.match(text) is not None


def _needles(selection: Selection) -> list[list[bytes]]:
    """Groups of words: of each group one must occur in a request's bytes for anything in it to match."""
    groups = [
        [word.encode() for word in words]
        for words in (selection.service, selection.model, selection.operation)
        if words is not None and not any(_WILD.search(word) for word in words)
    ]
    return groups + [[key.encode()] for key in selection.attributes]


def _holds(
    keys: tuple[str, ...], test: _Test, resource: Mapping[str, AnyValue], attributes: Mapping[str, AnyValue]
) -> bool:
    for key in keys:
        value = attributes.get(key)
        if value is None:
            value = resource.get(key)
        if value is not None and any(test(text) for text in _texts(value)):
            return True
    return False


def _texts(value: AnyValue) -> Iterable[str]:
    """A value as it is compared; of a list each element."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        for one in value.array_value.values:
            yield from _texts(one)
    elif kind is not None and kind not in ("kvlist_value", "bytes_value"):
        yield scalar_text(value)
