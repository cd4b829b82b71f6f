"""Writes the Python constants and the reference page from the registry.

`python -m otel_llm_semconv.generate` writes them; with `--check` it writes nothing and exits 1 if one would change.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

from otel_llm_semconv import check, dialects
from otel_llm_semconv.registry import REGISTRY, Attribute, MetricDefinition, Registry, RegistryError, load

_PACKAGE = Path(__file__).parent
_WIDTH = 116  # of a line inside a class
_EMITTERS = {
    "engine": "Measured by the collector from spans.",
    "sdk": "Recorded by the SDK.",
    "collector": "Recorded by the collector.",
    "": "OpenTelemetry's.",
}
_HEADER = '"""{summary}\n\nGenerated from the registry by `make generate`; edit `registry/*.yaml` instead.\n"""\n\n'


def outputs(registry: Registry, root: Path) -> dict[Path, str]:
    """What belongs into each generated file; `root` is the folder with `docs/`."""
    return {
        _PACKAGE / "attributes.py": attributes_module(registry),
        _PACKAGE / "enums.py": enums_module(registry),
        _PACKAGE / "metrics.py": metrics_module(registry),
        _PACKAGE / "events.py": events_module(registry),
        _PACKAGE / "catalog.py": catalog_module(registry),
        dialects.COMPILED: json.dumps(dialects.load(registry), indent=1, ensure_ascii=False) + "\n",
        root / "docs" / "reference" / "semconv.md": reference_page(registry),
    }


def attributes_module(registry: Registry) -> str:
    """The module with one constant per attribute, and the sets of sensitive ones."""
    attributes = sorted(registry.attributes.values(), key=lambda attribute: attribute.key)
    lines = [
        _HEADER.format(summary="Attribute names."),
        "from __future__ import annotations\n\n",
        "from typing import Final\n\n",
    ]
    for attribute in attributes:
        lines.append(f'{constant(attribute.key)}: Final = "{attribute.key}"\n{_docstring(_describe(attribute))}\n\n')
    for kind, meaning in (
        ("content", "what people or models wrote"),
        ("identity", "who somebody is, or which document"),
    ):
        lines.append(f"{kind.upper()}: Final = frozenset(\n    {{\n")
        lines += [f"        {constant(one.key)},\n" for one in attributes if one.sensitivity == kind]
        lines.append(f'    }}\n)\n"""Attributes that say {meaning}."""\n\n')
    return "".join(lines).rstrip("\n") + "\n"


def enums_module(registry: Registry) -> str:
    """The module with one `StrEnum` per attribute of well-known values."""
    lines = [
        _HEADER.format(summary="Well-known attribute values."),
        "from __future__ import annotations\n\n",
        "from enum import StrEnum\n",
    ]
    for attribute in sorted(registry.attributes.values(), key=lambda attribute: attribute.key):
        if not attribute.members:
            continue
        lines.append(f"\n\nclass {camel_case(attribute.key)}(StrEnum):\n")
        lines.append(_indent(_docstring(f"{attribute.key}: {attribute.brief}")) + "\n")
        for member in attribute.members:
            lines.append(f'    {constant(member.id)} = "{member.value}"\n')
            if member.brief:
                lines.append(_indent(_docstring(member.brief)))
    return "".join(lines)


def metrics_module(registry: Registry) -> str:
    """The module with one `Metric` per metric."""
    lines = [
        _HEADER.format(summary="Metrics: what the collector measures from spans, and the others we read or write."),
        "from __future__ import annotations\n\nfrom dataclasses import dataclass\nfrom typing import Final\n\n\n",
        "@dataclass(frozen=True, slots=True)\nclass Metric:\n",
        '    """A metric; label values stand in the order of `attributes`, `boundaries` only for histograms."""\n\n',
        "    name: str\n    instrument: str\n    unit: str\n    brief: str\n    attributes: tuple[str, ...]\n",
        "    boundaries: tuple[float, ...] = ()\n\n\n",
    ]
    for metric in registry.metrics.values():
        lines.append(f"{constant(metric.name)}: Final = {_metric_literal(metric)}\n\n")
    for name, measured, meaning in (
        ("METRICS", True, "Every metric that the collector's engine measures from spans, by its name."),
        ("OTHER_METRICS", False, "The other metrics by their names: the SDK's, the collector's own, upstream's."),
    ):
        lines.append(f"{name}: Final = {{\n    metric.name: metric\n    for metric in (\n")
        chosen = [metric for metric in registry.metrics.values() if (metric.emitter == "engine") is measured]
        lines += [f"        {constant(metric.name)},\n" for metric in chosen]
        lines.append(f'    )\n}}\n"""{meaning}"""\n\n')
    return "".join(lines).rstrip("\n") + "\n"


def events_module(registry: Registry) -> str:
    """The module with one constant per event."""
    lines = [
        _HEADER.format(summary="Names of events."),
        "from __future__ import annotations\n\nfrom typing import Final\n\n",
    ]
    for event in sorted(registry.events.values(), key=lambda event: event.name):
        lines.append(f'{constant(event.name)}: Final = "{event.name}"\n{_docstring(event.brief)}\n\n')
    return "".join(lines).rstrip("\n") + "\n"


def catalog_module(registry: Registry) -> str:
    """The module with what is known of attributes, spans and events, for checks that run without the YAML."""
    lines = [
        _HEADER.format(summary="What the registry knows of attributes, spans and events, to check telemetry against."),
        "from __future__ import annotations\n\nfrom typing import Final, NamedTuple\n\n",
        "\nclass Known(NamedTuple):\n",
        '    """An attribute: `renamed_to` and `members` are empty for most."""\n\n',
        "    type: str\n    members: tuple[str, ...] = ()\n",
        '    deprecated: bool = False\n    renamed_to: str = ""\n\n\n',
        "class KnownSpan(NamedTuple):\n",
        '    """A type of span, with the requirement level of each attribute."""\n\n',
        "    type: str\n    kind: str\n    attributes: dict[str, str]\n\n\n",
        "ATTRIBUTES: Final[dict[str, Known]] = {\n",
    ]
    for attribute in sorted(registry.attributes.values(), key=lambda attribute: attribute.key):
        arguments = [_literal(attribute.type)]
        if attribute.members or attribute.deprecated:
            arguments.append(_literal(tuple(member.value for member in attribute.members)))
        if attribute.deprecated:
            arguments += ["True", _literal(attribute.renamed_to)]
        lines.append(f"    {_literal(attribute.key)}: Known({', '.join(arguments)}),\n")
    lines.append('}\n"""Attributes by key."""\n\n')
    lines.append("SPANS: Final[dict[str, KnownSpan]] = {\n")
    for span in registry.spans.values():
        literal = f"KnownSpan({_literal(span.type)}, {_literal(span.kind)}, {_literal(span.attributes)})"
        lines += [f"    {_literal(name)}: {literal},\n" for name in span.operations]
    lines.append('}\n"""Types of spans by the name of the operation."""\n\n')
    lines.append("EVENTS: Final[dict[str, dict[str, str]]] = {\n")
    lines += [f"    {_literal(event.name)}: {_literal(event.attributes)},\n" for event in registry.events.values()]
    lines.append('}\n"""Requirement levels of the attributes of events, by the name of the event."""\n')
    return "".join(lines)


def _literal(value: str | tuple[str, ...] | dict[str, str]) -> str:
    return repr(value).replace("'", '"')


def _metric_literal(metric: MetricDefinition) -> str:
    def column(values: Iterable[object]) -> str:
        return "(\n" + "".join(f"        {value},\n" for value in values) + "    )"

    arguments = [f'"{metric.name}"', f'"{metric.instrument}"', f'"{metric.unit}"', f'"{metric.brief}"']
    arguments.append(column(f'"{key}"' for key in metric.attributes))
    if metric.boundaries:
        arguments.append(column(metric.boundaries))
    return "Metric(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def reference_page(registry: Registry) -> str:
    """The reference in Markdown."""
    lines = [
        "# Semantic conventions\n\nGenerated by `make generate`; edit the registry's YAML instead.\n\n## Metrics\n",
    ]
    for metric in registry.metrics.values():
        keys = ", ".join(f"`{key}`" for key in metric.attributes) or "nothing"
        who = _EMITTERS[metric.emitter]
        lines.append(
            f"\n### `{metric.name}`\n\n{metric.brief}\n\n{metric.instrument}, unit `{metric.unit}`, by {keys}. {who}\n"
        )
        if metric.boundaries:
            lines.append("\nBoundaries: " + ", ".join(f"{bound:g}" for bound in metric.boundaries) + ".\n")
    lines.append("\n## Spans\n\n| type | operation | kind | required | what it is |\n|---|---|---|---|---|\n")
    for span in registry.spans.values():
        operations = ", ".join(f"`{name}`" for name in span.operations)
        required = ", ".join(f"`{key}`" for key, level in span.attributes.items() if level == "required")
        lines.append(f"| `{span.type}` | {operations} | {span.kind} | {required} | {span.brief} |\n")
    lines.append("\n## Events\n\n| event | attributes | what it says |\n|---|---|---|\n")
    for event in registry.events.values():
        keys = ", ".join(f"`{key}`" for key in event.attributes)
        lines.append(f"| `{event.name}` | {keys} | {event.brief} |\n")
    for title, upstream in (("Our attributes", False), ("Attributes of OpenTelemetry that we refer to", True)):
        lines.append(f"\n## {title}\n\n| attribute | type | what it says |\n|---|---|---|\n")
        for attribute in sorted(registry.attributes.values(), key=lambda attribute: attribute.key):
            if attribute.upstream is upstream:
                kind = f"{attribute.type} (enum)" if attribute.members else attribute.type
                lines.append(f"| `{attribute.key}` | {kind} | {_describe(attribute)} |\n")
    return "".join(lines)


def constant(name: str) -> str:
    """`gen_ai.request.model` as `GEN_AI_REQUEST_MODEL`."""
    return name.replace(".", "_").replace("-", "_").upper()


def camel_case(name: str) -> str:
    """`gen_ai.operation.name` as `GenAiOperationName`."""
    return "".join(word.capitalize() for word in name.replace(".", "_").split("_"))


def _describe(attribute: Attribute) -> str:
    parts = [attribute.brief, attribute.note]
    if attribute.members:
        parts.append("Known values: " + ", ".join(f"`{member.value}`" for member in attribute.members) + ".")
    if attribute.deprecated:
        parts.append(f"Deprecated: use `{attribute.renamed_to}`." if attribute.renamed_to else "Deprecated.")
    if attribute.sensitivity:
        parts.append(f"Sensitive: {attribute.sensitivity}.")
    return " ".join(part for part in parts if part)


def _indent(text: str) -> str:
    return textwrap.indent(text, "    ") + "\n"


def _docstring(text: str) -> str:
    """`text` as a docstring, its first sentence on a line of its own when it does not fit whole."""
    if len(text) + 6 <= _WIDTH:
        return f'"""{text}"""'
    first, separator, rest = text.partition(". ")
    lines = textwrap.wrap(first + separator.rstrip(), _WIDTH - 4)
    if rest:
        lines += ["", *textwrap.wrap(rest, _WIDTH - 4)]
    return "\n".join([f'"""{lines[0]}', *lines[1:], '"""'])


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files, or with `--check` say which of them are out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    options = parser.parse_args(arguments)
    try:
        registry = load(REGISTRY)
        files = outputs(registry, _PACKAGE.parents[1])
    except RegistryError as error:
        print(error, file=sys.stderr)
        return 1
    broken = check.check(registry)
    if broken:
        print("\n".join(broken), file=sys.stderr)
        return 1
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if options.check:
            print(f"{path.name}: is not what the registry says; run make generate", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            print(f"wrote {path.name}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
