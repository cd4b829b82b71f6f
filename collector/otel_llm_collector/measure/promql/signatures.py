"""The functions of PromQL with the types of their arguments, and what is experimental and therefore refused."""

from __future__ import annotations

from dataclasses import dataclass

from otel_llm_collector.measure.promql.syntax import Type

_S, _T, _V, _M = Type.SCALAR, Type.STRING, Type.VECTOR, Type.MATRIX


@dataclass(frozen=True, slots=True)
class Signature:
    """Argument types; of the last one `optional` may be missing, and with `repeats` it may come any number of times."""

    arguments: tuple[Type, ...]
    returns: Type = _V
    optional: bool = False
    repeats: bool = False


def _each(names: str, signature: Signature) -> dict[str, Signature]:
    return dict.fromkeys(names.split(), signature)


SIGNATURES: dict[str, Signature] = {
    **_each(
        "abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_avg histogram_count "
        "histogram_stddev histogram_stdvar histogram_sum ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh "
        "timestamp",
        Signature((_V,)),
    ),
    **_each(
        "absent_over_time avg_over_time changes count_over_time delta deriv first_over_time idelta increase irate "
        "last_over_time max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time "
        "sum_over_time",
        Signature((_M,)),
    ),
    **_each(
        "day_of_month day_of_week day_of_year days_in_month hour minute month year", Signature((_V,), optional=True)
    ),
    "clamp": Signature((_V, _S, _S)),
    **_each("clamp_max clamp_min", Signature((_V, _S))),
    "histogram_fraction": Signature((_S, _S, _V)),
    "histogram_quantile": Signature((_S, _V)),
    "label_join": Signature((_V, _T, _T, _T), optional=True, repeats=True),
    "label_replace": Signature((_V, _T, _T, _T, _T)),
    "predict_linear": Signature((_M, _S)),
    "quantile_over_time": Signature((_S, _M)),
    "round": Signature((_V, _S), optional=True),
    "scalar": Signature((_V,), _S),
    "vector": Signature((_S,)),
    **_each("pi time", Signature((), _S)),
}

AGGREGATIONS = frozenset(
    {
        *("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"),
        *("topk", "bottomk", "count_values", "quantile"),
    }
)
PARAMETERS = {"topk": _S, "bottomk": _S, "quantile": _S, "count_values": _T}

# Prometheus has these behind feature flags; their meaning may still change there.
EXPERIMENTAL_AGGREGATIONS = frozenset({"limitk", "limit_ratio"})
EXPERIMENTAL_FUNCTIONS = frozenset(
    {
        *("double_exponential_smoothing", "histogram_quantiles", "info", "mad_over_time", "max_of", "min_of"),
        *("end", "range", "start", "start_timestamp", "step", "sort_by_label", "sort_by_label_desc"),
        *("ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time"),
    }
)
EXPERIMENTAL_MODIFIERS = frozenset({"anchored", "smoothed", "fill", "fill_left", "fill_right"})
