"""Programs of `tests/clients` whose libraries are in this environment; `make test-clients` runs all of them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
CLIENTS = Path(__file__).parents[2] / "clients"


def test_the_openai_client() -> None:
    """Sync, async, streamed, tools, embeddings, raw: one span a call, in its place, with the response's tokens."""
    if importlib.util.find_spec("openai") is None:
        pytest.skip("openai is not installed; the extra demo has it")
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(CLIENTS / "openai_client.py")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_every_program_has_a_leg() -> None:
    """No program of the folder is forgotten by `make test-clients`."""
    named = (CLIENTS / "run.py").read_text(encoding="utf-8")
    programs = {path.name for path in CLIENTS.glob("*.py")} - {"run.py", "clients.py"}
    assert programs
    assert {name for name in programs if f'"{name}"' not in named} == set()
