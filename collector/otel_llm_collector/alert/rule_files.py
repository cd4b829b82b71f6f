"""Prometheus rule files as Prometheus reads them, with every mistake at once: file, line, group, rule, what is wrong.

    groups:
      - name: latency
        interval: 30s               # else alerts.evaluation_seconds
        limit: 10                   # more series or alerts than this are an error of the rule
        query_offset: 1m
        labels: {team: rag}         # added to those of each rule
        rules:
          - record: model:requests:rate5m
            expr: sum by (gen_ai_request_model) (rate(otel_llm_requests_total[5m]))
          - alert: Slow
            expr: model:requests:rate5m > 1
            for: 5m
            keep_firing_for: 10m
            labels: {severity: warning}
            annotations: {summary: "{{ $labels.gen_ai_request_model }} at {{ $value | humanize }}/s"}

A file may also have the key `thresholds`, with rules of our own (`rules.py`). The tree of the YAML is walked node by
node, so that each sentence can name a line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from otel_llm_collector.alert import template
from otel_llm_collector.alert.durations import parse_duration
from otel_llm_collector.alert.template import Template
from otel_llm_collector.alert.template_functions import SITUATED, TemplateError
from otel_llm_collector.errors import Problem
from otel_llm_collector.measure.promql.query import Query, parse
from otel_llm_collector.measure.promql.syntax import Type
from otel_llm_collector.measure.promql.values import QueryError

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MAX_SEEN_CHARS = 80

_GROUP_KEYS = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_KEYS = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting or a recording rule. Durations in seconds."""

    name: str
    records: bool
    query: Query
    hold: float = 0.0
    keep: float = 0.0  # how long an alert goes on firing after its condition ended
    labels: Mapping[str, Template] = field(default_factory=dict)
    annotations: Mapping[str, Template] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[object, ...]:
        """What a rule is recognised by after a reload or a restart."""
        labels = tuple(sorted((name, value.source) for name, value in self.labels.items()))
        return (self.name, self.records, self.query.text, self.hold, self.keep, labels)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after another at one moment."""

    name: str
    file: str
    interval: float
    rules: tuple[Rule, ...]
    limit: int = 0
    offset: float = 0.0


class _Line:
    """Where we are, and the problems so far."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self._file = file
        self._problems = problems
        self.group = ""
        self.rule = ""

    def problem(self, node: yaml.Node, wrong: str, right: str, seen: object = None) -> None:
        """One mistake at `node`."""
        path = f"{self._file}:{node.start_mark.line + 1}"
        if self.group:
            path += f": group {self.group}"
        if self.rule:
            path += f", rule {self.rule}"
        shown = _seen(node) if seen is None else str(seen)
        self._problems.append(Problem(path, wrong, shown[:_MAX_SEEN_CHARS], right))


def parse_rules(text: str, file: str, interval: float, problems: list[Problem]) -> tuple[list[Group], Any]:
    """The groups in `text`, and what stands under `thresholds` as plain data; mistakes go to `problems`.

    `interval` is that of groups that name none.
    """
    where = _Line(file, problems)
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        seen = " ".join(str(error.problem or error).split())
        problems.append(Problem(f"{file}:{line}", "is not YAML", seen, "mend the YAML at that place"))
        return [], None
    except (yaml.YAMLError, RecursionError) as error:
        seen = " ".join(str(error).split())[:_MAX_SEEN_CHARS]
        problems.append(Problem(file, "is not YAML", seen, "write a YAML file in UTF-8"))
        return [], None
    if document is None:
        return [], None
    groups: list[Group] = []
    thresholds: Any = None
    for key, value in _entries(where, document, "a rule file", ("groups", "thresholds")):
        if key == "groups":
            groups = _groups(where, value, interval, file)
        else:
            thresholds = yaml.SafeLoader("").construct_document(value)
    return groups, thresholds


def _groups(where: _Line, node: yaml.Node, interval: float, file: str) -> list[Group]:
    found, names = [], set()
    for item in _items(where, node, "groups"):
        where.group = _scalar_at(item, "name") or "(without a name)"
        group = _group(where, item, interval, file)
        if group is not None and group.name in names:
            where.problem(item, "is the second group of that name in this file", "give it another name", group.name)
        elif group is not None:
            names.add(group.name)
            found.append(group)
        where.group = ""
    return found


def _group(where: _Line, node: yaml.Node, interval: float, file: str) -> Group | None:
    said: dict[str, yaml.Node] = dict(_entries(where, node, "a group", _GROUP_KEYS))
    name = _text(where, said.get("name"), node, "name")
    labels = _labels(where, said.get("labels"))
    rules = [_rule(where, item, labels) for item in _items(where, said.get("rules"), "rules")]
    every = _duration(where, said.get("interval"), "interval") or interval
    offset = _duration(where, said.get("query_offset"), "query_offset")
    limit = _whole(where, said.get("limit"))
    good = tuple(rule for rule in rules if rule is not None)
    return Group(name, file, every, good, limit, offset) if name else None


