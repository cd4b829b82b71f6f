"""Executes the dialect tables: spans of other libraries come out with OpenTelemetry's attributes.

A span that speaks no other dialect costs one look at the names of its attributes. What a rule finds is added under
OpenTelemetry's name unless that is already there (`replace` rules apart); the original attributes stay unless
`keep_originals` is off, and then only those leave that a rule carried whole. Nothing raises: a value that cannot be
converted stays where it was, is counted by reason, and is named on the span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otel_llm_semconv import attributes as attr

from otel_llm_collector.any_value import put
from otel_llm_collector.engine import shapes
from otel_llm_collector.engine.values import NotConvertibleError, coerce, dump, looks_like_json, parse, plain
from otel_llm_collector.limits import MAX_DIALECT_PROBLEMS

Table = Mapping[str, Any]
Note = Callable[[str, int], None]

_MAX_TREE_DEPTH = 16
_EVENTS = "(events)"
_EVENT_NAME = "event.name"  # what an event's own name is called among its attributes
_EVENT_TIME = "event.time"  # and its time, in ns since the epoch
_NANO = 1e9
_INTEGERS = range(-(2**63), 2**63)  # of 64 bits
_SHAPES = {"messages": shapes.messages, "documents": shapes.documents, "tools": shapes.tools}


class Normaliser:
    """The compiled tables of `otel_llm_semconv.dialects`, ready to run; keeps nothing of what it saw."""

    def __init__(self, table: Table, *, keep_originals: bool = True) -> None:
        self._markers: Mapping[str, list[str]] = table["markers"]
        self._marker_keys = frozenset(self._markers)
        self._scopes: list[list[str]] = table["scopes"]
        self._resource: list[list[str]] = table["resource"]
        self._dialects: dict[str, Table] = {one["dialect"]: one for one in table["dialects"]}
        self._order = {name: number for number, name in enumerate(self._dialects)}
        self._rules = {
            name: [(_needs(rule), rule) for rule in dialect["rules"]] for name, dialect in self._dialects.items()
        }
        self._trees = {
            name: tuple({key.removesuffix("*") for needs, _ in rules for key in needs or () if key.endswith("*")})
            for name, rules in self._rules.items()
        }
        self._shapes = table["shapes"]
        self._logs: Mapping[str, list[str]] = table["logs"]
        self._keep_originals = keep_originals
        self._scope_cache: dict[str, tuple[str, ...]] = {}

    def of_resource(self, resource: Any) -> tuple[str, ...]:
        """The dialects that a resource's attributes give away."""
        return tuple(
            name
            for key, wanted, name in self._resource
            if any(one.key == key and one.value.string_value == wanted for one in resource.attributes)
        )

    def of_scope(self, scope: str) -> tuple[str, ...]:
        """The dialects that an instrumentation scope's name gives away; a pattern may end in `*`."""
        found = self._scope_cache.get(scope)
        if found is None:
            found = tuple(name for pattern, name in self._scopes if scope == pattern or _begins(scope, pattern))
            if len(self._scope_cache) < 1000:  # noqa: PLR2004 - scopes are libraries; more is somebody's mistake
                self._scope_cache[scope] = found
        return found

    def normalise(
        self, span: Span, values: dict[str, AnyValue], scope: Any, resource: Any, known: Iterable[str], note: Note
    ) -> bool:
        """Add OpenTelemetry's attributes to `span` and to `values`. `known` are the dialects of its surroundings."""
        if self._marker_keys.isdisjoint(values):
            if not known:
                return False
            names = set(known)
        else:
            names = {name for key in self._marker_keys.intersection(values) for name in self._markers[key]}
            names.update(known)
        spoken = sorted(names, key=self._order.__getitem__)
        reading = _Reading(span, values, scope, resource, self._shapes)
        for name in spoken:
            reading.encoded_as(self._dialects[name]["encoded"])
            there = _there(values, self._trees[name], events=bool(span.events))
            for needs, rule in self._rules[name]:
                if needs is None or not needs.isdisjoint(there):
                    reading.apply(rule, name)
        return reading.write(spoken, note, keep_originals=self._keep_originals, dialects=self._dialects)

    def normalise_log(self, record: Any, scope: Any, resource: Any, note: Note) -> bool:
        """Say what a log event of one message says under OpenTelemetry's current name; its body stays."""
        event = record.event_name or next(
            (one.value.string_value for one in record.attributes if one.key == _EVENT_NAME), ""
        )
        if event not in self._logs:
            return False
        values = {one.key: one.value for one in record.attributes}
        dialect, target = self._logs[event]
        reading = _Reading(record, values, scope, resource, self._shapes)
        body = plain(record.body)
        if target not in values and isinstance(body, dict):
            messages = shapes.messages({_EVENT_NAME: event, **body}, "user", self._shapes)
            if messages:
                reading.made[target] = dump(messages)
                reading.spoke[dialect] = None
        for needs, rule in self._rules[dialect]:
            if needs is not None and not needs.isdisjoint(values):
                reading.apply(rule, dialect)
        return reading.write([dialect], note, keep_originals=True, dialects=self._dialects)


