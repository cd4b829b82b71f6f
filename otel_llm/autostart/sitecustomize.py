"""Python imports this before a program that `otel-llm instrument` starts, and before each Python process it starts."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path


def _begin() -> None:
    try:
        from otel_llm.launch import begin  # noqa: PLC0415 - a child may run in an environment without us
    except ImportError:
        return
    begin()


def _go_on() -> None:
    """Run the environment's own `sitecustomize`, which this one hides."""
    here = Path(__file__).parent
    others = [entry for entry in sys.path if entry and Path(entry) != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


_begin()
_go_on()
