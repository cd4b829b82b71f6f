"""The seam through which libraries are patched: reversible, lazy."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from otel_llm import patch

LATE = "def answer():\n    return 42\n"


def test_a_library_is_patched_when_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting imports nothing; the import patches; what is patched can be undone."""
    (tmp_path / "late_library.py").write_text(LATE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    patch.when_imported("late", "late_library", lambda module: patch.replace(module, "answer", lambda: 43))
    assert "late_library" not in sys.modules
    try:
        library = __import__("late_library")
        assert library.answer() == 43
        assert type(library.__spec__.loader).__name__ == "SourceFileLoader"
        patch.forget("late")
        assert library.answer() == 42
    finally:
        sys.modules.pop("late_library", None)


def test_a_patch_that_fails_leaves_the_library_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was replaced before the failure is undone, the import succeeds, one warning says so."""
    (tmp_path / "odd_library.py").write_text(LATE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def attach(module: ModuleType) -> None:
        patch.replace(module, "answer", lambda: 43)
        raise AttributeError("no such class")

    patch.when_imported("odd", "odd_library", attach)
    try:
        assert __import__("odd_library").answer() == 42
    finally:
        sys.modules.pop("odd_library", None)
    assert "odd could not be instrumented: AttributeError" in caplog.text
