"""Reads a registry in Weaver's v2 format (`file_format: definition/2`) into plain objects.

Strict: an unknown key, a missing one or a wrong type is an error that names file, object, key, the value seen and what
would be right. All errors of a registry are reported at once. Only the parts of the format that our files use are read
(attributes and groups of them, spans, events, metrics, a manifest with dependencies); the others are refused by name
rather than skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml

FILE_FORMAT = "definition/2"
REGISTRY = Path(__file__).parent / "registry"

STABILITIES = ("development", "alpha", "beta", "release_candidate", "stable")
INSTRUMENTS = ("counter", "updowncounter", "gauge", "histogram")
SPAN_KINDS = ("client", "server", "producer", "consumer", "internal")
REQUIREMENT_LEVELS = ("required", "conditionally_required", "recommended", "opt_in")
EMITTERS = ("engine", "sdk", "collector")
_SCALARS = ("string", "int", "double", "boolean")
TYPES = (*_SCALARS, *(f"{name}[]" for name in _SCALARS), "any", *(f"template[{name}]" for name in _SCALARS))
SENSITIVITIES = ("content", "identity")
_DEPRECATED_REASONS = ("renamed", "obsoleted", "uncategorized", "unspecified")

_ATTRIBUTE_KEYS = {"key", "type", "brief", "stability", "note", "examples", "deprecated", "annotations"}
_MEMBER_KEYS = {"id", "value", "brief", "note", "stability", "deprecated", "annotations"}
_METRIC_KEYS = {"name", "instrument", "unit", "brief", "stability", "note", "attributes", "deprecated", "annotations"}
_SPAN_KEYS = {"type", "kind", "name", "brief", "stability", "note", "attributes", "deprecated", "annotations"}
_EVENT_KEYS = {"name", "brief", "stability", "note", "attributes", "deprecated", "annotations"}
_GROUP_KEYS = {"id", "visibility", "attributes"}
_FILE_KEYS = {"file_format", "attributes", "attribute_groups", "spans", "metrics", "events"}
_REF_KEYS = {"ref", "brief", "note", "examples", "requirement_level", "stability", "deprecated", "annotations"}
_MANIFEST_KEYS = {"schema_url", "stability", "description", "dependencies"}


class RegistryError(Exception):
    """A registry that cannot be read; `problems` has one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class Member:
    """One well-known value of an enum attribute."""

    id: str
    value: str
    brief: str = ""


@dataclass(frozen=True)
class Attribute:
    """One attribute; `members` is empty unless it is an enum, whose `type` is then `string`."""

    key: str
    type: str
    brief: str
    stability: str
    members: tuple[Member, ...] = ()
    note: str = ""
    renamed_to: str = ""  # the live attribute, when this one is deprecated by renaming
    deprecated: bool = False
    sensitivity: str = ""  # "content", "identity" or nothing
    examples: tuple[Any, ...] = ()
    source: str = ""  # the file it is defined in
    upstream: bool = False


@dataclass(frozen=True)
class MetricDefinition:
    """One metric; `boundaries` only for histograms.

    `emitter` says who records it: `engine` (the collector, from spans), `sdk`, `collector` (about itself); nothing for
    metrics of upstream that we only read.
    """

    name: str
    instrument: str
    unit: str
    brief: str
    stability: str
    attributes: tuple[str, ...]
    boundaries: tuple[float, ...] = ()
    emitter: str = ""
    source: str = ""
    upstream: bool = False


@dataclass(frozen=True)
class SpanDefinition:
    """One type of span: `attributes` maps a key to its requirement level.

    The type is not on the wire, so `operations` holds the values of the operation's name by which a span of this type
    is known.
    """

    type: str
    kind: str
    brief: str
    stability: str
    attributes: dict[str, str]
    operations: tuple[str, ...] = ()
    source: str = ""
    upstream: bool = False


@dataclass(frozen=True)
class EventDefinition:
    """One event, a log record with this name; `attributes` maps a key to its requirement level."""

    name: str
    brief: str
    stability: str
    attributes: dict[str, str]
    source: str = ""
    upstream: bool = False