def _needs(rule: Table) -> frozenset[str] | None:
    """The attributes and trees of which a rule needs one to do anything; None when it needs others than these."""
    keys: set[str] = set()
    for source in rule["from"]:
        for part in source["fields"].values() if source["kind"] == "object" else [source]:
            if part["kind"] in {"attribute", "tree"}:
                keys.add(part["key"])
            elif part["kind"] in {"event", "events"}:
                keys.add(_EVENTS)
            else:
                return None
    return frozenset(keys) or None


def _there(values: Mapping[str, AnyValue], prefixes: tuple[str, ...], *, events: bool) -> set[str]:
    """The attributes that are there, and the trees that have one."""
    there = set(values)
    for key in values:
        if key.startswith(prefixes):
            there.update(f"{prefix}*" for prefix in prefixes if key.startswith(prefix))
    if events:
        there.add(_EVENTS)
    return there


class _Reading:
    """One span or log record being read: its values, what was made of them, and what was odd."""

    def __init__(
        self,
        span: Span | LogRecord,
        values: dict[str, AnyValue],
        scope: Any,
        resource: Any,
        shape_specs: dict[str, Any],
    ) -> None:
        self.span = span
        self.values = values
        self.scope = scope
        self.resource = resource
        self.shape_specs = shape_specs
        self.made: dict[str, Any] = {}
        self.spoke: dict[str, None] = {}  # the dialects that gave something
        self.carried: set[str] = set()  # keys, and prefixes of trees, that a rule carried whole
        self.problems: dict[str, str] = {}  # "reason: key" -> reason
        self._encoding = ""  # "json" while each string of the dialect being tried is JSON
        self._plain: dict[str, Any] = {}
        self._trees: dict[str, Any] = {}
        self._json: dict[str, Any] = {}  # what stands in attributes of which parts are asked for

    def encoded_as(self, encoding: str) -> None:
        """How the dialect that is tried next encodes its values."""
        if encoding != self._encoding:
            self._encoding = encoding
            self._plain.clear()
            self._trees.clear()
            self._json.clear()

    def apply(self, rule: Table, dialect: str) -> None:
        """Try one rule."""
        target = rule["to"]
        if target in self.made or (target in self.values and not rule["replace"]):
            return
        if not all(self._holds(condition) for condition in rule["when"]):
            return
        found = self._value(rule)
        if found is None or (rule["replace"] and found == self._get(target)):
            return
        self.made[target] = found
        self.spoke[dialect] = None

    def _holds(self, condition: list[Any]) -> bool:
        source, test = condition[0], condition[1]
        found = None if source["path"] else self.made.get(source["key"])
        if found is None:
            found = self._found(source)
        if test == "present":
            return found is not None
        if test == "absent":
            return found is None
        return found is not None and _word(found) in condition[2]

    def _found(self, source: Table) -> Any:
        """What a condition asks about; what cannot be read is not there."""
        try:
            return self._source(source)
        except NotConvertibleError as error:
            self.problem(error.reason, source["key"])
            return None

    def _value(self, rule: Table) -> Any:
        """What the rule makes of its first source that it can convert."""
        if "value" in rule:
            return rule["value"]
        if rule["sum"]:
            return self._sum(rule)
        for source in rule["from"]:
            try:
                value = self._source(source)
                if value is None:
                    continue
                result = self._convert(value, rule)
            except NotConvertibleError as error:
                self.problem(error.reason, source["key"] or rule["to"])
                continue
            except RecursionError:  # nested as deep as JSON's reader allows, too deep for what walks it
                self.problem("too_deep", source["key"] or rule["to"])
                continue
            if result is None or result in ("", []):
                continue
            parts = source["fields"].values() if source["kind"] == "object" else [source]
            self.carried.update(part["key"] for part in parts if not part["path"])
            return result
        return None

    def _sum(self, rule: Table) -> Any:
        """The sum of the sources that are there; nothing when the first is missing."""
        total = None
        for number, source in enumerate(rule["from"]):
            try:
                value = self._source(source)
                count = None if value is None else coerce(value, rule["type"])
            except NotConvertibleError as error:
                self.problem(error.reason, source["key"])
                count = None
            if number == 0 and count is None:
                return None
            total = count if total is None else total + (count or 0)
        return total

    def _source(self, source: Table) -> Any:
        kind, key, path = source["kind"], source["key"], source["path"]
        if kind == "attribute":
            value = self._parsed(key) if path else self._get(key)
        elif kind == "object":
            fields = {name: self._source(one) for name, one in source["fields"].items()}
            value = {name: one for name, one in fields.items() if one is not None} or None
        elif kind == "tree":
            value = self._tree(key)
        elif kind in {"event", "events"}:
            value = self._events(key, whole_name=kind == "event")
        elif kind == "span":
            value = self._of_span(key)
        elif kind == "scope":
            value = self.scope.name
        else:
            value = next((plain(one.value) for one in self.resource.attributes if one.key == key), None)
        return shapes.look_up(value, path) if path else value

    def _of_span(self, key: str) -> Any:
        """The span's name, or whether it is a root; log records have neither."""
        if not isinstance(self.span, Span):
            return None
        return self.span.name if key == "name" else not self.span.parent_span_id

    def _events(self, name: str, *, whole_name: bool) -> list[dict[str, Any]] | None:
        """The attributes of the span's events with a name, or with one that begins so; log records have none."""
        events = self.span.events if isinstance(self.span, Span) else ()
        found = [one for one in events if one.name == name or (not whole_name and one.name.startswith(name))]
        return [
            {
                _EVENT_NAME: event.name,
                _EVENT_TIME: event.time_unix_nano if event.time_unix_nano < _INTEGERS.stop else None,
                **{one.key: plain(one.value) for one in event.attributes},
            }
            for event in found
        ] or None

    def _get(self, key: str) -> Any:
        """The plain value of an attribute, read once."""
        if key not in self._plain:
            value = self.values.get(key)
            found = None if value is None else plain(value)
            if self._encoding == "json" and isinstance(found, str):
                try:
                    found = parse(found)
                except NotConvertibleError as error:
                    if looks_like_json(found):
                        self.problem(error.reason, key)
            self._plain[key] = found
        return self._plain[key]

    def _parsed(self, key: str) -> Any:
        """The value of an attribute; JSON in it is read, once. Raises `NotConvertibleError`."""
        if key not in self._json:
            value = self._get(key)
            if isinstance(value, str) and looks_like_json(value):
                try:
                    value = parse(value)
                except NotConvertibleError as error:
                    value = error
            self._json[key] = value
        found = self._json[key]
        if isinstance(found, NotConvertibleError):
            raise found
        return found

    def _tree(self, pattern: str) -> Any:
        """The attributes under `a.b.*` as nested lists and dicts."""
        if pattern not in self._trees:
            prefix = pattern.removesuffix("*")
            root: dict[str, Any] = {}
            for key in self.values:
                if key.startswith(prefix) and not _grow(root, key[len(prefix) :].split("."), self._get(key)):
                    self.problem("conflicting_keys", pattern)
            tree, holes = _lists(root)
            if holes:
                self.problem("index_hole", pattern)
            self._trees[pattern] = tree if root else None
        return self._trees[pattern]

    def _convert(self, value: Any, rule: Table) -> Any:
        for name, *arguments in rule["steps"]:
            value = self._step(name, arguments, value, rule)
            if value is None:
                return None
        return coerce(value, rule["type"])

    def _step(self, name: str, arguments: list[Any], value: Any, rule: Table) -> Any:
        if name == "since_start":
            return _since_start(value, self.span.start_time_unix_nano) if isinstance(self.span, Span) else None
        if name not in _SHAPES:
            return _STEPS[name](value, *arguments)
        if isinstance(value, str) and looks_like_json(value):
            try:
                value = parse(value)
            except NotConvertibleError as error:  # it stays as text
                self.problem(error.reason, rule["from"][0]["key"] or rule["to"])
        return _SHAPES[name](value, arguments[0], self.shape_specs) or None

    def problem(self, reason: str, key: str) -> None:
        """Remember an oddity."""
        if len(self.problems) < MAX_DIALECT_PROBLEMS:
            self.problems.setdefault(f"{reason}: {key}", reason)

    def write(self, spoken: list[str], note: Note, *, keep_originals: bool, dialects: Mapping[str, Table]) -> bool:
        """Put what was made on the span; whether that changed it."""
        for reason in self.problems.values():
            note(f"dialect_{reason}", 1)
        if len(self.spoke) > 1:
            note("dialect_mixed", 1)
        for name in self.spoke:
            note(f"dialect_is_{name}", 1)
        if self.spoke:
            self.made[attr.OTEL_LLM_DIALECT_NAMES] = list(self.spoke)
        if self.problems:
            self.made[attr.OTEL_LLM_DIALECT_PROBLEMS] = list(self.problems)
        if not self.made:
            return False
        carried = [key for name in self.spoke for key in dialects[name]["carried"] if key in self.carried]
        gone = set() if keep_originals else self._gone(carried, [dialects[name] for name in spoken])
        if carried and keep_originals:
            self.made[attr.OTEL_LLM_DIALECT_CARRIED] = list(dict.fromkeys(carried))
        replaced = gone | (self.made.keys() & self.values.keys())
        if replaced:
            kept = [one for one in self.span.attributes if one.key not in replaced]
            del self.span.attributes[:]
            self.span.attributes.extend(kept)
            self.values.clear()
            self.values.update((one.key, one.value) for one in self.span.attributes)
        for key, value in self.made.items():
            added = self.span.attributes.add(key=key)
            _put(added.value, value)
            self.values[key] = added.value
        return True

    def _gone(self, carried: list[str], dialects: Iterable[Table]) -> set[str]:
        """The attributes that leave when originals are not wanted: carried whole, or noise."""
        patterns = [*carried, *(one for dialect in dialects for one in (*dialect["moved"], *dialect["dropped"]))]
        return {key for key in self.values if any(_begins(key, pattern) or key == pattern for pattern in patterns)}


