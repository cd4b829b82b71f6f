"""Dialect tables: the shipped ones are sound, and what is wrong with a new one is said at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from otel_llm_semconv.dialects import FOLDER, compiled, load
from otel_llm_semconv.registry import RegistryError
from otel_llm_semconv.registry import load as load_registry

REGISTRY = load_registry()


def test_the_compiled_table_is_plain_data_of_the_files() -> None:
    """`dialects.json` is what the YAML says, and JSON carries it without loss."""
    table = load(REGISTRY)
    assert table == compiled()
    assert json.loads(json.dumps(table)) == table


def test_every_file_is_a_dialect_that_can_be_recognised() -> None:
    """Each file is in the table by its name, with a marker, a scope or a resource that gives it away."""
    names = {path.stem for path in FOLDER.glob("*.yaml")} - {"common"}
    table = compiled()
    assert names == {one["dialect"] for one in table["dialects"]}
    known = {name for many in table["markers"].values() for name in many}
    known |= {entry[-1] for entry in (*table["scopes"], *table["resource"])}
    assert names == known


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    """A file with six mistakes gets a sentence for each, with file, place, and what would be right."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "dialect: yours\ntitle: x\nversions: x\nsource: x\nprecedence: 1\ndetect: {attribute: [a]}\ncolour: red\n"
        "attributes: {gen_ai.nothing: a}\n"
        "conversions:\n"
        "  - {to: gen_ai.request.model, from: a, map: nobodys}\n"
        "  - {to: gen_ai.request.model}\n"
        "  - {to: gen_ai.request.model, from: a, unit: weeks}\n"
    )
    with pytest.raises(RegistryError) as caught:
        load(REGISTRY, extra=[path])
    said = "\n".join(caught.value.problems)
    for expected in (
        "dialect is 'yours'",
        "unknown key 'attribute'",
        "unknown key 'colour'",
        "gen_ai.nothing is not in the registry",
        "map 'nobodys' is not in common.yaml",
        "write either from or value",
        "unit is unknown (seen: 'weeks')",
    ):
        assert expected in said
