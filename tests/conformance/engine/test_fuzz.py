"""Bytes changed at random: the engines never disagree, fail or hang. `make fuzz` tries for longer."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

pytest.importorskip("otel_llm_wire", reason="the engine in Rust is not built here; make native builds it")
sys.path.insert(0, str(Path(__file__).parent))

import fuzz
from test_twins import Twins


def test_the_corpus() -> None:
    """Every request that was ever kept: recorded shapes, and what went wrong once."""
    assert len(fuzz.corpus()) >= 5
    for signal, request in fuzz.corpus():
        Twins().agree(signal, request)


def test_some_seconds_of_change() -> None:
    """A few thousand changed requests; which ones differs from run to run."""
    assert fuzz.fuzz(8.0, random.getrandbits(64)) > 100  # pytest-randomly seeds it