@dataclass
class Registry:
    """A registry with its dependencies; upstream's items are marked."""

    schema_url: str
    attributes: dict[str, Attribute] = field(default_factory=dict)
    metrics: dict[str, MetricDefinition] = field(default_factory=dict)
    spans: dict[str, SpanDefinition] = field(default_factory=dict)
    events: dict[str, EventDefinition] = field(default_factory=dict)
    groups: dict[str, dict[str, str]] = field(default_factory=dict)


def load(folder: Path = REGISTRY) -> Registry:
    """The registry in `folder`, its dependencies included. Raises `RegistryError` with everything that is wrong."""
    problems: list[str] = []
    registry = _load(folder, problems, upstream=False)
    if problems:
        raise RegistryError(problems)
    return registry


def _load(folder: Path, problems: list[str], *, upstream: bool) -> Registry:
    manifest = _read(folder / "manifest.yaml", problems)
    _keys(manifest, _MANIFEST_KEYS, {"schema_url", "stability"}, f"{folder.name}/manifest.yaml", problems)
    registry = Registry(str(manifest.get("schema_url", "")))
    for dependency in manifest.get("dependencies") or []:
        below = _load(folder / str(dependency.get("registry_path", "")), problems, upstream=True)
        if below.schema_url != dependency.get("schema_url"):
            seen, right = dependency.get("schema_url"), below.schema_url
            problems.append(
                f"{folder.name}/manifest.yaml: dependency has another schema_url (seen: {seen}); write {right}"
            )
        registry.attributes |= below.attributes
        registry.metrics |= below.metrics
        registry.spans |= below.spans
        registry.events |= below.events
        registry.groups |= below.groups
    for path in sorted(folder.glob("*.yaml")):
        if path.name != "manifest.yaml":
            _load_file(path, registry, problems, upstream=upstream)
    return registry


def _load_file(path: Path, registry: Registry, problems: list[str], *, upstream: bool) -> None:
    document = _read(path, problems)
    where = f"{path.parent.name}/{path.name}"
    _keys(document, _FILE_KEYS, {"file_format"}, where, problems)
    if document.get("file_format") != FILE_FORMAT:
        problems.append(f"{where}: file_format is {document.get('file_format')!r}; write {FILE_FORMAT}")
    for raw in _mappings(document, "attributes", where, problems):
        attribute = _attribute(raw, where, problems, upstream=upstream)
        _once("attribute", attribute.key, attribute, registry.attributes, problems)
    for raw in _mappings(document, "attribute_groups", where, problems):
        _keys(raw, _GROUP_KEYS, _GROUP_KEYS, f"{where}: group {raw.get('id', '?')}", problems)
        registry.groups[str(raw.get("id", ""))] = _references(raw, registry, where, problems)
    for raw in _mappings(document, "metrics", where, problems):
        metric = _metric(raw, where, problems, upstream=upstream)
        _once("metric", metric.name, metric, registry.metrics, problems)
    for raw in _mappings(document, "spans", where, problems):
        span = _span(raw, registry, where, problems, upstream=upstream)
        _once("span", span.type, span, registry.spans, problems)
    for raw in _mappings(document, "events", where, problems):
        event = _event(raw, registry, where, problems, upstream=upstream)
        _once("event", event.name, event, registry.events, problems)


class _Sourced(Protocol):
    @property
    def source(self) -> str: ...


_T = TypeVar("_T", bound=_Sourced)


def _once(kind: str, name: str, item: _T, into: dict[str, _T], problems: list[str]) -> None:
    if name in into:
        problems.append(f"{item.source}: {kind} {name} is already defined in {into[name].source}; define it once")
    into[name] = item


