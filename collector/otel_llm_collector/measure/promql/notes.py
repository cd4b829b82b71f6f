"""The warnings and infos that pile up while a query is evaluated, in Prometheus' words."""

from __future__ import annotations

from otel_llm_collector.measure.promql.syntax import Expr, start_of
from otel_llm_collector.measure.promql.values import Notes


class Notebook:
    """Collects notes, each once; `at` is the expression that a note is about."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._warnings: dict[str, None] = {}
        self._infos: dict[str, None] = {}

    def warn(self, message: str, at: Expr) -> None:
        """Something is wrong with the answer."""
        self._warnings[f"PromQL warning: {message} ({self._place(at)})"] = None

    def info(self, message: str, at: Expr) -> None:
        """The query may not mean what it says."""
        self._infos[f"PromQL info: {message} ({self._place(at)})"] = None

    def notes(self) -> Notes:
        """Everything so far."""
        return Notes(tuple(self._warnings), tuple(self._infos))

    def _place(self, expr: Expr) -> str:
        position = start_of(expr)
        line = self._text.count("\n", 0, position) + 1
        return f"{line}:{position - self._text.rfind(chr(10), 0, position)}"
