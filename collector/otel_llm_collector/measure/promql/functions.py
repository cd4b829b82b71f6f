"""The functions of PromQL: which code answers which name, and the ones that look at one sample at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from otel_llm_collector.measure.promql import label_functions, native_over_time, over_time, quantiles
from otel_llm_collector.measure.promql.block import Block, empty, refuse_twins, without_names
from otel_llm_collector.measure.promql.native import NativeHistogram, variance
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Flags, Floats, Labels, Together
from otel_llm_collector.measure.promql.syntax import Call, Expr, Selector, bare
from otel_llm_collector.measure.promql.windows import bunches, labels_of, windows

if TYPE_CHECKING:
    from otel_llm_collector.measure.promql.evaluate import Evaluator, Range

Times = npt.NDArray[Any]  # of datetime64, or of what is counted from it
DatePart = Callable[[Times], Times]

_COUNTER_ENDINGS = ("_total", "_sum", "_count", "_bucket")
_KEEP_THE_NAME = frozenset({"first_over_time", "last_over_time"})
_SECONDS_A_DAY = 86400


def evaluate(evaluator: Evaluator, call: Call) -> Block:
    """The samples that a function of vectors comes to."""
    if call.name in over_time.FUNCTIONS:
        return _over_time(evaluator, call)
    return VECTORS[call.name](evaluator, call)


# Range vectors


def _over_time(evaluator: Evaluator, call: Call) -> Block:
    position = 1 if call.name == "quantile_over_time" else 0
    argument = call.arguments[position]
    selected = evaluator.range(argument)
    parameter = np.full(evaluator.grid.count, np.nan)
    if len(call.arguments) > 1:
        parameter = evaluator.scalar(call.arguments[1 - position])
    found = _each_window(evaluator, call, selected, parameter)
    if call.name == "quantile_over_time" and found.labels:
        quantiles.warn_of_quantiles(evaluator.notebook, parameter, call.arguments[0])
    if call.name in ("rate", "increase"):
        _hint_at_gauges(evaluator, found, argument)
    if call.name not in _KEEP_THE_NAME:
        if not evaluator.options.late_names:
            found.labels = without_names(found.labels)
        else:
            found.unnamed = np.ones(len(found.labels), np.bool_)
    inner = bare(argument)
    one_name = isinstance(inner, Selector) and inner.metric != ""  # then no two series are the same
    if not evaluator.options.late_names and not one_name:
        refuse_twins(found.labels)
    return found


def _each_window(evaluator: Evaluator, call: Call, selected: Range, parameter: Floats) -> Block:
    function = over_time.FUNCTIONS[call.name]
    grid = evaluator.grid
    values = np.empty((len(selected.series), grid.count))
    present = np.zeros(values.shape, np.bool_)
    series = floats = selected.series
    if isinstance(series, Together):
        all_rows = np.arange(len(series))
    else:
        all_rows = np.array([row for row, one in enumerate(series) if one.histograms is None], np.intp)
        floats = [series[row] for row in all_rows.tolist()]
    dense = call.name in over_time.DENSE
    for bunch in bunches(floats, stale=False):
        for part in windows(bunch, selected.ends, grid.times, selected.length_ms, dense=dense):
            evaluator.check_time()
            chunk = all_rows[part.bunch.rows]
            beside = len(chunk) == int(chunk[-1]) - int(chunk[0]) + 1  # a slice is written faster than single rows
            target = slice(int(chunk[0]), int(chunk[-1]) + 1) if beside else chunk
            values[target, part.steps], present[target, part.steps] = function(part, parameter[part.steps])
    unnamed = None if selected.unnamed is None else np.array(selected.unnamed, np.bool_)
    block = Block(labels_of(series), values, present, None, unnamed)
    if len(floats) < len(series):
        mixed = [row for row, one in enumerate(selected.series) if one.histograms is not None]
        native_over_time.fill(evaluator, call, selected, parameter, block, mixed)
    return block.used()


def _hint_at_gauges(evaluator: Evaluator, found: Block, argument: Expr) -> None:
    if found.labels and isinstance(argument, Selector) and argument.metric.endswith(_COUNTER_ENDINGS):
        return
    with_floats = np.flatnonzero(found.floats.any(axis=1)).tolist()
    names = {dict(found.labels[row]).get(METRIC_NAME, "") for row in with_floats}
    for name in sorted(names):
        if name and not name.endswith(_COUNTER_ENDINGS):
            message = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:"
            evaluator.notebook.info(f'{message} "{name}"', argument)


def _absent_over_time(evaluator: Evaluator, call: Call) -> Block:
    selected = evaluator.range(call.arguments[0])
    present = np.zeros(evaluator.grid.count, np.bool_)
    for bunch in bunches(selected.series, stale=False):
        for part in windows(bunch, selected.ends, evaluator.grid.times, selected.length_ms):
            present[part.steps] |= (part.counts > 0).any(axis=0)
    return _absence(call.arguments[0], present)


def _absent(evaluator: Evaluator, call: Call) -> Block:
    present = evaluator.vector(call.arguments[0]).present
    return _absence(call.arguments[0], np.logical_or.reduce(present, axis=0))


def _absence(argument: Expr, present: Flags) -> Block:
    if present.all():
        return empty(len(present))
    return Block([_labels_of_absence(bare(argument))], np.ones((1, len(present))), ~present[None, :])


def _labels_of_absence(expr: Expr) -> Labels:
    """What the selector says of the labels: those it asks to be equal to something, once."""
    if not isinstance(expr, Selector):
        return ()
    found: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in expr.matchers:
        if matcher.name == METRIC_NAME:
            continue
        if matcher.op == "=" and matcher.name not in seen:
            found[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            found.pop(matcher.name, None)
    return tuple(sorted((name, value) for name, value in found.items() if value))


# One sample at a time


def _floats(change: Callable[[Floats], Floats]) -> Callable[[Evaluator, Call], Block]:
    """A function of the float samples; native histograms are left out."""

    def function(evaluator: Evaluator, call: Call) -> Block:
        block = evaluator.vector(call.arguments[0])
        return evaluator.nameless(replace(block, values=change(block.values), present=block.floats, histograms=None))

    return function


def _clamp(evaluator: Evaluator, call: Call) -> Block:
    bounds = [evaluator.scalar(argument) for argument in call.arguments[1:]]
    everywhere = np.full(evaluator.grid.count, np.inf)
    low = bounds[0] if call.name != "clamp_max" else -everywhere
    high = bounds[-1] if call.name != "clamp_min" else everywhere
    block = evaluator.vector(call.arguments[0])
    # An infinity wins over NaN, as in Go.
    values = np.where(np.isneginf(block.values) | np.isneginf(high), -np.inf, np.minimum(high, block.values))
    values = np.where(np.isposinf(values) | np.isposinf(low), np.inf, np.maximum(low, values))
    return evaluator.nameless(replace(block, values=values, present=block.floats & ~(high < low), histograms=None))


def _round(evaluator: Evaluator, call: Call) -> Block:
    nearest = evaluator.scalar(call.arguments[1]) if len(call.arguments) > 1 else np.ones(evaluator.grid.count)
    block = evaluator.vector(call.arguments[0])
    inverse = 1.0 / nearest
    values = np.floor(block.values * inverse + 0.5) / inverse
    return evaluator.nameless(replace(block, values=values, present=block.floats, histograms=None))


def _sign(values: Floats) -> Floats:
    return np.where(values < 0, -1.0, np.where(values > 0, 1.0, values))


def _vector(evaluator: Evaluator, call: Call) -> Block:
    values = evaluator.scalar(call.arguments[0])[None, :]
    return Block([()], values, np.ones(values.shape, np.bool_))


def _timestamp(evaluator: Evaluator, call: Call) -> Block:
    argument = bare(call.arguments[0])
    if isinstance(argument, Selector):
        when = argument.when
        if when.fixed is not None:
            # Beside `@` Prometheus reads at that moment whatever the offset, from samples fetched with the offset.
            argument = replace(argument, when=replace(when, offset_ms=max(when.offset_ms, 0)))
        block, times = evaluator.last_samples(argument)
        if when.fixed is not None:
            oldest = evaluator.moments(replace(when, offset_ms=0)) - evaluator.options.lookback_ms
            block.present = block.present & (times > oldest)
        values = times / 1000
    else:
        block = evaluator.vector(argument)
        values = np.broadcast_to(evaluator.grid.times / 1000, block.values.shape)
    return evaluator.nameless(replace(block, values=values, histograms=None))


def _sort(evaluator: Evaluator, call: Call) -> Block:
    block = evaluator.vector(call.arguments[0])
    if evaluator.grid.count > 1:
        evaluator.notebook.warn(
            "sort is ineffective for range queries since results are always ordered by labels", call
        )
        return replace(block, present=block.floats, histograms=None)
    block = block.rows(np.flatnonzero(block.floats[:, 0]))
    values = block.values[:, 0]
    keys = -values if call.name == "sort_desc" else values
    order = np.lexsort((keys, np.isnan(values)))
    return block.rows(order)


# Dates


def _date(part: DatePart) -> Callable[[Evaluator, Call], Block]:
    """A part of the date of each value in seconds, or of the moment itself."""

    def function(evaluator: Evaluator, call: Call) -> Block:
        if call.arguments:
            block = evaluator.vector(call.arguments[0])
        else:
            values = (evaluator.grid.times / 1000)[None, :]
            block = Block([()], values, np.ones(values.shape, np.bool_))
        usable = np.isfinite(block.values) & (np.abs(block.values) < 1e15)  # noqa: PLR2004 - 30 million years
        seconds = np.trunc(np.where(usable, block.values, 0.0)).astype("datetime64[s]")
        values = np.where(usable, part(seconds).astype(np.float64), np.nan)
        return evaluator.nameless(replace(block, values=values, present=block.floats, histograms=None))

    return function


def _days_in_month(seconds: Times) -> Times:
    months = seconds.astype("datetime64[M]")
    days: Times = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return days


_DATES: dict[str, DatePart] = {
    "minute": lambda at: at.astype(np.int64) // 60 % 60,
    "hour": lambda at: at.astype(np.int64) // 3600 % 24,
    "day_of_week": lambda at: (at.astype(np.int64) // _SECONDS_A_DAY + 4) % 7,
    "day_of_month": lambda at: (at.astype("datetime64[D]") - at.astype("datetime64[M]")).astype(np.int64) + 1,
    "day_of_year": lambda at: (at.astype("datetime64[D]") - at.astype("datetime64[Y]")).astype(np.int64) + 1,
    "days_in_month": _days_in_month,
    "month": lambda at: at.astype("datetime64[M]").astype(np.int64) % 12 + 1,
    "year": lambda at: at.astype("datetime64[Y]").astype(np.int64) + 1970,
}


# Native histograms to numbers


def _natives(number: Callable[[NativeHistogram], float]) -> Callable[[Evaluator, Call], Block]:
    """A number of each native histogram; floats are left out."""

    def function(evaluator: Evaluator, call: Call) -> Block:
        block = evaluator.vector(call.arguments[0])
        natives = block.natives
        values = np.zeros(block.values.shape)
        if block.histograms is not None:
            values[natives] = [number(one) for one in block.histograms[natives]]
        return evaluator.nameless(replace(block, values=values, present=natives, histograms=None))

    return function


# Scalars


def _pi(evaluator: Evaluator, _: Call) -> Floats:
    return np.full(evaluator.grid.count, np.pi)


def _time(evaluator: Evaluator, _: Call) -> Floats:
    return evaluator.grid.times / 1000


def _scalar(evaluator: Evaluator, call: Call) -> Floats:
    block = evaluator.vector(call.arguments[0])
    floats = block.floats
    only = floats.sum(axis=0) == 1
    return np.where(only, np.where(floats, block.values, 0.0).sum(axis=0), np.nan)


_ELEMENTWISE: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": lambda values: values * 180 / np.pi,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": lambda values: values * np.pi / 180,
    "sgn": _sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}

SCALARS: dict[str, Callable[[Evaluator, Call], Floats]] = {
    "pi": _pi,
    "time": _time,
    "scalar": _scalar,
}

VECTORS: dict[str, Callable[[Evaluator, Call], Block]] = {
    **{name: _floats(change) for name, change in _ELEMENTWISE.items()},
    **{name: _date(part) for name, part in _DATES.items()},
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": _clamp,
    "clamp_max": _clamp,
    "clamp_min": _clamp,
    "histogram_avg": _natives(lambda one: float(np.divide(one.sum, one.count))),
    "histogram_count": _natives(lambda one: one.count),
    "histogram_fraction": quantiles.fraction,
    "histogram_quantile": quantiles.quantile,
    "histogram_stddev": _natives(lambda one: float(np.sqrt(variance(one)))),
    "histogram_stdvar": _natives(variance),
    "histogram_sum": _natives(lambda one: one.sum),
    "label_join": label_functions.join,
    "label_replace": label_functions.replace_label,
    "round": _round,
    "sort": _sort,
    "sort_desc": _sort,
    "timestamp": _timestamp,
    "vector": _vector,
}
