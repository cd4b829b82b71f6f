"""The demo's numbers, read from the collector's own pages the way Prometheus reads them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx2
from otel_llm_semconv.enums import GenAiOperationName as Operation
from prometheus_client.parser import text_string_to_metric_families

Labels = dict[str, str]


@dataclass
class Exposition:
    """Samples of one scrape by name."""

    samples: dict[str, list[tuple[Labels, float]]] = field(default_factory=dict)

    @classmethod
    def scrape(cls, url: str) -> Exposition:
        """Read `/metrics`."""
        samples: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        text = httpx2.get(url, timeout=10, trust_env=False).raise_for_status().text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples[sample.name].append((sample.labels, sample.value))
        return cls(samples)

    def total(self, name: str, **where: str) -> float:
        """The sum of the samples of `name` with these labels."""
        return sum(value for labels, value in self.samples.get(name, []) if where.items() <= labels.items())

    def by(self, name: str, label: str) -> dict[str, float]:
        """The sum for each value of `label`, without zeros."""
        sums: dict[str, float] = defaultdict(float)
        for labels, value in self.samples.get(name, []):
            sums[labels.get(label, "")] += value
        return {key: value for key, value in sums.items() if value}

    def quantile(self, name: str, q: float, **where: str) -> float | None:
        """A quantile of a histogram, linear inside its bucket; None when it is empty."""
        counts: dict[float, float] = defaultdict(float)
        for labels, value in self.samples.get(f"{name}_bucket", []):
            if where.items() <= labels.items():
                counts[float(labels["le"])] += value
        bounds = sorted(counts)
        if not bounds or not counts[bounds[-1]]:
            return None
        rank, lower, below = q * counts[bounds[-1]], 0.0, 0.0
        for bound in bounds:
            if counts[bound] >= rank:
                if bound == float("inf"):
                    return lower
                return lower + (bound - lower) * (rank - below) / (counts[bound] - below)
            lower, below = bound, counts[bound]
        return lower


def summary(seen: Exposition, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    """What the demo shows, from one scrape and the alerts that were seen firing."""
    chat = {"gen_ai_operation_name": Operation.CHAT.value}
    retrieval = {"gen_ai_operation_name": Operation.RETRIEVAL.value}
    duration, first = "otel_llm_operation_duration_seconds", "otel_llm_time_to_first_token_seconds"
    searches = seen.total("otel_llm_retrieval_returned_count", **retrieval)
    return {
        "model_calls": int(seen.total("otel_llm_requests_total", **chat)),
        "model_errors": int(seen.total("otel_llm_errors_total", **chat)),
        "model_p50_seconds": seen.quantile(duration, 0.5, **chat),
        "model_p95_seconds": seen.quantile(duration, 0.95, **chat),
        "time_to_first_token_p50_seconds": seen.quantile(first, 0.5, **chat),
        "tokens": {kind: int(count) for kind, count in seen.by("otel_llm_tokens_total", "gen_ai_token_type").items()},
        "cost_usd": seen.by("otel_llm_cost_usd_total", "gen_ai_request_model"),
        "unpriced": seen.by("otel_llm_cost_unpriced_total", "otel_llm_cost_unknown_reason"),
        "retrieved_k_mean": seen.total("otel_llm_retrieval_returned_sum", **retrieval) / searches if searches else None,
        "alerts": sorted({alert["labels"]["alertname"] for alert in alerts}),
        "accepted_spans": int(seen.total("otelcol_receiver_accepted_spans_total")),
        "refused_spans": int(seen.total("otelcol_receiver_refused_spans_total")),
    }
