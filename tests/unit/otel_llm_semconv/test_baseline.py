"""A change of the registry that breaks those who rely on it does not go unnoticed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from otel_llm_semconv.baseline import breaking, snapshot
from otel_llm_semconv.registry import load

NOW = snapshot(load())


def change(edit: Callable[[dict[str, Any]], object]) -> list[str]:
    """What is said when the registry of today was edited so."""
    after = copy.deepcopy(NOW)
    edit(after)
    return list(breaking(NOW, after))


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda new: new["attributes"].pop("otel_llm.cost.total"), "the attribute is gone"),
        (lambda new: new["attributes"]["otel_llm.cost.total"].update(type="int"), "type was 'double' and is 'int'"),
        (lambda new: new["attributes"]["otel_llm.outcome"]["members"].pop("ok"), "member ok was 'ok' and is None"),
        (lambda new: new["metrics"]["otel_llm.requests"].update(unit="1"), "unit was '{request}' and is '1'"),
        (lambda new: new["metrics"]["otel_llm.requests"]["attributes"].pop(), "lost gen_ai.request.model"),
        (lambda new: new["spans"]["otel_llm.rerank"]["required"].append("otel_llm.tags"), "gained otel_llm.tags"),
        (lambda new: new["events"].pop("otel_llm.experiment.run"), "the event is gone"),
    ],
)
def test_a_breaking_change_is_one_sentence(edit: Callable[[dict[str, Any]], object], words: str) -> None:
    """Removed, retyped, regrouped: each is named with what would have been right."""
    (problem,) = change(edit)
    assert words in problem


def test_an_addition_breaks_nobody() -> None:
    """New attributes, members and metrics are free."""

    def add(new: dict[str, Any]) -> None:
        new["attributes"]["otel_llm.new.one"] = {"type": "int", "stability": "development", "members": {}}
        new["attributes"]["otel_llm.outcome"]["members"]["late"] = "late"

    assert change(add) == []