def _put(target: AnyValue, value: Any) -> None:
    try:
        put(target, value)
    except ValueError:  # a whole number beyond 64 bits
        target.string_value = dump(value)


def _begins(text: str, pattern: str) -> bool:
    return pattern.endswith("*") and text.startswith(pattern.removesuffix("*"))


def _grow(root: dict[str, Any], path: list[str], value: Any) -> bool:
    """Put `value` at `path`; False when something else is there."""
    node = root
    for step in path[: _MAX_TREE_DEPTH - 1][:-1]:
        node = node.setdefault(step, {})
        if not isinstance(node, dict):
            return False
    last = path[-1] if len(path) < _MAX_TREE_DEPTH else ".".join(path[_MAX_TREE_DEPTH - 2 :])
    return node.setdefault(last, value) is value


def _lists(node: Any) -> tuple[Any, bool]:
    """`node` with dicts whose keys are numbers made lists, and whether a number was missing."""
    if not isinstance(node, dict):
        return node, False
    done = {key: _lists(value) for key, value in node.items()}
    holes = any(hole for _, hole in done.values())
    if not done or not all(key.isascii() and key.isdecimal() and len(key) <= 9 for key in done):  # noqa: PLR2004
        return {key: value for key, (value, _) in done.items()}, holes
    numbers = sorted(done, key=int)
    return [done[key][0] for key in numbers], holes or int(numbers[-1]) != len(numbers) - 1