def _rule(where: _Line, node: yaml.Node, common: Mapping[str, Template]) -> Rule | None:
    where.rule = _scalar_at(node, "alert") or _scalar_at(node, "record") or "(without a name)"
    said: dict[str, yaml.Node] = dict(_entries(where, node, "a rule", _RULE_KEYS))
    records = "record" in said
    if records == ("alert" in said):
        wrong = "has both `record` and `alert`" if records else "has neither `record` nor `alert`"
        where.problem(said.get("record", node), wrong, "write one of the two")
    name = _text(where, said.get("record") or said.get("alert"), node, "record" if records else "alert")
    if records:
        if name and not _METRIC.fullmatch(name):
            right = "write letters, digits, underscores and colons, a digit not first"
            where.problem(said["record"], "is no metric name", right)
        for key in ("for", "keep_firing_for", "annotations"):
            if key in said:
                where.problem(said[key], f"`{key}` does not belong to a recording rule", "remove it")
    query = _expression(where, said.get("expr"), node, records=records)
    labels = {**common, **_labels(where, said.get("labels"))}
    annotations = _labels(where, said.get("annotations"))
    hold = _duration(where, said.get("for"), "for")
    keep = _duration(where, said.get("keep_firing_for"), "keep_firing_for")
    where.rule = ""
    return Rule(name, records, query, hold, keep, labels, annotations) if name and query is not None else None


def _expression(where: _Line, node: yaml.Node | None, rule: yaml.Node, *, records: bool) -> Query | None:
    text = _text(where, node, rule, "expr")
    if not text or node is None:
        return None
    try:
        query = parse(text)
    except QueryError as error:
        where.problem(node, f"`expr` is no PromQL: {error}", "mend the expression", " ".join(text.split()))
        return None
    if query.type not in (Type.SCALAR, Type.VECTOR):
        what = "a recording rule" if records else "an alert"
        where.problem(node, f"`expr` is a {query.type.value}, which {what} cannot use", "write an instant vector")
        return None
    return query


def _labels(where: _Line, node: yaml.Node | None) -> dict[str, Template]:
    """Labels or annotations: a mapping of names to templates."""
    if node is None or _is_null(node):
        return {}
    found = {}
    for key, value in _entries(where, node, "labels and annotations"):
        if not _LABEL.fullmatch(key) or key == "__name__":
            where.problem(value, f"{key!r} is no label name", "write letters, digits and underscores", key)
        elif not isinstance(value, yaml.ScalarNode):
            where.problem(value, f"{key} is no text", "write one value")
        else:
            try:
                found[key] = template.parse(value.value, SITUATED)
            except TemplateError as error:
                where.problem(value, f"{key} is no template: {error}", "mend what stands between {{ and }}")
    return found


def _entries(where: _Line, node: yaml.Node, what: str, known: tuple[str, ...] = ()) -> Iterator[tuple[str, yaml.Node]]:
    """The entries of a mapping; `known` are the keys it may have, any when empty."""
    if not isinstance(node, yaml.MappingNode):
        where.problem(node, f"{what} is a mapping", f"write {', '.join(known)}" if known else "write name: value")
        return
    seen = set()
    for key_node, value in node.value:
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
        if key in seen:
            where.problem(key_node, "the same key stands here twice", "keep one of them", key)
        elif known and key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]}? " if close else ""
            where.problem(key_node, f"{what} has no such key", f"{hint}known here: {', '.join(known)}", key)
        else:
            yield key, value
        seen.add(key)


def _items(where: _Line, node: yaml.Node | None, what: str) -> list[yaml.Node]:
    if node is None or _is_null(node):
        return []
    if not isinstance(node, yaml.SequenceNode):
        where.problem(node, f"`{what}` is a list", "write one entry after each dash")
        return []
    return list(node.value)


def _text(where: _Line, node: yaml.Node | None, parent: yaml.Node, key: str) -> str:
    if node is None or _is_null(node) or (isinstance(node, yaml.ScalarNode) and not node.value.strip()):
        where.problem(node or parent, f"`{key}` is missing or empty", f"write {key}: …", "nothing")
        return ""
    if not isinstance(node, yaml.ScalarNode):
        where.problem(node, f"`{key}` is no text", "write one value")
        return ""
    return str(node.value)


def _duration(where: _Line, node: yaml.Node | None, key: str) -> float:
    return float(_read(where, node, key, parse_duration, "write a duration, for example 30s, 5m or 1h30m", 0.0))


def _whole(where: _Line, node: yaml.Node | None) -> int:
    return int(_read(where, node, "limit", _natural, "write a whole number; 0 is no limit", 0))


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(text)
    return int(text)


def _read(where: _Line, node: yaml.Node | None, key: str, read: Callable[[str], Any], right: str, default: Any) -> Any:
    if node is None or _is_null(node):
        return default
    try:
        return read(str(node.value) if isinstance(node, yaml.ScalarNode) else "")
    except ValueError:
        where.problem(node, f"`{key}` is not what it should be", right)
        return default


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _scalar_at(node: yaml.Node, key: str) -> str:
    if isinstance(node, yaml.MappingNode):
        for key_node, value in node.value:
            if key_node.value == key and isinstance(value, yaml.ScalarNode):
                return str(value.value)
    return ""


def _seen(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value)
    kind = "mapping" if isinstance(node, yaml.MappingNode) else "list"
    return f"a {kind} of {len(node.value)}"
