"""Policies that a registry keeps beyond its format: names, references, stability.

They are those of OpenTelemetry's own registry (open-telemetry/opentelemetry-weaver-packages, `policies/check`), in
Python because no Weaver can be installed from a package index, plus two of ours: what we define lives under
`otel_llm.`, and each attribute says in a full sentence what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from otel_llm_semconv.registry import STABILITIES, Registry

PREFIX = "otel_llm."

_NAME = re.compile(r"[a-z][a-z0-9]*([._][a-z0-9]+)*")


def check(registry: Registry) -> list[str]:
    """One sentence for each policy that `registry` breaks, none when it is clean."""
    return [*_names(registry), *_constants(registry), *_enums(registry), *_deprecations(registry), *_metrics(registry)]


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
        if not name.startswith(PREFIX):
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
