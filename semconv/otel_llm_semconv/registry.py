"""Reads a registry in Weaver's v2 format (`file_format: definition/2`) into plain objects.

Strict: an unknown key, a missing one or a wrong type is an error that names file, object, key, the value seen and what
would be right. All errors of a registry are reported at once. Only the parts of the format that our files use are read
(attributes, metrics, a manifest with dependencies); the others are refused by name rather than skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILE_FORMAT = "definition/2"
REGISTRY = Path(__file__).parent / "registry"

STABILITIES = ("development", "alpha", "beta", "release_candidate", "stable")
INSTRUMENTS = ("counter", "updowncounter", "gauge", "histogram")
_SCALARS = ("string", "int", "double", "boolean")
TYPES = (*_SCALARS, *(f"{name}[]" for name in _SCALARS), "any", *(f"template[{name}]" for name in _SCALARS))
SENSITIVITIES = ("content", "identity")
_DEPRECATED_REASONS = ("renamed", "obsoleted", "uncategorized", "unspecified")

_ATTRIBUTE_KEYS = {"key", "type", "brief", "stability", "note", "examples", "deprecated", "annotations"}
_MEMBER_KEYS = {"id", "value", "brief", "note", "stability", "deprecated", "annotations"}
_METRIC_KEYS = {"name", "instrument", "unit", "brief", "stability", "note", "attributes", "deprecated", "annotations"}
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
    source: str = ""  # the file it is defined in
    upstream: bool = False


@dataclass(frozen=True)
class MetricDefinition:
    """One metric; `boundaries` only for histograms."""

    name: str
    instrument: str
    unit: str
    brief: str
    stability: str
    attributes: tuple[str, ...]
    boundaries: tuple[float, ...] = ()
    source: str = ""


@dataclass
class Registry:
    """A registry with its dependencies; upstream's items are marked."""

    schema_url: str
    attributes: dict[str, Attribute] = field(default_factory=dict)
    metrics: dict[str, MetricDefinition] = field(default_factory=dict)


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
    for path in sorted(folder.glob("*.yaml")):
        if path.name != "manifest.yaml":
            _load_file(path, registry, problems, upstream=upstream)
    return registry


def _load_file(path: Path, registry: Registry, problems: list[str], *, upstream: bool) -> None:
    document = _read(path, problems)
    where = f"{path.parent.name}/{path.name}"
    _keys(document, {"file_format", "attributes", "metrics"}, {"file_format"}, where, problems)
    if document.get("file_format") != FILE_FORMAT:
        problems.append(f"{where}: file_format is {document.get('file_format')!r}; write {FILE_FORMAT}")
    for raw in _mappings(document, "attributes", where, problems):
        attribute = _attribute(raw, where, problems, upstream=upstream)
        if attribute.key in registry.attributes:
            other = registry.attributes[attribute.key].source
            problems.append(f"{where}: attribute {attribute.key} is already defined in {other}; define it once")
        registry.attributes[attribute.key] = attribute
    for raw in _mappings(document, "metrics", where, problems):
        metric = _metric(raw, where, problems)
        if metric.name in registry.metrics:
            problems.append(f"{where}: metric {metric.name} is already defined; define it once")
        registry.metrics[metric.name] = metric


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
        source=where.partition(":")[0],
        upstream=upstream,
    )


def _member(raw: Mapping[str, Any], where: str, problems: list[str]) -> Member:
    _keys(raw, _MEMBER_KEYS, {"id"}, f"{where}: member {raw.get('id', '?')}", problems)
    identity = str(raw.get("id", ""))
    return Member(identity, str(raw.get("value", identity)), str(raw.get("brief", "")))


def _metric(raw: Mapping[str, Any], where: str, problems: list[str]) -> MetricDefinition:
    where = f"{where}: metric {raw.get('name', '?')}"
    _keys(raw, _METRIC_KEYS, {"name", "instrument", "unit", "brief", "stability"}, where, problems)
    _one_of(raw, "stability", STABILITIES, where, problems)
    _one_of(raw, "instrument", INSTRUMENTS, where, problems)
    references = list(_mappings(raw, "attributes", where, problems))
    for reference in references:
        _keys(reference, _REF_KEYS, {"ref"}, f"{where}: attributes", problems)
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
        source=where.partition(":")[0],
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
