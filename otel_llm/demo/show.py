"""What the demo prints: progress while it runs, a table at the end."""

from __future__ import annotations

import sys
from typing import Any


class Progress:
    """A counter on one line; on something that is no terminal, a line at each quarter."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total = total
        self._done = 0
        self._quiet = quiet
        self._live = sys.stdout.isatty()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._quiet:
            return
        if self._live:
            print(f"\rasking the RAG service: {self._done}/{self._total}", end="", flush=True)
        elif self._done % max(1, self._total // 4) == 0:
            print(f"asking the RAG service: {self._done}/{self._total}", flush=True)

    def end(self) -> None:
        """The line is complete."""
        if self._live and not self._quiet:
            print()


def table(numbers: dict[str, Any], admin: str) -> str:
    """The numbers as a table, and where to look further."""
    tokens = numbers["tokens"]
    costs = numbers["cost_usd"]
    rows = [
        ("requests", f"{numbers['requests']}, of which {numbers['failed_requests']} failed"),
        ("latency", f"p50 {_ms(numbers['p50_seconds'])}, p95 {_ms(numbers['p95_seconds'])}"),
        ("model calls", f"{numbers['model_calls']}, of which {numbers['model_errors']} failed"),
        ("model latency", f"p50 {_ms(numbers['model_p50_seconds'])}, p95 {_ms(numbers['model_p95_seconds'])}"),
        ("time to first token", f"p50 {_ms(numbers['time_to_first_token_p50_seconds'])}"),
        (
            "tokens",
            f"{tokens.get('input', 0)} in ({tokens.get('cache_read', 0)} cached), {tokens.get('output', 0)} out",
        ),
        *((f"cost of {model}", f"${cost:.6f}") for model, cost in sorted(costs.items())),
        ("cost in total", f"${sum(costs.values()):.6f}"),
        *((f"no price: {reason}", f"{count:.0f} calls") for reason, count in sorted(numbers["unpriced"].items())),
        ("retrieved k", f"{numbers['retrieved_k_mean']:.1f} on average" if numbers["retrieved_k_mean"] else "nothing"),
        ("alerts that fired", ", ".join(numbers["alerts"]) or "none"),
        ("spans", f"{numbers['emitted_spans']} emitted, {numbers['accepted_spans']} counted by the collector"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    where = f"  {'look further':<{width}}  {admin}/metrics, {admin}/api/v1/alerts (run with --keep)"
    return "\n".join(["", f"  {'otel-llm demo':<{width}}  {numbers['seconds']} s", *lines, where])


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1000:.0f} ms"
