"""Reads the dialect tables (`dialects/*.yaml`) and compiles them to the plain data that both engines execute.

A dialect is how one library spells what OpenTelemetry spells `gen_ai.*`. Each file says how its spans are recognised
and which of its attributes become which of OpenTelemetry's; `docs/dialects.md` describes the format. Strict: unknown
keys, targets that the registry does not know, and unknown conversions are errors, all reported at once.

`make generate` compiles the files into `dialects.json`, so that a running collector reads no YAML and no registry.
What the compiled table may hold is fixed by `compile_dialects`; an engine needs nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from otel_llm_semconv.registry import Registry, RegistryError

FOLDER = Path(__file__).parent / "dialects"
COMPILED = Path(__file__).parent / "dialects.json"
COMMON = "common.yaml"

Table = dict[str, Any]
"""A compiled table: dict, list, str, int, float and bool alone."""

_FILE_KEYS = {
    "dialect", "title", "versions", "source", "precedence", "detect", "encoded", "logs", "attributes", "conversions",
    "moved", "dropped", "content",
}  # fmt: skip
_DETECT_KEYS = {"attributes", "scopes", "resource"}
_RULE_KEYS = {
    "to", "from", "sum", "when", "replace", "value", "decode", "where", "map", "dotted", "unit", "split", "shape",
    "role", "column", "count", "since_start",
}  # fmt: skip
_UNITS = {"ms": 0.001, "us": 0.000001, "ns": 0.000000001}
_SHAPES = ("messages", "documents", "tools")
_SOURCE_KINDS = ("event", "events", "span", "scope", "resource")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def load(registry: Registry, folder: Path = FOLDER, extra: Iterable[Path] = ()) -> Table:
    """The compiled table of every dialect in `folder` and of the files `extra`. Raises `RegistryError`."""
    problems: list[str] = []
    common = _read(folder / COMMON, problems)
    paths = [*sorted(path for path in folder.glob("*.yaml") if path.name != COMMON), *extra]
    dialects = [_Reader(path, registry, common, problems).read() for path in paths]
    if problems:
        raise RegistryError(problems)
    return compile_dialects(dialects, common)


def compiled() -> Table:
    """The table that `make generate` wrote."""
    table: Table = json.loads(COMPILED.read_text(encoding="utf-8"))
    return table


def compile_dialects(dialects: list[Table], common: Mapping[str, Any]) -> Table:
    """The tables of single dialects as one table, by precedence.

    `markers`, `scopes` and `resource` say which dialects a span speaks, `logs` which log events are messages;
    `dialects` holds the rules of each, in the order in which they are tried; `shapes` is how messages, documents and
    tools are read; `content` names the attributes of these dialects that hold what people or models wrote.
    """
    ordered = sorted(dialects, key=lambda dialect: (dialect["precedence"], dialect["dialect"]))
    markers: dict[str, list[str]] = {}
    for dialect in ordered:
        for key in dialect["detect"]["attributes"]:
            markers.setdefault(key, []).append(dialect["dialect"])
    return {
        "markers": markers,
        "scopes": [[one, dialect["dialect"]] for dialect in ordered for one in dialect["detect"]["scopes"]],
        "resource": [[*one, dialect["dialect"]] for dialect in ordered for one in dialect["detect"]["resource"]],
        "logs": {event: [one["dialect"], to] for one in reversed(ordered) for event, to in one["logs"].items()},
        "content": sorted({pattern for dialect in ordered for pattern in dialect["content"]}),
        "shapes": common.get("shapes", {}),
        "dialects": [{key: value for key, value in one.items() if key not in {"detect", "logs"}} for one in ordered],
    }


class _Reader:
    """Reads one dialect file; what is wrong goes to `problems`."""

    def __init__(self, path: Path, registry: Registry, common: Mapping[str, Any], problems: list[str]) -> None:
        self._where = f"dialects/{path.name}"
        self._path = path
        self._registry = registry
        self._maps: Mapping[str, Any] = common.get("maps", {})
        self._problems = problems

    def read(self) -> Table:
        raw = _read(self._path, self._problems)
        self._known(raw, _FILE_KEYS, {"dialect", "title", "versions", "source", "precedence", "detect"}, self._where)
        name = str(raw.get("dialect", ""))
        if name != self._path.stem or not _NAME.fullmatch(name):
            self._problem(self._where, f"dialect is {name!r}; write the file's own name, {self._path.stem}")
        if raw.get("encoded") not in (None, "json"):
            self._problem(self._where, f"encoded is unknown (seen: {raw['encoded']!r}); write json or nothing")
        rules = [
            self._rule({"to": target, "from": sources}, f"attributes: {target}")
            for target, sources in (raw.get("attributes") or {}).items()
        ]
        for number, rule in enumerate(raw.get("conversions") or [], 1):
            rules.append(self._rule(rule, f"conversion {number}"))
        whole = {part["key"] for rule in rules for one in rule["from"] for part in _parts(one) if _is_whole(part)}
        return {
            "dialect": name,
            "precedence": int(raw.get("precedence", 0)),
            "detect": self._detect(raw.get("detect") or {}),
            "encoded": str(raw.get("encoded") or ""),
            "logs": self._logs(raw.get("logs") or {}),
            "rules": rules,
            "carried": sorted(whole - self._registry.attributes.keys()),
            "moved": sorted(map(str, raw.get("moved") or [])),
            "dropped": sorted(map(str, raw.get("dropped") or [])),
            "content": sorted({*map(str, raw.get("content") or []), *self._content(rules)}),
        }

    def _logs(self, raw: Mapping[str, Any]) -> dict[str, str]:
        """Event name -> the attribute that says what the event's body says."""
        for event, target in raw.items():
            if target not in self._registry.attributes:
                self._problem(f"{self._where}: logs: {event}", f"{target} is not in the registry; write one of its own")
        return {str(event): str(target) for event, target in raw.items()}

    def _detect(self, raw: Mapping[str, Any]) -> Table:
        self._known(raw, _DETECT_KEYS, set(), f"{self._where}: detect")
        return {
            "attributes": [str(one) for one in raw.get("attributes") or []],
            "scopes": [str(one) for one in raw.get("scopes") or []],
            "resource": [[str(key), str(value)] for key, value in (raw.get("resource") or {}).items()],
        }

    def _rule(self, raw: Mapping[str, Any], where: str) -> Table:
        where = f"{self._where}: {where}"
        self._known(raw, _RULE_KEYS, {"to"}, where)
        target = str(raw.get("to", ""))
        attribute = self._registry.attributes.get(target)
        if attribute is None:
            self._problem(where, f"{target} is not in the registry; write one of its attributes")
        sources = raw.get("from", [])
        sources = list(sources) if isinstance(sources, list) else [sources]
        if bool(sources) == ("value" in raw):
            self._problem(where, "write either from or value")
        rule = {
            "to": target,
            "type": attribute.type if attribute else "string",
            "from": [_source(one) for one in sources],
            "sum": bool(raw.get("sum", False)),
            "when": [self._condition(str(key), wanted) for key, wanted in (raw.get("when") or {}).items()],
            "replace": bool(raw.get("replace", False)) or target in sources,
            "steps": self._steps(raw, where),
        }
        if "value" in raw:
            rule["value"] = raw["value"]
        return rule

    def _condition(self, source: str, wanted: Any) -> list[Any]:
        """`[source, "present"]`, `[source, "absent"]` or `[source, "in", values]`."""
        if wanted in ("present", "absent"):
            return [_source(source), wanted]
        words = wanted if isinstance(wanted, list) else [wanted]
        return [_source(source), "in", [str(one).lower() if isinstance(one, bool) else str(one) for one in words]]

    def _steps(self, raw: Mapping[str, Any], where: str) -> list[list[Any]]:
        """The conversions in the order in which they are applied, whatever the order in the file."""
        makers: dict[str, Callable[[Any], list[Any]]] = {
            "decode": lambda _: ["decode"],
            "where": lambda wanted: ["where", *self._where_field(wanted, where)],
            "split": lambda separator: ["split", str(separator)],
            "shape": lambda shape: [self._one_of("shape", shape, _SHAPES, where), str(raw.get("role", "user"))],
            "column": lambda path: ["column", str(path).split(".")],
            "count": lambda _: ["count"],
            "map": lambda table: ["map", self._map(table, where), bool(raw.get("dotted", False))],
            "unit": lambda unit: ["scale", _UNITS[self._one_of("unit", unit, list(_UNITS), where)]],
            "since_start": lambda _: ["since_start"],
        }
        return [make(raw[name]) for name, make in makers.items() if raw.get(name)]

    def _where_field(self, raw: Any, where: str) -> list[Any]:
        if not isinstance(raw, Mapping) or len(raw) != 1:
            self._problem(where, f"where is {raw!r}; write one field with the values wanted")
            return ["", []]
        field, wanted = next(iter(raw.items()))
        return [str(field), [str(one) for one in (wanted if isinstance(wanted, list) else [wanted])]]

    def _one_of(self, what: str, seen: Any, known: Sequence[str], where: str) -> str:
        if seen in known:
            return str(seen)
        self._problem(where, f"{what} is unknown (seen: {seen!r}); write one of {', '.join(known)}")
        return known[0]

    def _map(self, raw: Any, where: str) -> dict[str, str]:
        """Values in lower case to what they become; a name stands for one of the maps that dialects share."""
        if isinstance(raw, str):
            if raw not in self._maps:
                self._problem(where, f"map {raw!r} is not in {COMMON}; write one of {', '.join(self._maps)}")
            raw = self._maps.get(raw, {})
        return {str(key).lower(): str(value) for key, value in raw.items()}

    def _content(self, rules: list[Table]) -> Iterable[str]:
        """The sources of attributes that the registry calls content."""
        for rule in rules:
            attribute = self._registry.attributes.get(rule["to"])
            if attribute is not None and attribute.sensitivity == "content":
                for one in rule["from"]:
                    yield from (part["key"] for part in _parts(one) if part["kind"] in {"attribute", "tree"})

    def _known(self, raw: Mapping[str, Any], known: set[str], required: set[str], where: str) -> None:
        for key in sorted(set(raw) - known):
            self._problem(where, f"unknown key {key!r}; known here: {', '.join(sorted(known))}")
        for key in sorted(required - set(raw)):
            self._problem(where, f"{key} is missing; add it")

    def _problem(self, where: str, sentence: str) -> None:
        self._problems.append(f"{where}: {sentence}")


