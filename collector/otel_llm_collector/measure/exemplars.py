"""Exemplars: for each bucket of the duration and first-token histograms, one recent span that fell into it.

OpenMetrics carries them to Prometheus, Grafana makes links to traces of them. A glance a second is enough for that: of
the requests that come in between nothing is read, so that they cost nothing whatever the traffic.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics
from prometheus_client.samples import Exemplar

from otel_llm_collector import limits
from otel_llm_collector.measure.calls import Call, calls
from otel_llm_collector.measure.series import SeriesStore

_TRACE_ID, _SPAN_ID = "trace_id", "span_id"


class Exemplars:
    """Looks at a request now and then; `clock` gives seconds since the epoch."""

    def __init__(self, store: SeriesStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._looked_at = float("-inf")

    def observe(self, request: bytes) -> None:
        """One kept trace request."""
        now = self._clock()
        too_soon = 0 <= now - self._looked_at < limits.EXEMPLAR_SECONDS
        if too_soon or len(request) > limits.MAX_EXEMPLAR_REQUEST_BYTES:
            return
        self._looked_at = now
        for call in calls(request):
            self._exemplify(metrics.OTEL_LLM_OPERATION_DURATION, call, call.seconds)
            first_token = call.number(attr.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK)
            if first_token is not None:
                self._exemplify(metrics.OTEL_LLM_TIME_TO_FIRST_TOKEN, call, first_token)

    def _exemplify(self, metric: metrics.Metric, call: Call, value: float) -> None:
        """Remember the span for its bucket, where the engine measured such a series."""
        operation = call.get("operation") or call.get(attr.OTEL_LLM_OPERATION_NAME)
        labels = (call.get("service"), operation, call.get("provider"), call.get("model"))
        ids = {_TRACE_ID: call.trace_id.hex(), _SPAN_ID: call.span_id.hex()}
        exemplar = Exemplar(ids, value, call.ended_at)
        self._store.exemplify(metric.name, labels, bisect_left(metric.boundaries, value), exemplar)
