"""Which engine runs."""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from otel_llm_collector import engine, rust
from otel_llm_collector.engine.native import NativeEngine
from otel_llm_collector.engine.pure import PureEngine
from otel_llm_collector.engine.settings import GenAiConfig, ProcessorsConfig
from otel_llm_collector.errors import StartError


def test_the_reference_runs_when_asked_for() -> None:
    """`OTEL_LLM_ENGINE=pure` needs nothing that is built."""
    assert isinstance(engine.load_engine({"OTEL_LLM_ENGINE": "pure"}), PureEngine)


def test_a_name_of_no_engine_is_refused() -> None:
    """The sentence says what was seen and what would be right."""
    with pytest.raises(StartError, match="names no engine \\(seen: 'rust'\\); set it to pure or native"):
        engine.load_engine({"OTEL_LLM_ENGINE": "rust"})


def test_without_the_module_the_reference_runs_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says why it is slower; asked for by name, it does not start."""
    monkeypatch.setattr(rust.importlib.util, "find_spec", lambda _: None)
    with caplog.at_level(logging.INFO):
        assert isinstance(engine.load_engine({}), PureEngine)
    assert caplog.messages == [
        "the engine runs in Python: otel-llm-wire is not installed (make native builds it where cargo is)"
    ]
    with pytest.raises(StartError, match="native cannot run here: otel-llm-wire is not installed"):
        engine.load_engine({"OTEL_LLM_ENGINE": "native"})


def test_where_it_was_built_the_engine_in_rust_runs() -> None:
    """Unset means the fast one, whatever is configured."""
    pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")
    processors = ProcessorsConfig.model_validate(
        {"redaction": {"action": "hash", "hash_key": "k"}, "content": {"max_field_bytes": 100, "blobs": "replace"}}
    )
    genai = GenAiConfig.model_validate({"metrics": "both", "originals": "drop"})
    assert isinstance(engine.load_engine({}), NativeEngine)
    assert isinstance(engine.load_engine({}, processors, genai=genai), NativeEngine)


def test_a_build_of_another_version_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that reads tables of another form is named, and the reference runs."""
    other = ModuleType("otel_llm_wire")
    other.__spec__ = ModuleSpec("otel_llm_wire", None)
    monkeypatch.setitem(sys.modules, "otel_llm_wire", other)
    assert isinstance(engine.load_engine({}), PureEngine)
    with pytest.raises(StartError, match="reads tables of form 0, this collector writes"):
        engine.load_engine({"OTEL_LLM_ENGINE": "native"})
