"""Policies that a registry keeps beyond its format: names, references, stability.

They are those of OpenTelemetry's own registry (open-telemetry/opentelemetry-weaver-packages, `policies/check`), in
Python because no Weaver can be installed from a package index, plus two of ours: what we define lives under
`otel_llm.`, and each attribute says in a full sentence what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from otel_llm_semconv.registry import STABILITIES, EventDefinition, Registry, SpanDefinition

PREFIX = "otel_llm."

_NAME = re.compile(r"[a-z][a-z0-9]*([._][a-z0-9]+)*")


def check(registry: Registry) -> list[str]:
    """One sentence for each policy that `registry` breaks, none when it is clean."""
    checks = (_names, _constants, _enums, _examples, _deprecations, _metrics, _spans_and_events)
    return [problem for one in checks for problem in one(registry)]


def _names(registry: Registry) -> Iterator[str]:
    live = {key for key, attribute in registry.attributes.items() if not attribute.deprecated}
    names = sorted([*live, *registry.metrics])
    for name in names:
        if not _NAME.fullmatch(name):
            yield f"{name}: is not a well-formed name; write lower-case words joined by dots and underscores"
        if "." not in name:
            yield f"{name}: has no namespace; write for example {PREFIX}{name}"
        inside = [other for other in names if other.startswith(f"{name}.")]
        if inside:
            yield f"{name}: is also the namespace of {inside[0]}; a name is one or the other"
    for key, attribute in registry.attributes.items():
        if not attribute.upstream and not key.startswith(PREFIX):
            yield f"{key}: is not ours to define; our names start with {PREFIX}"
        if not attribute.brief.endswith("."):
            yield f"{key}: brief is no sentence (seen: {attribute.brief!r}); end it with a full stop"


def _constants(registry: Registry) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name in [*registry.attributes, *registry.metrics]:
        constant = name.replace(".", "_")
        if constant in seen and seen[constant] != name:
            yield f"{name}: has the same constant as {seen[constant]}; rename one of them"
        seen[constant] = name


def _enums(registry: Registry) -> Iterator[str]:
    for key, attribute in registry.attributes.items():
        for what, values in (
            ("id", [m.id for m in attribute.members]),
            ("value", [m.value for m in attribute.members]),
        ):
            for value in {value for value in values if values.count(value) > 1}:
                yield f"{key}: two members have the {what} {value!r}; each is there once"


def _examples(registry: Registry) -> Iterator[str]:
    for key, attribute in registry.attributes.items():
        for example in attribute.examples:
            if not _fits(example, attribute.type):
                yield f"{key}: example {example!r} is no {attribute.type}; write one that is"


def _fits(value: object, kind: str) -> bool:
    if kind.endswith("[]"):
        return isinstance(value, list) and all(_fits(item, kind[:-2]) for item in value)
    if isinstance(value, bool):
        return kind in ("boolean", "any")
    expected: dict[str, tuple[type, ...]] = {"string": (str,), "int": (int,), "double": (int, float), "boolean": ()}
    return isinstance(value, expected.get(kind, (object,)))


def _deprecations(registry: Registry) -> Iterator[str]:
    for key, attribute in registry.attributes.items():
        if not attribute.renamed_to:
            continue
        target = registry.attributes.get(attribute.renamed_to)
        if target is None or target.deprecated:
            yield f"{key}: renamed_to is no live attribute (seen: {attribute.renamed_to}); name one that is"
        elif target.type != attribute.type:
            yield f"{key}: was {attribute.type}, but {target.key} is {target.type}; a renamed attribute keeps its type"


def _metrics(registry: Registry) -> Iterator[str]:
    for name, metric in registry.metrics.items():
        if not metric.upstream and not name.startswith(PREFIX):
            yield f"{name}: is not ours to define; our names start with {PREFIX}"
        if not metric.brief.endswith("."):
            yield f"{name}: brief is no sentence (seen: {metric.brief!r}); end it with a full stop"
        for key in metric.attributes:
            attribute = registry.attributes.get(key)
            if attribute is None:
                yield f"{name}: refers to {key}, which is not defined; define it or mend the reference"
                continue
            if attribute.type == "any" or attribute.sensitivity:
                yield f"{name}: must not carry {key}, which is {attribute.sensitivity or 'of any type'}; leave it out"
            if STABILITIES.index(metric.stability) > STABILITIES.index(attribute.stability):
                yield f"{name}: is {metric.stability} but {key} only {attribute.stability}; a metric is no more stable"


def _spans_and_events(registry: Registry) -> Iterator[str]:
    operations: dict[str, str] = {}
    signals: dict[str, SpanDefinition | EventDefinition] = {**registry.spans, **registry.events}
    for name, signal in signals.items():
        if not signal.upstream and not name.startswith(PREFIX):
            yield f"{name}: is not ours to define; our names start with {PREFIX}"
        if not signal.brief.endswith("."):
            yield f"{name}: brief is no sentence (seen: {signal.brief!r}); end it with a full stop"
        for key in signal.attributes:
            if key not in registry.attributes:
                yield f"{name}: refers to {key}, which is not defined; define it or mend the reference"
    for span in registry.spans.values():
        for operation in span.operations:
            if operation in operations:
                yield f"{span.type}: operation {operation} is also that of {operations[operation]}; it names one type"
            operations[operation] = span.type
