"""PromQL: a parser and an evaluator over any store of series.

    query = parse("sum by (job) (rate(http_requests_total[5m])) > 10")
    instant(query, storage, at_ms)                        -> Vector, Scalar, String or Matrix
    range_query(query, storage, start_ms, end_ms, step_ms) -> Matrix

`storage.Storage` is what the evaluator asks of a store. Times are integer milliseconds; nothing here reads a clock.
"""

from otel_llm_collector.measure.promql.evaluate import Options
from otel_llm_collector.measure.promql.query import Query, instant, parse, range_query

__all__ = ["Options", "Query", "instant", "parse", "range_query"]
