"""Programs of `tests/clients` whose libraries are in this environment; `make test-clients` runs all of them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
CLIENTS = Path(__file__).parents[2] / "clients"


def passes(program: str) -> None:
    """Run a program of the folder, which fails when something is not as it should be."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(CLIENTS / program)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_the_openai_client() -> None:
    """Sync, async, streamed, tools, embeddings, raw: one span a call, in its place, with the response's tokens."""
    if importlib.util.find_spec("openai") is None:
        pytest.skip("openai is not installed; the extra demo has it")
    passes("openai_client.py")


def test_a_real_model() -> None:
    """A real small model, the SDK, a collector on disk: what the model said of its tokens is what the books say."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed; pip install 'otel-llm[real-model]' gives it, 300 MB with the model")
    passes("real_model.py")


def test_every_program_has_a_leg() -> None:
    """No program of the folder is forgotten by `make test-clients`."""
    named = (CLIENTS / "run.py").read_text(encoding="utf-8")
    programs = {path.name for path in CLIENTS.glob("*.py")} - {"run.py", "clients.py"}
    assert programs
    assert {name for name in programs if f'"{name}"' not in named} == set()