def _mapped(value: Any, table: Mapping[str, str], dotted: bool) -> Any:
    """The mapped value; `dotted` also tries what is left without the last `.part`s. Values not in it stay."""
    if isinstance(value, list):
        return [_mapped(one, table, dotted) for one in value]
    word = _word(value).lower()
    while word:
        if word in table:
            return table[word] or None
        if not dotted or "." not in word:
            break
        word = word.rpartition(".")[0]
    return value


def _decode(value: Any) -> Any:
    """What a JSON string holds; anything else as it is."""
    if isinstance(value, str) and value[:1] == '"':
        return parse(value)
    return value


def _where(value: Any, field: str, wanted: list[str]) -> list[Any]:
    """Of a list of objects those whose `field` is one of `wanted`; a list may come as JSON."""
    if isinstance(value, str):
        value = parse(value)
    return [one for one in _items(value) if isinstance(one, dict) and one.get(field) in wanted]


def _split(value: Any, separator: str) -> Any:
    return [one.strip() for one in value.split(separator)] if isinstance(value, str) else value


def _scale(value: Any, factor: float) -> float:
    number: float = coerce(value, "double") * factor
    return number


def _column(value: Any, path: list[str]) -> list[Any]:
    return [one for one in (shapes.look_up(item, path) for item in _items(value)) if one is not None]


def _count(value: Any) -> int:
    return len(_items(value))


def _word(value: Any) -> str:
    """A scalar as text."""
    return "true" if value is True else "false" if value is False else str(value)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _since_start(value: Any, start: int) -> float | None:
    """Seconds from `start`, in Unix nanoseconds, to a time in the same or in ISO 8601; a time before it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS:
        return (value - start) / _NANO if value >= start else None
    try:
        seconds = datetime.fromisoformat(str(value).strip('"')).timestamp() - start / _NANO
    except (ValueError, OverflowError) as error:
        raise NotConvertibleError("wrong_type") from error
    return seconds if seconds >= 0 else None


_STEPS: dict[str, Callable[..., Any]] = {
    "decode": _decode,
    "where": _where,
    "map": _mapped,
    "scale": _scale,
    "split": _split,
    "column": _column,
    "count": _count,
}
