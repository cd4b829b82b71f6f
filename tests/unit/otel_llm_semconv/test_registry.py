"""The registry is strict about its format and its policies, and what is generated from it is what is committed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from otel_llm_semconv import attributes, check, enums, generate, metrics
from otel_llm_semconv.registry import RegistryError, load

ROOT = Path(__file__).parents[3]
MANIFEST = "schema_url: https://example.test/schemas/t/0.1.0\nstability: development\n"
HEAD = "file_format: definition/2\n"


def registry_of(folder: Path, text: str, manifest: str = MANIFEST) -> Path:
    """A registry of one file in `folder`."""
    (folder / "manifest.yaml").write_text(manifest)
    (folder / "one.yaml").write_text(text)
    return folder


def attribute(key: str = "otel_llm.a.b", kind: str = "string", more: str = "") -> str:
    """One attribute in YAML."""
    return f'  - {{key: {key}, type: {kind}, brief: "It is.", stability: development{more}}}\n'


UNREADABLE = {
    "unknown key of an attribute": (HEAD + "attributes:\n" + attribute(more=", colour: red"), "unknown key 'colour'"),
    "missing type": (HEAD + "attributes:\n" + attribute().replace("type: string, ", ""), "type is missing"),
    "unknown type": (HEAD + "attributes:\n" + attribute(kind="text"), "type is unknown (seen: 'text')"),
    "unknown stability": (HEAD + "attributes:\n" + attribute().replace("development", "solid"), "seen: 'solid'"),
    "unknown top-level key": (HEAD + "groups: []\n", "unknown key 'groups'"),
    "another file format": ("file_format: definition/1\n", "file_format is 'definition/1'"),
    "not YAML": ("attributes: [", "cannot be read"),
    "a list instead of a mapping": ("- a\n", "is list; write a mapping"),
    "the same attribute twice": (HEAD + "attributes:\n" + attribute() * 2, "already defined"),
    "unknown sensitivity": (
        HEAD + "attributes:\n" + attribute(more=", annotations: {otel_llm: {sensitivity: high}}"),
        "sensitivity is unknown (seen: 'high')",
    ),
    "a histogram without boundaries": (
        HEAD
        + "metrics:\n"
        + attribute().replace("key", "name").replace("type: string", "instrument: histogram, unit: s"),
        "a histogram has boundaries",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE, ids=str)
def test_a_broken_file_is_refused_with_a_sentence(tmp_path: Path, case: str) -> None:
    """Each way to break the format is told with file, object and value."""
    text, words = UNREADABLE[case]
    with pytest.raises(RegistryError) as caught:
        load(registry_of(tmp_path, text))
    assert any(words in problem for problem in caught.value.problems), caught.value.problems


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Two mistakes in one file are two sentences."""
    text = HEAD + "attributes:\n" + attribute(kind="text") + attribute("otel_llm.c.d", more=", colour: red")
    with pytest.raises(RegistryError) as caught:
        load(registry_of(tmp_path, text))
    assert len(caught.value.problems) == 2


BROKEN_POLICIES = {
    "a name of ours elsewhere": (attribute("gen_ai.shiny.thing"), "is not ours to define"),
    "upper case": (attribute("otel_llm.Shiny"), "not a well-formed name"),
    "a name that is a namespace": (attribute("otel_llm.a") + attribute("otel_llm.a.b"), "also the namespace of"),
    "the same constant": (attribute("otel_llm.a.b_c") + attribute("otel_llm.a_b.c"), "same constant"),
    "no sentence": (attribute().replace("It is.", "it is"), "brief is no sentence"),
    "renamed to nothing": (
        attribute(more=", deprecated: {reason: renamed, renamed_to: otel_llm.x.y}"),
        "renamed_to is no live attribute",
    ),
    "two equal members": (
        attribute(kind="{members: [{id: a, value: x}, {id: b, value: x}]}"),
        "two members have the value 'x'",
    ),
}


@pytest.mark.parametrize("case", BROKEN_POLICIES, ids=str)
def test_a_broken_policy_is_told(tmp_path: Path, case: str) -> None:
    """Each policy of OpenTelemetry's registry, and ours, is checked."""
    text, words = BROKEN_POLICIES[case]
    problems = check.check(load(registry_of(tmp_path, HEAD + "attributes:\n" + text)))
    assert any(words in problem for problem in problems), problems


def test_a_metric_must_not_carry_content(tmp_path: Path) -> None:
    """What people wrote, and ids without bound, may not become labels."""
    text = (
        HEAD + "attributes:\n" + attribute(more=", annotations: {otel_llm: {sensitivity: content}}") + "metrics:\n"
        '  - {name: otel_llm.m, instrument: counter, unit: "1", brief: "It is.", stability: development,'
        " annotations: {otel_llm: {emitter: sdk}}, attributes: [{ref: otel_llm.a.b}, {ref: otel_llm.gone}]}\n"
    )
    problems = check.check(load(registry_of(tmp_path, text)))
    assert any("must not carry otel_llm.a.b" in problem for problem in problems)
    assert any("refers to otel_llm.gone" in problem for problem in problems)


def test_the_shipped_registry_is_clean() -> None:
    """No policy is broken by what we ship."""
    assert check.check(load()) == []


def test_generated_files_are_what_the_registry_says() -> None:
    """`make generate` leaves no difference."""
    for path, text in generate.outputs(load(), ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run make generate"


def test_every_attribute_has_a_constant_and_every_metric_its_labels() -> None:
    """The constants cover the registry, and each label of a metric is an attribute of it."""
    registry = load()
    for key in registry.attributes:
        assert getattr(attributes, generate.constant(key)) == key
    known = metrics.METRICS | metrics.OTHER_METRICS
    assert set(known) == set(registry.metrics)
    assert set(metrics.METRICS) == {name for name, one in registry.metrics.items() if one.emitter == "engine"}
    for metric in known.values():
        assert set(metric.attributes) <= set(registry.attributes)
    assert enums.GenAiOperationName("chat") is enums.GenAiOperationName.CHAT


def test_no_attribute_name_stands_outside_the_registry() -> None:
    """Code imports the constants: no string of another module begins like one of the conventions' names."""
    registry = load()
    names = {name for name in registry.attributes if "." in name}
    generated = {path.name for path in generate.outputs(registry, ROOT)}
    for package in ("otel_llm", "collector/otel_llm_collector", "semconv/otel_llm_semconv"):
        for path in (ROOT / package).rglob("*.py"):
            if path.name in generated or path.parent.name == "fakes":
                continue  # stand-ins spell names as their originals do, so that a slip in ours shows
            strings = {
                node.value
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            assert not strings & names, path