def _source(text: str | Mapping[str, Any]) -> Table:
    """`a.b` an attribute, `a.b.*` a tree of flattened ones, `a.b#x.0` a part of JSON, `event:x`, `span:name`, …

    A mapping is an object that is put together: its fields, each with its source.
    """
    if isinstance(text, Mapping):
        return {
            "kind": "object",
            "key": "",
            "path": [],
            "fields": {str(key): _source(one) for key, one in text.items()},
        }
    text = str(text)
    name, _, path = text.partition("#")
    steps = path.split("/" if "/" in path else ".") if path else []
    kind, colon, key = name.partition(":")
    if colon and kind in _SOURCE_KINDS:
        return {"kind": kind, "key": key, "path": steps}
    return {"kind": "tree" if name.endswith(".*") else "attribute", "key": name, "path": steps}


def _parts(source: Table) -> Iterable[Table]:
    """The sources that a source is put together from, or itself."""
    return source["fields"].values() if source["kind"] == "object" else [source]


def _is_whole(source: Table) -> bool:
    return source["kind"] in {"attribute", "tree"} and not source["path"]


def _read(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problems.append(f"dialects/{path.name}: cannot be read ({' '.join(str(error).split())})")
        return {}
    if not isinstance(document, dict):
        problems.append(f"dialects/{path.name}: is {type(document).__name__}; write a mapping")
        return {}
    return document
