"""`label_replace` and `label_join`: labels made from other labels; samples stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from otel_llm_collector import limits
from otel_llm_collector.measure.promql.block import Block, changed, is_label_name, merged
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Labels, anchored
from otel_llm_collector.measure.promql.syntax import Call
from otel_llm_collector.measure.promql.values import LimitError, QueryError

if TYPE_CHECKING:
    from otel_llm_collector.measure.promql.evaluate import Evaluator

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})|\$")


def replace_label(evaluator: Evaluator, call: Call) -> Block:
    """`label_replace(v, target, replacement, source, regex)`."""
    target, replacement, source, pattern = (evaluator.text(argument) for argument in call.arguments[1:])
    try:
        expression = anchored(pattern)
    except ValueError as error:
        raise QueryError(f"invalid regular expression in label_replace(): {pattern}") from error
    if not is_label_name(target):
        raise QueryError(f"invalid destination label name in label_replace(): {target}")

    def change(labels: Labels) -> Labels | None:
        match = expression.fullmatch(dict(labels).get(source, ""))
        return None if match is None else changed(labels, [(target, _expand(replacement, match))])

    return _relabelled(evaluator.vector(call.arguments[0]), target, change)


def join(evaluator: Evaluator, call: Call) -> Block:
    """`label_join(v, target, separator, source, …)`."""
    target, separator, *sources = (evaluator.text(argument) for argument in call.arguments[1:])
    if not all(map(is_label_name, sources)):
        raise QueryError("invalid source label name in label_join(): ")
    if not is_label_name(target):
        raise QueryError(f"invalid destination label name in label_join(): {target}")

    def change(labels: Labels) -> Labels:
        have = dict(labels)
        return changed(labels, [(target, separator.join(have.get(name, "") for name in sources))])

    return _relabelled(evaluator.vector(call.arguments[0]), target, change)


def _relabelled(block: Block, target: str, change: Callable[[Labels], Labels | None]) -> Block:
    new = [change(labels) for labels in block.labels]
    unnamed = block.unnamed
    if unnamed is not None and target == METRIC_NAME:
        unnamed = unnamed & np.array([labels is None for labels in new], np.bool_)
    longest = max((len(value) for made in new if made for _, value in made), default=0)
    if longest > limits.MAX_QUERY_LABEL_CHARS:
        raise LimitError(f"a label value would have {longest} characters, more than {limits.MAX_QUERY_LABEL_CHARS}")
    labels = [old if made is None else made for old, made in zip(block.labels, new, strict=True)]
    return merged(replace(block, labels=labels, unnamed=unnamed))


def _expand(template: str, match: Any) -> str:
    """Go's `Expand`: `$1`, `$name`, `${1}`, `$$`; an unknown name is empty."""

    def value(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        try:
            return match.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""

    return _REFERENCE.sub(value, template)
