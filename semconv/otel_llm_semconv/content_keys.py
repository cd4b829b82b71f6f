"""Which attributes hold what people or models wrote: the registry's own, and those of other dialects."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from otel_llm_semconv import attributes
from otel_llm_semconv.catalog import ATTRIBUTES
from otel_llm_semconv.dialects import compiled


class ContentKeys:
    """A set of attribute names; a pattern ending in `*` is a prefix. Names that the registry knows are as it says."""

    def __init__(self, patterns: Iterable[str]) -> None:
        names = {*attributes.CONTENT, *patterns}
        self.exact = frozenset(name for name in names if not name.endswith("*"))
        self.prefixes = tuple(sorted(name.removesuffix("*") for name in names if name.endswith("*")))

    def __contains__(self, key: str) -> bool:
        return key in self.exact or (key.startswith(self.prefixes) and key not in ATTRIBUTES)


@cache
def content_keys() -> ContentKeys:
    """The names in the registry and in all dialects."""
    return ContentKeys(compiled()["content"])
