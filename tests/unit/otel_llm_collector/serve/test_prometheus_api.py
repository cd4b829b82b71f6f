"""Prometheus' HTTP API: the shape of answers and errors, without a socket."""

from __future__ import annotations

import json
import math
from typing import Any
from urllib.parse import urlencode

import pytest
from otel_llm_collector import limits
from otel_llm_collector.measure.exposition import Metadata
from otel_llm_collector.measure.promql.notation import parse_native
from otel_llm_collector.measure.promql.storage import MemoryStorage, make_labels
from otel_llm_collector.serve.prometheus_api import PrometheusApi
from otel_llm_collector.serve.prometheus_json import number
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

NOW = 1_700_000_000


def api() -> Starlette:
    """The API over two counters and a native histogram, a sample every 15 s for ten minutes."""
    storage = MemoryStorage()
    native, _ = parse_native("schema:0 count:6 sum:9 z_bucket:2 z_bucket_w:0.5 buckets:[1 3]")
    for step in range(41):
        at = (NOW - 600 + 15 * step) * 1000
        storage.append(make_labels({"__name__": "calls_total", "model": "a"}), at, step * 15.0)
        storage.append(make_labels({"__name__": "calls_total", "model": "b"}), at, step * 30.0)
        storage.append(make_labels({"__name__": "size"}), at, 0.0, native)
    known = [Metadata("calls_total", "counter", "Calls."), Metadata("size", "histogram", "Sizes.", "bytes")]
    found = PrometheusApi(storage, lambda: known, CollectorRegistry(), lambda: float(NOW))
    return Starlette(routes=found.routes())


async def ask(application: Any, path: str, *, post: bool = False, **parameters: Any) -> tuple[int, Any]:
    """Status and body of one request, by ASGI."""
    form = urlencode({name.replace("match", "match[]"): value for name, value in parameters.items()}, doseq=True)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": form.encode() if post else b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST" if post else "GET",
        "path": f"/api/v1/{path}",
        "query_string": b"" if post else form.encode(),
        "headers": [],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "root_path": "",
    }
    await application(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent))


def run(path: str, *, post: bool = False, **parameters: Any) -> tuple[int, Any]:
    """The same from a test that is no coroutine."""
    import asyncio  # noqa: PLC0415

    return asyncio.run(ask(api(), path, post=post, **parameters))


@pytest.mark.parametrize("post", [False, True])
def test_an_instant_query(post: bool) -> None:
    """A vector, by GET and by a posted form; the time is now where none is given."""
    status, body = run("query", post=post, query='increase(calls_total{model="b"}[1m])')
    assert status == 200
    assert body == {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {"model": "b"}, "value": [NOW, "120"]}]},
    }


def test_a_range_query() -> None:
    """A matrix with a point per step."""
    _, body = run("query_range", query="sum(calls_total)", start=NOW - 60, end=NOW, step="30s")
    (series,) = body["data"]["result"]
    assert body["data"]["resultType"] == "matrix"
    assert series == {"metric": {}, "values": [[NOW - 60, "1620"], [NOW - 30, "1710"], [NOW, "1800"]]}


def test_scalars_strings_and_histograms() -> None:
    """Each type of result has its own form."""
    assert run("query", query="1 / 0")[1]["data"] == {"resultType": "scalar", "result": [NOW, "+Inf"]}
    assert run("query", query="'x'")[1]["data"] == {"resultType": "string", "result": [NOW, "x"]}
    (found,) = run("query", query="size")[1]["data"]["result"]
    assert found["histogram"] == [
        NOW,
        {"count": "6", "sum": "9", "buckets": [[3, "-0.5", "0.5", "2"], [0, "0.5", "1", "1"], [0, "1", "2", "3"]]},
    ]


def test_warnings_and_infos_stand_beside_the_data() -> None:
    """What Prometheus would say of the query is said."""
    _, body = run("query", query="rate({__name__=~'calls.*'}[1m]) > histogram_quantile(2, size)")
    assert body["warnings"] == ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:54)"]


@pytest.mark.parametrize(
    ("path", "parameters", "status", "kind", "message"),
    [
        ("query", {"query": "sum("}, 400, "bad_data", 'invalid parameter "query": 1:5: parse error: unexpected end'),
        ("query", {"query": "up", "time": "yesterday"}, 400, "bad_data", 'invalid parameter "time"'),
        ("query", {"query": "calls_total + on() calls_total"}, 422, "execution", "found duplicate series"),
        ("query", {"query": "calls_total", "timeout": "0"}, 503, "timeout", "query timed out"),
        ("query_range", {"query": "up", "start": 2, "end": 1, "step": 1}, 400, "bad_data", "must not be before"),
        ("query_range", {"query": "up", "start": 1, "end": 2, "step": 0}, 400, "bad_data", "zero or negative"),
        ("query_range", {"query": "up", "start": 0, "end": 11001, "step": 1}, 400, "bad_data", "11,000 points"),
        ("query_range", {"query": "up[5m]", "start": 0, "end": 10, "step": 1}, 422, "execution", "invalid expression"),
        ("series", {}, 400, "bad_data", "no match[] parameter provided"),
        ("series", {"match": "up["}, 400, "bad_data", "parse error"),
        ("labels", {"limit": "many"}, 400, "bad_data", "limit must be a number"),
    ],
)
def test_errors(path: str, parameters: dict[str, Any], status: int, kind: str, message: str) -> None:
    """Prometheus' status, error type, and a sentence."""
    seen, body = run(path, **parameters)
    assert (seen, body["status"], body["errorType"]) == (status, "error", kind)
    assert message in body["error"]


def test_what_there_is() -> None:
    """Series, label names and values, metadata and the version, with limits."""
    assert run("series", match="calls_total")[1]["data"] == [
        {"__name__": "calls_total", "model": "a"},
        {"__name__": "calls_total", "model": "b"},
    ]
    assert run("labels")[1]["data"] == ["__name__", "model"]
    assert run("label/model/values")[1]["data"] == ["a", "b"]
    assert run("label/model/values", match='{model="a"}')[1]["data"] == ["a"]
    limited = run("label/model/values", limit=1)[1]
    assert (limited["data"], limited["warnings"]) == (["a"], ["results truncated due to limit"])
    assert run("metadata", metric="size")[1]["data"] == {
        "size": [{"type": "histogram", "help": "Sizes.", "unit": "bytes"}]
    }
    assert run("status/buildinfo")[1]["data"]["version"].startswith("3.")


def test_a_posted_query_is_bounded() -> None:
    """A form larger than the limit is refused before it is read."""
    status, body = run("query", post=True, query="a" * limits.MAX_QUERY_BYTES)
    assert (status, body["errorType"]) == (400, "bad_data")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0.0, "0"), (1.0, "1"), (-0.5, "-0.5"), (1e-7, "1e-07"), (1.5e-5, "0.000015"), (1e21, "1e+21")],
        *[(1e20, "100000000000000000000"), (0.1 + 0.2, "0.30000000000000004")],
        *[(math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
    ],
)
def test_numbers(value: float, text: str) -> None:
    """Floats are written as Prometheus writes them."""
    assert number(value) == text
