"""A destination's profile: which span attributes are added, renamed, dropped and put on the root before they leave.

A profile is data: one of `otel_llm_semconv/profiles/*.yaml` by its name, or a file of that form by its path. It is
read once, at start; `Profile.apply` then edits each request. Order: what goes on the root; what is added, from the
values as they came; then each other attribute is kept, renamed or dropped by the rule that names it, or failing that
by the longest prefix (`http.*`), or failing that by `others`; types last. Added attributes replace those of their name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import yaml
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_llm_semconv import attributes as attr
from otel_llm_semconv.dialects import compiled
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from otel_llm_collector import limits
from otel_llm_collector.any_value import plain
from otel_llm_collector.deliver.profile_native import NativeProfile

_SHIPPED = resources.files("otel_llm_semconv") / "profiles"
_ABOUT_DIALECTS = (attr.OTEL_LLM_DIALECT_NAMES, attr.OTEL_LLM_DIALECT_CARRIED)


class Added(BaseModel):
    """Where an added attribute takes its value: one of the three."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    span: list[str] = Field(default_factory=list, description="The first of these that the span has.")
    resource: str = Field("", description="An attribute of the resource.")
    as_json: dict[str, str] = Field(
        default_factory=dict, alias="json", description="A JSON object of attributes of the span, less those it lacks."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Added:
        if bool(self.span) + bool(self.resource) + bool(self.as_json) != 1:
            msg = "has not exactly one source; give one of span, resource and json"
            raise ValueError(msg)
        return self


class Lifted(BaseModel):
    """Where an attribute of the root takes its value when the root lacks it: from a span of its trace."""

    model_config = ConfigDict(extra="forbid")

    span: list[str] = Field(min_length=1, description="Any of these, whichever a span has first.")
    pick: Literal["first", "last"] = Field("first", description="From the first span to start, or the last to end.")


class Profile(BaseModel):
    """What a backend wants to read; patterns end in `*` or name one attribute."""

    model_config = ConfigDict(extra="forbid")

    profile: str = Field(description="The profile's name.")
    brief: str = Field(description="What it does, in a sentence.")
    sources: list[str] = Field(description="Where the backend's reading is known from.")
    root: dict[str, Lifted] = Field(default_factory=dict, description="Attributes put on the root of a trace.")
    add: dict[str, Added] = Field(default_factory=dict, description="Attributes added to each span.")
    keep: list[str] = Field(default_factory=list, description="Patterns of what stays, whatever else is said.")
    rename: dict[str, str] = Field(default_factory=dict, description="Pattern to new name or prefix.")
    drop: list[str] = Field(default_factory=list, description="Patterns of what goes.")
    originals: Literal["keep", "drop"] = Field(
        "keep", description="drop: what other dialects said in their own words goes where OpenTelemetry's say it, too."
    )
    others: str = Field("keep", description="What no pattern names: keep, drop, or a new prefix such as x.*.")
    types: dict[str, Literal["int", "double"]] = Field(
        default_factory=dict, description="Pattern to type; a value that is no such number is dropped."
    )
    arrays: Literal["keep", "json"] = Field("keep", description="Lists and maps stay, or become JSON text.")
    last: list[str] = Field(default_factory=list, description="Attributes moved behind all others, in this order.")

    def compiled(self, resource: Mapping[str, str] | None = None, wire: Any | None = None) -> Executed:
        """What executes this profile; `resource` is added to each resource. `wire`: the module in Rust."""
        reference = CompiledProfile(self, resource or {})
        return reference if wire is None else NativeProfile(wire, self, resource or {}, reference)

    def places(self) -> dict[str, str]:
        """Where attributes go by pattern: a new name or prefix, or nothing for what goes."""
        return {one: one for one in self.keep} | self.rename | dict.fromkeys(self.drop, "")

    def other_place(self) -> str:
        """Where those go that no pattern names."""
        return {"keep": "*", "drop": ""}.get(self.others, self.others)


def _load(value: object, info: ValidationInfo) -> object:
    """The profile that a configuration names; None and profiles pass."""
    if not isinstance(value, str):
        return value
    shipped = _SHIPPED / f"{value}.yaml"
    if value.isidentifier() and shipped.is_file():
        text = shipped.read_text(encoding="utf-8")
    else:
        try:
            text = ((info.context or {}).get("folder", Path()) / value).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            msg = f"names no profile; write one of {', '.join(shipped_profiles())}, or the path of a file of that form"
            raise ValueError(msg) from None
    try:
        return Profile.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        msg = f"is no profile: {' '.join(str(error).split())[:300]}; mend it after the model of the shipped ones"
        raise ValueError(msg) from None


def shipped_profiles() -> list[str]:
    """The names of the profiles that come with the collector."""
    return sorted(file.name.removesuffix(".yaml") for file in _SHIPPED.iterdir() if file.name.endswith(".yaml"))


# In a configuration: the name of a shipped profile, or the path of a file; null: attributes leave as they are
ProfileChoice = Annotated[Profile | None, BeforeValidator(_load, json_schema_input_type=str | None)]


class Executed(Protocol):
    """Executes one profile on trace requests: here, or in Rust."""

    def apply(self, payload: bytes) -> bytes: ...


class CompiledProfile:
    """Executes one profile on trace requests."""

    def __init__(self, profile: Profile, resource: Mapping[str, str]) -> None:
        self._profile = profile
        self._resource = dict(resource)
        self._places = _Patterns(profile.places())
        self._types = _Patterns(dict(profile.types))
        self._others = profile.other_place()
        self._plans: dict[str, tuple[str | None, str]] = {}
        always = bool(resource) or profile.others != "keep" or profile.arrays != "keep"
        self._needles = [] if always else [name.encode() for name in _mentioned(profile)]

    def apply(self, payload: bytes) -> bytes:
        """The trace request `payload` as the backend wants it; the same bytes where nothing changes."""
        if self._needles and not any(needle in payload for needle in self._needles):
            return payload
        request = ExportTraceServiceRequest.FromString(payload)
        changed = self._put_on_roots(request)
        for resource_spans in request.resource_spans:
            changed |= _set_all(resource_spans.resource.attributes, self._resource)
            resource = {one.key: one.value for one in resource_spans.resource.attributes}
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    changed |= self._edit(span, resource)
        return request.SerializeToString() if changed else payload

    def _edit(self, span: Span, resource: Mapping[str, AnyValue]) -> bool:
        """Edit one span; whether anything changed."""
        attributes: Any = span.attributes
        added = self._added(attributes, resource) if self._profile.add else {}
        originals = _originals(attributes) if self._profile.originals == "drop" else None
        gone = []
        changed = bool(added)
        keys = [one.key for one in attributes]
        present = set(keys)
        for index, key in enumerate(keys):
            name, kind = self._plans.get(key) or self._plan(key)
            if originals is not None and originals.find(key) is not None:
                gone.append(index)
                continue
            if name is None or key in added or name in added or (name != key and name in present):
                gone.append(index)
                continue
            one = attributes[index]
            if name != key:
                one.key = name
                present.add(name)
                changed = True
            if kind and one.value.WhichOneof("value") != f"{kind}_value":
                changed = True
                if not _convert(one.value, kind):
                    gone.append(index)
            elif self._profile.arrays == "json" and one.value.WhichOneof("value") in ("array_value", "kvlist_value"):
                one.value.string_value = json.dumps(plain(one.value, bytes.hex), ensure_ascii=False, default=str)
                changed = True
        for index in reversed(gone):
            del attributes[index]
        for key, value in added.items():
            attributes.add(key=key).value.CopyFrom(value)
        moved = bool(self._profile.last) and self._move_last(attributes)
        return moved or changed or bool(gone)

    def _plan(self, key: str) -> tuple[str | None, str]:
        """The name under which `key` leaves (None when it does not) and the type that it must have."""
        target = self._places.find(key)
        if target is None:
            target = self._others
        name: str | None = target or None
        if target.endswith("*"):
            name = target[:-1] + key[len(self._places.prefix(key)) :]
            name = name if name or not key else None
        plan = (name, "" if name is None else self._types.find(name) or "")
        if len(self._plans) < limits.MAX_PROFILE_NAMES:
            self._plans[key] = plan
        return plan

    def _added(self, attributes: Any, resource: Mapping[str, AnyValue]) -> dict[str, AnyValue]:
        values = {one.key: one.value for one in attributes}
        added = {}
        for name, source in self._profile.add.items():
            if source.as_json:
                parts = {
                    part: plain(values[attribute], bytes.hex)
                    for part, attribute in source.as_json.items()
                    if attribute in values
                }
                if parts:
                    added[name] = AnyValue(string_value=json.dumps(parts, ensure_ascii=False, default=str))
                continue
            found = resource.get(source.resource) if source.resource else _first(values, source.span)
            if found is not None:
                value = AnyValue()
                value.CopyFrom(found)
                added[name] = value
        return added

    def _put_on_roots(self, request: ExportTraceServiceRequest) -> bool:
        """Put what the profile names on the root of each trace, from the spans of it that are in this request."""
        if not self._profile.root:
            return False
        spans = [span for level in request.resource_spans for scope in level.scope_spans for span in scope.spans]
        roots = {span.trace_id: span for span in spans if not span.parent_span_id}
        changed = False
        for pick, key in (("first", _start), ("last", _end)):
            wanted = {name: lifted.span for name, lifted in self._profile.root.items() if lifted.pick == pick}
            for span in sorted(spans, key=key) if wanted else ():
                root = roots.get(span.trace_id)
                if root is not None:
                    changed |= _lift(span, root, wanted)
        return changed

    def _move_last(self, attributes: Any) -> bool:
        moved = False
        for name in self._profile.last:
            for index, one in enumerate(attributes):
                if one.key == name and index < len(attributes) - 1:
                    attributes.add().CopyFrom(one)
                    del attributes[index]
                    moved = True
                    break
        return moved


def _originals(attributes: Any) -> _Patterns | None:
    """The attributes of other dialects that a span says twice, or that only those dialects' own backends read."""
    found = {one.key: one.value for one in attributes if one.key in _ABOUT_DIALECTS}
    if not found:
        return None
    names, carried = (
        tuple(one.string_value for one in found[key].array_value.values) if key in found else ()
        for key in _ABOUT_DIALECTS
    )
    return _patterns_of(names, carried)


@lru_cache(maxsize=limits.MAX_PROFILE_NAMES)
def _patterns_of(names: tuple[str, ...], carried: tuple[str, ...]) -> _Patterns:
    tables = [one for one in compiled()["dialects"] if one["dialect"] in names]
    return _Patterns(dict.fromkeys([*carried, *(one for it in tables for one in (*it["moved"], *it["dropped"]))], ""))


class _Patterns:
    """Names and prefixes (`a.*`), each with what it stands for; a name wins, then the longest prefix."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._names = {one: to for one, to in patterns.items() if not one.endswith("*")}
        prefixes = {one[:-1]: to for one, to in patterns.items() if one.endswith("*")}
        self._prefixes = dict(sorted(prefixes.items(), key=lambda item: -len(item[0])))

    def find(self, name: str) -> str | None:
        """What `name` stands for; None when no pattern fits."""
        if name in self._names:
            return self._names[name]
        return next((to for prefix, to in self._prefixes.items() if name.startswith(prefix)), None)

    def prefix(self, name: str) -> str:
        """The prefix by which `name` was found; empty when it was by none."""
        return next((prefix for prefix in self._prefixes if name.startswith(prefix)), "")


def _mentioned(profile: Profile) -> Iterable[str]:
    """Every name or prefix whose presence in a request can make a difference."""
    if profile.originals == "drop":
        yield attr.OTEL_LLM_DIALECT_NAMES
    for source in profile.add.values():
        yield from (*source.span, *source.as_json.values(), *([source.resource] if source.resource else []))
    for lifted in profile.root.values():
        yield from lifted.span
    for pattern in (*profile.rename, *profile.drop, *profile.types, *profile.last):
        yield pattern.removesuffix("*")


def _start(span: Span) -> int:
    return span.start_time_unix_nano


def _end(span: Span) -> int:
    return -span.end_time_unix_nano


def _lift(span: Span, root: Span, wanted: Mapping[str, list[str]]) -> bool:
    present = {one.key for one in root.attributes}
    changed = False
    for name, sources in wanted.items():
        found = None if name in present else _first({one.key: one.value for one in span.attributes}, sources)
        if found is not None:
            root.attributes.add(key=name).value.CopyFrom(found)
            changed = True
    return changed


def _first(values: Mapping[str, AnyValue], names: Iterable[str]) -> AnyValue | None:
    return next((values[name] for name in names if name in values), None)


def _set_all(attributes: Any, values: Mapping[str, str]) -> bool:
    """Set each of `values`, whatever was there under its name."""
    if not values:
        return False
    kept = [one for one in attributes if one.key not in values]
    del attributes[:]
    attributes.extend(kept)
    for key, value in values.items():
        attributes.add(key=key).value.string_value = value
    return True


def _convert(value: AnyValue, kind: str) -> bool:
    """Make `value` an int or a double; False when it is no such number."""
    given = plain(value, bytes.hex)
    try:
        number = float(given) if isinstance(given, (int, float, str)) and not isinstance(given, bool) else None
        if number is None or (kind == "int" and not number.is_integer()):
            return False
        if kind == "int":
            value.int_value = int(given) if isinstance(given, (int, str)) and str(given).isdecimal() else int(number)
        else:
            value.double_value = number
    except (ValueError, OverflowError):
        return False
    return True
