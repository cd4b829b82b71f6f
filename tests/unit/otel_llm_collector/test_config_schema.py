"""The JSON Schema that editors use agrees with what the collector itself takes and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from otel_llm_collector.config_schema import json_schema

DATA = Path(__file__).parents[2] / "data/config"
SEEN_BY_SHAPE = (
    "exporter_not_a_mapping",
    "exporter_of_unknown_type",
    "exporter_without_endpoint",
    "exporter_without_type",
    "limit_below_its_bound",
    "not_a_mapping",
    "unknown_key_deep",
    "unknown_log_kind",
    "unknown_section",
)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def errors(validator: Draft202012Validator, text: str) -> list[str]:
    document: Any = yaml.safe_load(text) or {}  # an empty file is the default configuration
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize("path", sorted((DATA / "valid").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_the_collector_takes_is_valid(validator: Draft202012Validator, path: Path) -> None:
    """A file that the collector runs shows no mistake in an editor."""
    assert not errors(validator, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SEEN_BY_SHAPE)
def test_a_mistake_of_shape_is_seen(validator: Draft202012Validator, name: str) -> None:
    """Unknown keys, kinds, missing and misplaced values are seen in an editor already."""
    assert errors(validator, (DATA / "invalid" / f"{name}.yaml").read_text(encoding="utf-8"))


def test_a_variable_may_stand_for_any_scalar(validator: Draft202012Validator) -> None:
    """Numbers, switches and choices can come from the environment; other text in their place is a mistake."""
    good = "log: {kind: disk, path: x, max_bytes: '${env:SIZE:-1000000}'}\nalerts: {deadman: '${env:DEADMAN}'}"
    assert not errors(validator, good)
    assert len(errors(validator, good.replace("${env:DEADMAN}", "perhaps"))) == 1