def _attribute(raw: Mapping[str, Any], where: str, problems: list[str], *, upstream: bool) -> Attribute:
    where = f"{where}: attribute {raw.get('key', '?')}"
    _keys(raw, _ATTRIBUTE_KEYS, {"key", "type", "brief", "stability"}, where, problems)
    _one_of(raw, "stability", STABILITIES, where, problems)
    kind = raw.get("type")
    members: tuple[Member, ...] = ()
    if isinstance(kind, Mapping):
        _keys(kind, {"members"}, {"members"}, f"{where}: type", problems)
        members = tuple(_member(member, where, problems) for member in _mappings(kind, "members", where, problems))
        kind = "string"
    elif kind not in TYPES:
        problems.append(f"{where}: type is unknown (seen: {kind!r}); write one of {', '.join(TYPES)}, or members")
    deprecated = raw.get("deprecated") or {}
    if deprecated:
        _keys(deprecated, {"reason", "note", "renamed_to"}, {"reason"}, f"{where}: deprecated", problems)
        _one_of(deprecated, "reason", _DEPRECATED_REASONS, f"{where}: deprecated", problems)
    sensitivity = _ours(raw).get("sensitivity", "")
    if sensitivity and sensitivity not in SENSITIVITIES:
        problems.append(f"{where}: sensitivity is unknown (seen: {sensitivity!r}); write {' or '.join(SENSITIVITIES)}")
    return Attribute(
        key=str(raw.get("key", "")),
        type=str(kind),
        brief=str(raw.get("brief", "")),
        stability=str(raw.get("stability", "")),
        members=members,
        note=str(raw.get("note", "")),
        renamed_to=str(deprecated.get("renamed_to", "")),
        deprecated=bool(deprecated),
        sensitivity=str(sensitivity),
        examples=tuple(raw.get("examples") or ()),
        source=where.partition(":")[0],
        upstream=upstream,
    )


def _member(raw: Mapping[str, Any], where: str, problems: list[str]) -> Member:
    _keys(raw, _MEMBER_KEYS, {"id"}, f"{where}: member {raw.get('id', '?')}", problems)
    identity = str(raw.get("id", ""))
    return Member(identity, str(raw.get("value", identity)), str(raw.get("brief", "")))


def _span(
    raw: Mapping[str, Any], registry: Registry, where: str, problems: list[str], *, upstream: bool
) -> SpanDefinition:
    where = f"{where}: span {raw.get('type', '?')}"
    _keys(raw, _SPAN_KEYS, {"type", "kind", "name", "brief", "stability"}, where, problems)
    _one_of(raw, "stability", STABILITIES, where, problems)
    _one_of(raw, "kind", SPAN_KINDS, where, problems)
    return SpanDefinition(
        type=str(raw.get("type", "")),
        kind=str(raw.get("kind", "")),
        brief=str(raw.get("brief", "")),
        stability=str(raw.get("stability", "")),
        attributes=_references(raw, registry, where, problems),
        operations=tuple(str(name) for name in _ours(raw).get("operations", ())),
        source=where.partition(":")[0],
        upstream=upstream,
    )


def _event(
    raw: Mapping[str, Any], registry: Registry, where: str, problems: list[str], *, upstream: bool
) -> EventDefinition:
    where = f"{where}: event {raw.get('name', '?')}"
    _keys(raw, _EVENT_KEYS, {"name", "brief", "stability"}, where, problems)
    _one_of(raw, "stability", STABILITIES, where, problems)
    return EventDefinition(
        name=str(raw.get("name", "")),
        brief=str(raw.get("brief", "")),
        stability=str(raw.get("stability", "")),
        attributes=_references(raw, registry, where, problems),
        source=where.partition(":")[0],
        upstream=upstream,
    )


