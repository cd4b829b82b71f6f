"""Prometheus' HTTP API over the collector's series, so that Grafana asks the collector as it asks Prometheus.

`query`, `query_range`, `query_exemplars`, `series`, `labels`, `label/NAME/values`, `metadata` and `status/buildinfo`,
by GET or a posted form, with Prometheus' status codes and error types. Queries run in threads of their own: however
long one takes, the collector goes on receiving.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.samples import Exemplar
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_llm_collector import limits
from otel_llm_collector._version import __version__
from otel_llm_collector.measure.exposition import Metadata
from otel_llm_collector.measure.promql import Options, instant, parse, range_query
from otel_llm_collector.measure.promql.lexer import duration_ms, tokens
from otel_llm_collector.measure.promql.parser import parse_selector
from otel_llm_collector.measure.promql.storage import Index, Labels, Matcher
from otel_llm_collector.measure.promql.syntax import Expr, Selector, children
from otel_llm_collector.measure.promql.values import LimitError, Matrix, Notes, QueryError, Result, TimedOut, Vector
from otel_llm_collector.serve import prometheus_json

# Clients ask for the version to know what they may use: these are the answers of this release of Prometheus.
_LIKE_PROMETHEUS = "3.15.0"
_EVER_MS = 2**53
_STATUS = {"bad_data": 400, "execution": 422, "timeout": 503, "internal": 500, "unavailable": 503}
_TRUNCATED = "results truncated due to limit"

Form = Mapping[str, list[str]]


class _Refused(Exception):
    """The request has no answer; `kind` is Prometheus' error type."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class PrometheusApi:
    """Answers queries over `storage`; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        storage: Index,
        metadata: Callable[[], Iterable[Metadata]],
        registry: CollectorRegistry,
        clock: Callable[[], float],
        exemplars: Callable[[], Iterable[tuple[Labels, Exemplar]]] = tuple,
    ) -> None:
        self._storage = storage
        self._exemplars = exemplars
        self._metadata = metadata
        self._clock = clock
        self._threads = ThreadPoolExecutor(limits.MAX_CONCURRENT_QUERIES, thread_name_prefix="query")
        self._waiting = 0
        self._answered = Counter(
            "otel_llm_queries",
            "Requests to the query API by outcome: success, or the error's type.",
            ["endpoint", "outcome"],
            registry=registry,
        )

    def routes(self) -> list[Route]:
        """The routes, for the admin server."""
        answers: dict[str, Callable[[Form, Mapping[str, str]], bytes]] = {
            "query": self._query,
            "query_range": self._query_range,
            "query_exemplars": self._query_exemplars,
            "series": self._series,
            "labels": self._labels,
            "label/{name}/values": self._label_values,
            "metadata": self._all_metadata,
            "status/buildinfo": self._build,
        }
        return [
            Route(f"/api/v1/{path}", self._endpoint(path, answer), methods=["GET", "POST"])
            for path, answer in answers.items()
        ]

    def close(self) -> None:
        """Take no more queries; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _endpoint(
        self, path: str, answer: Callable[[Form, Mapping[str, str]], bytes]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            outcome, status = "success", 200
            try:
                form = await _form(request)
                body = await self._in_thread(answer, form, dict(request.path_params))
            except _Refused as error:
                outcome, status = error.kind, _STATUS[error.kind]
                body = prometheus_json.failure(error.kind, str(error))
            self._answered.labels(path, outcome).inc()
            return Response(body, status, media_type="application/json")

        return handle

    async def _in_thread(
        self, answer: Callable[[Form, Mapping[str, str]], bytes], form: Form, path: Mapping[str, str]
    ) -> bytes:
        if self._waiting >= limits.MAX_WAITING_QUERIES:
            raise _Refused("unavailable", f"{self._waiting} queries are waiting already; ask again later")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _guarded, answer, form, path)
        finally:
            self._waiting -= 1

    # Queries

    def _query(self, form: Form, _: Mapping[str, str]) -> bytes:
        limit = _limit(form)
        at = _time(form, "time", round(self._clock() * 1000))
        options = self._options(form)
        query = _parsed(form)
        result = _cut(instant(query, self._storage, at, options), limit)
        return prometheus_json.success(prometheus_json.query_data(result), result.notes)

    def _query_range(self, form: Form, _: Mapping[str, str]) -> bytes:
        limit = _limit(form)
        start, end = _time(form, "start"), _time(form, "end")
        if end < start:
            raise _invalid("end", "end timestamp must not be before start time")
        step = _duration(form, "step")
        if step <= 0:
            message = "zero or negative query resolution step widths are not accepted. Try a positive integer"
            raise _invalid("step", message)
        if (end - start) / step > limits.MAX_QUERY_POINTS:
            message = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"
            raise _Refused("bad_data", f"{message} (?step=XX)")
        options = self._options(form)
        query = _parsed(form)
        result = _cut(range_query(query, self._storage, start, end, step, options), limit)
        return prometheus_json.success(prometheus_json.query_data(result), result.notes)

    def _query_exemplars(self, form: Form, _: Mapping[str, str]) -> bytes:
        start, end = _time(form, "start", -_EVER_MS) / 1000, _time(form, "end", _EVER_MS) / 1000
        if end < start:
            raise _invalid("end", "end timestamp must not be before start timestamp")
        wanted = list(_selections(_parsed(form).expr))
        found: dict[Labels, list[Exemplar]] = {}
        for labels, exemplar in self._exemplars():
            have = dict(labels)
            inside = start <= float(exemplar.timestamp or 0.0) <= end
            if inside and any(all(one.matches(have.get(one.name, "")) for one in matchers) for matchers in wanted):
                found.setdefault(labels, []).append(exemplar)
        return prometheus_json.success(prometheus_json.exemplars_data(found))

    def _options(self, form: Form) -> Options:
        allowed = limits.MAX_QUERY_SECONDS
        if "timeout" in form:
            allowed = min(allowed, _duration(form, "timeout") / 1000)
        until = time.monotonic() + allowed
        options = Options(expired=lambda: time.monotonic() > until)
        lookback = _duration(form, "lookback_delta") if "lookback_delta" in form else 0
        return replace(options, lookback_ms=lookback) if lookback > 0 else options

    # What there is

    def _found(self, form: Form) -> set[Labels]:
        start, end = _time(form, "start", -_EVER_MS), _time(form, "end", _EVER_MS)
        selections: Sequence[Sequence[Matcher]] = [_matchers(text) for text in form.get("match[]", [])] or [()]
        return {labels for matchers in selections for labels in self._storage.series(matchers, start, end)}

    def _series(self, form: Form, _: Mapping[str, str]) -> bytes:
        if not form.get("match[]"):
            raise _Refused("bad_data", "no match[] parameter provided")
        found, notes = _first(sorted(self._found(form)), _limit(form))
        return prometheus_json.success(prometheus_json.labels_data(found), notes)

    def _labels(self, form: Form, _: Mapping[str, str]) -> bytes:
        names = {name for labels in self._found(form) for name, _ in labels}
        found, notes = _first(sorted(names), _limit(form))
        return prometheus_json.success(found, notes)

    def _label_values(self, form: Form, path: Mapping[str, str]) -> bytes:
        name = path["name"]
        values = {value for labels in self._found(form) for label, value in labels if label == name}
        found, notes = _first(sorted(values), _limit(form))
        return prometheus_json.success(found, notes)

    def _all_metadata(self, form: Form, _: Mapping[str, str]) -> bytes:
        limit = _limit(form)
        wanted = _one(form, "metric")
        data: dict[str, list[dict[str, str]]] = {}
        for one in self._metadata():
            if (not wanted or one.name == wanted) and (not limit or len(data) < limit or one.name in data):
                data.setdefault(one.name, []).append({"type": one.type, "help": one.help, "unit": one.unit})
        return prometheus_json.success(data)

    def _build(self, _: Form, __: Mapping[str, str]) -> bytes:
        data = {"version": _LIKE_PROMETHEUS, "revision": f"otel-llm-collector {__version__}", "branch": ""}
        return prometheus_json.success({**data, "buildUser": "", "buildDate": "", "goVersion": ""})


