"""When the module in Rust is used."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from otel_llm_collector import rust


def stand_in(monkeypatch: pytest.MonkeyPatch, form: int) -> ModuleType:
    """A module of this name that reads tables of this form."""
    made = ModuleType(rust.NAME)
    made.__spec__ = ModuleSpec(rust.NAME, None)
    made.TABLES = form  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, rust.NAME, made)
    return made


def test_it_is_used_where_it_is_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same form, and not forbidden."""
    made = stand_in(monkeypatch, rust.TABLES)
    assert rust.module({}) is made
    assert rust.module({"OTEL_LLM_ENGINE": "native"}) is made
    assert rust.module({"OTEL_LLM_ENGINE": "pure"}) is None


def test_one_of_another_form_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would make of our tables nobody knows."""
    stand_in(monkeypatch, rust.TABLES + 1)
    assert rust.module({}) is None
    assert f"this collector writes {rust.TABLES}" in rust.misfit()


def test_without_it_python_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without cargo is complete."""
    monkeypatch.setattr(rust.importlib.util, "find_spec", lambda _: None)
    assert rust.module({}) is None