def _references(raw: Mapping[str, Any], registry: Registry, where: str, problems: list[str]) -> dict[str, str]:
    """Keys with their requirement levels; what a group brings is overridden by an entry of its own."""
    grouped: dict[str, str] = {}
    own: dict[str, str] = {}
    for reference in _mappings(raw, "attributes", where, problems):
        if "ref_group" in reference:
            group = registry.groups.get(str(reference["ref_group"]))
            if group is None:
                problems.append(f"{where}: ref_group {reference['ref_group']!r} is no group defined before; mend it")
            grouped |= group or {}
            continue
        _keys(reference, _REF_KEYS, {"ref"}, f"{where}: attributes", problems)
        level = reference.get("requirement_level", "recommended")
        level = next(iter(level)) if isinstance(level, Mapping) and level else level
        if level not in REQUIREMENT_LEVELS:
            known = ", ".join(REQUIREMENT_LEVELS)
            problems.append(f"{where}: requirement_level is unknown (seen: {level!r}); write one of {known}")
        own[str(reference.get("ref"))] = str(level)
    return grouped | own


def _metric(raw: Mapping[str, Any], where: str, problems: list[str], *, upstream: bool) -> MetricDefinition:
    where = f"{where}: metric {raw.get('name', '?')}"
    _keys(raw, _METRIC_KEYS, {"name", "instrument", "unit", "brief", "stability"}, where, problems)
    _one_of(raw, "stability", STABILITIES, where, problems)
    _one_of(raw, "instrument", INSTRUMENTS, where, problems)
    references = list(_mappings(raw, "attributes", where, problems))
    for reference in references:
        _keys(reference, _REF_KEYS, {"ref"}, f"{where}: attributes", problems)
    emitter = _ours(raw).get("emitter", "")
    if (emitter not in EMITTERS) if not upstream else emitter:
        problems.append(f"{where}: emitter is {emitter!r}; write one of {', '.join(EMITTERS)}, and none upstream")
    boundaries = tuple(float(bound) for bound in _ours(raw).get("boundaries", ()))
    if list(boundaries) != sorted(set(boundaries)):
        problems.append(f"{where}: boundaries do not rise (seen: {boundaries}); write each once, in rising order")
    if bool(boundaries) != (raw.get("instrument") == "histogram"):
        problems.append(f"{where}: a histogram has boundaries and nothing else has (seen: {raw.get('instrument')})")
    return MetricDefinition(
        name=str(raw.get("name", "")),
        instrument=str(raw.get("instrument", "")),
        unit=str(raw.get("unit", "")),
        brief=str(raw.get("brief", "")),
        stability=str(raw.get("stability", "")),
        attributes=tuple(str(reference.get("ref")) for reference in references),
        boundaries=boundaries,
        emitter=str(emitter),
        source=where.partition(":")[0],
        upstream=upstream,
    )


def _ours(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Our part of an object's annotations."""
    ours = (raw.get("annotations") or {}).get("otel_llm", {})
    return ours if isinstance(ours, Mapping) else {}


def _read(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(f"{path.parent.name}/{path.name}: cannot be read ({' '.join(str(error).split())})")
        return {}
    if not isinstance(document, dict):
        problems.append(f"{path.parent.name}/{path.name}: is {type(document).__name__}; write a mapping")
        return {}
    return document


def _mappings(parent: Mapping[str, Any], key: str, where: str, problems: list[str]) -> Iterator[Mapping[str, Any]]:
    entries = parent.get(key) or []
    if not isinstance(entries, list):
        problems.append(f"{where}: {key} is {type(entries).__name__}; write a list")
        return
    for entry in entries:
        if isinstance(entry, Mapping):
            yield entry
        else:
            problems.append(f"{where}: {key} holds {entry!r}; write a mapping")


def _keys(raw: Mapping[str, Any], known: set[str], required: set[str], where: str, problems: list[str]) -> None:
    problems.extend(
        f"{where}: unknown key {key!r}; known here: {', '.join(sorted(known))}" for key in sorted(set(raw) - known)
    )
    problems.extend(f"{where}: {key} is missing; add it" for key in sorted(required - set(raw)))


def _one_of(raw: Mapping[str, Any], key: str, known: tuple[str, ...], where: str, problems: list[str]) -> None:
    if key in raw and raw[key] not in known:
        problems.append(f"{where}: {key} is unknown (seen: {raw[key]!r}); write one of {', '.join(known)}")