def _guarded(answer: Callable[[Form, Mapping[str, str]], bytes], form: Form, path: Mapping[str, str]) -> bytes:
    try:
        return answer(form, path)
    except TimedOut as error:
        raise _Refused("timeout", str(error)) from error
    except LimitError as error:
        raise _Refused("execution", str(error)) from error
    except QueryError as error:
        raise _Refused("execution", str(error)) from error


async def _form(request: Request) -> Form:
    """The parameters of the address and of a posted form."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.MAX_QUERY_BYTES:
            raise _Refused("bad_data", f"the form is larger than {limits.MAX_QUERY_BYTES} bytes")
    text = f"{request.url.query}&{body.decode('utf-8', 'replace')}"
    try:
        return parse_qs(text.strip("&"), keep_blank_values=True, max_num_fields=limits.MAX_QUERY_FIELDS)
    except ValueError as error:
        raise _Refused("bad_data", f"error parsing form values: {error}") from error


def _one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _invalid(name: str, message: str) -> _Refused:
    return _Refused("bad_data", f'invalid parameter "{name}": {message}')


def _parsed(form: Form) -> Any:
    try:
        return parse(_one(form, "query"))
    except QueryError as error:
        raise _invalid("query", str(error)) from error


def _selections(expr: Expr) -> Iterator[Sequence[Matcher]]:
    """The matchers of every selector in an expression."""
    if isinstance(expr, Selector):
        yield expr.matchers
    for child in children(expr):
        yield from _selections(child)


def _matchers(text: str) -> Sequence[Matcher]:
    try:
        return parse_selector(text).matchers
    except QueryError as error:
        raise _invalid("match[]", str(error)) from error


def _limit(form: Form) -> int:
    text = _one(form, "limit") or "0"
    if not text.isdigit():
        raise _invalid("limit", f"limit must be a number of 0 or more (seen: {text!r})")
    return int(text)


def _time(form: Form, name: str, default: int | None = None) -> int:
    text = _one(form, name)
    if not text and default is not None:
        return default
    try:
        value = float(text)
        if not abs(value) * 1000 < _EVER_MS:
            raise _invalid(name, f"cannot parse {text!r} to a valid timestamp")
        return math.floor(value * 1000 + 0.5)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid(name, f"cannot parse {text!r} to a valid timestamp") from error
    if at.tzinfo is None:
        raise _invalid(name, f"cannot parse {text!r} to a valid timestamp: it has no zone")
    return round(at.timestamp() * 1000)


def _duration(form: Form, name: str) -> int:
    text = _one(form, name)
    message = f"cannot parse {text!r} to a valid duration"
    try:
        value = float(text) * 1000
    except ValueError:
        try:
            found = tokens(text)[0]
            if found.kind != "duration" or found.text != text:
                raise _invalid(name, message)
            return duration_ms(found, text)
        except QueryError as error:
            raise _invalid(name, message) from error
    if not abs(value) < _EVER_MS:
        raise _invalid(name, message)
    return math.trunc(value) or (1 if value > 0 else 0)


def _first(found: list[Any], limit: int) -> tuple[list[Any], Notes]:
    if limit and len(found) > limit:
        return found[:limit], Notes((_TRUNCATED,))
    return found, Notes()


def _cut(result: Result, limit: int) -> Result:
    """The first `limit` series of an answer."""
    if isinstance(result, Vector) and limit and len(result.samples) > limit:
        return replace(result, samples=result.samples[:limit], notes=_with_truncated(result.notes))
    if isinstance(result, Matrix) and limit and len(result.series) > limit:
        return replace(result, series=result.series[:limit], notes=_with_truncated(result.notes))
    return result


def _with_truncated(notes: Notes) -> Notes:
    return replace(notes, warnings=(*notes.warnings, _TRUNCATED))
