"""A profile executed in Rust (`otel_llm_wire.Profile`), and the plain data that it is given.

It does what `CompiledProfile` does, over the bytes themselves: what does not change is copied. A request that is not
plain OTLP, or holds a value about which Python knows more, goes to `CompiledProfile`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_llm_semconv import attributes as attr
from otel_llm_semconv.dialects import compiled

if TYPE_CHECKING:
    from otel_llm_collector.deliver.profile import Added, CompiledProfile, Profile


class NativeProfile:
    """See the module. `handed_back` counts the requests that `reference` got."""

    def __init__(self, wire: Any, profile: Profile, resource: Mapping[str, str], reference: CompiledProfile) -> None:
        self._wire = wire.Profile(tables(profile, resource))
        self._reference = reference
        self.handed_back = 0

    def apply(self, payload: bytes) -> bytes:
        """The trace request `payload` as the backend wants it; the same bytes where nothing changes."""
        made: bytes | None = self._wire.apply(payload)
        if made is None:
            self.handed_back += 1
            return self._reference.apply(payload)
        return made


def tables(profile: Profile, resource: Mapping[str, str]) -> dict[str, Any]:
    """Everything the Rust code has to know."""
    return {
        "places": list(profile.places().items()),
        "others": profile.other_place(),
        "types": list(profile.types.items()),
        "add": [(name, _source(source)) for name, source in profile.add.items()],
        "root": [(name, lifted.span, lifted.pick) for name, lifted in profile.root.items()],
        "last": profile.last,
        "originals": None if profile.originals == "keep" else _originals(),
        "dialect_names": attr.OTEL_LLM_DIALECT_NAMES,
        "dialect_carried": attr.OTEL_LLM_DIALECT_CARRIED,
        "arrays_as_json": profile.arrays == "json",
        "resource": list(resource.items()),
    }


def _source(source: Added) -> str | list[str] | list[tuple[str, str]]:
    return list(source.as_json.items()) or source.span or source.resource


def _originals() -> list[tuple[str, list[str]]]:
    return [(one["dialect"], [*one["moved"], *one["dropped"]]) for one in compiled()["dialects"]]
