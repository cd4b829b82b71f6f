"""What changed against the last released registry, and whether users of its names would break.

`python -m otel_llm_semconv.baseline` compares the registry with `registry/baseline.json` and exits 1 on a breaking
change that nobody declared; with `--accept` it writes the present registry as the new baseline, which belongs into a
release. A change is declared by deprecating the old name instead of deleting it. The rules are those of
open-telemetry/opentelemetry-weaver-packages, `policies/check/backwards-compatibility`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otel_llm_semconv.registry import REGISTRY, STABILITIES, Registry, load

BASELINE = REGISTRY / "baseline.json"


def snapshot(registry: Registry) -> dict[str, Any]:
    """What of our own part of `registry` others rely on, as plain data."""
    return {
        "schema_url": registry.schema_url,
        "attributes": {
            one.key: {
                "type": one.type,
                "stability": one.stability,
                "members": {member.id: member.value for member in one.members},
            }
            for one in registry.attributes.values()
            if not one.upstream
        },
        "metrics": {
            one.name: {
                "instrument": one.instrument,
                "unit": one.unit,
                "stability": one.stability,
                "attributes": list(one.attributes),
            }
            for one in registry.metrics.values()
            if not one.upstream
        },
        "spans": {
            one.type: {"kind": one.kind, "required": _required(one.attributes)}
            for one in registry.spans.values()
            if not one.upstream
        },
        "events": {
            one.name: {"required": _required(one.attributes)} for one in registry.events.values() if not one.upstream
        },
    }


def breaking(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """One sentence for each change from `old` to `new` that breaks somebody who relies on `old`."""
    for kind in ("attributes", "metrics", "spans", "events"):
        word = kind.removesuffix("s")
        for name, before in old[kind].items():
            after = new[kind].get(name)
            if after is None:
                yield f"{name}: the {word} is gone; keep it and mark it deprecated"
                continue
            yield from _changed(name, before, after)


def _changed(name: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for field in ("type", "instrument", "unit", "kind"):
        if before.get(field) != after.get(field):
            yield f"{name}: {field} was {before[field]!r} and is {after[field]!r}; define a new name beside it"
    if "stability" in before and STABILITIES.index(after["stability"]) < STABILITIES.index(before["stability"]):
        yield f"{name}: was {before['stability']} and is {after['stability']}; stability does not go back"
    for member, value in before.get("members", {}).items():
        if after["members"].get(member) != value:
            seen = after["members"].get(member)
            yield f"{name}: member {member} was {value!r} and is {seen!r}; members stay and keep their value"
    for field, remedy in (("attributes", "labels of a metric stay"), ("required", "what is required stays")):
        for key in sorted(set(before.get(field, ())) ^ set(after.get(field, ()))):
            verb = "lost" if key in before[field] else "gained"
            yield f"{name}: {verb} {key} among its {field}; {remedy}, define a new name beside it"


def _required(attributes: dict[str, str]) -> list[str]:
    return sorted(key for key, level in attributes.items() if level == "required")


def main(arguments: list[str] | None = None, *, path: Path = BASELINE) -> int:
    """Say what breaks against the baseline, or accept the present registry as the new one."""
    parser = argparse.ArgumentParser(prog="python -m otel_llm_semconv.baseline", description=__doc__)
    parser.add_argument("--accept", action="store_true", help="make the present registry the baseline of a release")
    options = parser.parse_args(arguments)
    now = snapshot(load())
    if options.accept:
        path.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        print(f"wrote {path.name}")
        return 0
    problems = list(breaking(json.loads(path.read_text(encoding="utf-8")), now))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
