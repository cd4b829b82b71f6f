"""Random series and random queries: a real Prometheus and our evaluator give the same answers.

The seed is fixed, so a failure is the same everywhere; `PROMQL_SEEDS=0-99` tries others. The Prometheus of Debian 12 is
2.42. Where Prometheus 3, whose language ours is, changed something since, the data keeps clear of it: no sample lies on
the edge of a window (3.0 leaves the older edge out), and no counter begins just above zero (2.52 changed how far such
a rate is extrapolated).
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from otel_llm_collector.measure.past import Past
from otel_llm_collector.measure.promql import instant, parse, range_query
from otel_llm_collector.measure.promql.storage import MemoryStorage, Storage, make_labels
from otel_llm_collector.measure.promql.values import Matrix, QueryError, Scalar, Vector

START = 1_700_000_000
STEPS = 120
EVERY = 15
QUERIES = 700  # for each seed
CLOSE = 1e-9


def seeds() -> list[int]:
    """The seeds to try: one, or a range from the environment."""
    first, _, last = os.environ.get("PROMQL_SEEDS", "1").partition("-")
    return list(range(int(first), int(last or first) + 1))


# Series


def series(draw: random.Random) -> dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
    """Counters with resets, gauges with gaps, histograms; some sampled at the same moments, others at their own."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
    for job in ("api", "web", "db"):
        for instance in range(3):
            labels = {"job": job, "instance": str(instance)}
            for name, times in (("calls_total", _times(draw)), ("faults_total", _times(draw))):
                found[make_labels({"__name__": name, **labels})] = _counter(draw, times)
            gauge = [(at, draw.choice([draw.uniform(-50, 50), float(draw.randint(-5, 5))])) for at in _times(draw)]
            found[make_labels({"__name__": "load", **labels})] = [one for one in gauge if draw.random() < 0.9]
            level = [(at, draw.uniform(-50, 50)) for at in _times(draw)]
            found[make_labels({"__name__": "level", **labels})] = level
            odd = [(at, draw.choice([1.0, 2.0, 3.5, math.nan, math.inf, -math.inf, 0.0])) for at in _times(draw)]
            found[make_labels({"__name__": "odd", **labels})] = odd
        found[make_labels({"__name__": "info", "job": job, "team": draw.choice("xy")})] = [
            (at, 1.0) for at in _times(draw)
        ]
        for bound, counts in _histogram(draw).items():
            found[make_labels({"__name__": "took_bucket", "job": job, "le": bound})] = counts
    return found


def _times(draw: random.Random) -> list[int]:
    shift = draw.choice([137, 137, 802, draw.randint(1, 999)])
    first, last = draw.choice(
        [(0, STEPS), (0, STEPS), (0, STEPS), (draw.randint(5, 40), STEPS), (0, draw.randint(60, 100))]
    )
    return [(START + step * EVERY) * 1000 + shift for step in range(first, last)]


def _counter(draw: random.Random, times: list[int]) -> list[tuple[int, float]]:
    value = draw.choice([0.0, 100_000.0])
    found = []
    for at in times:
        found.append((at, value))
        value = 0.0 if draw.random() < 0.03 else value + draw.choice([0, 1, draw.randint(1, 20), draw.random() * 9])
    return found


def _histogram(draw: random.Random) -> dict[str, list[tuple[int, float]]]:
    times = _times(draw)
    bounds = ["0.1", "0.5", "1", "5", "+Inf"]
    totals = [0] * len(bounds)
    found: dict[str, list[tuple[int, float]]] = {bound: [] for bound in bounds}
    for at in times:
        for _ in range(draw.randint(0, 6)):
            totals[draw.randrange(len(bounds))] += 1
        for index, bound in enumerate(bounds):
            found[bound].append((at, 1000.0 * (index + 1) + sum(totals[: index + 1])))
    return found


# Queries


RATES = ("rate", "rate", "rate", "increase")
OVER_TIME = (
    *("delta", "irate", "idelta", "resets", "changes", "deriv", "avg_over_time", "min_over_time", "max_over_time"),
    *("sum_over_time", "count_over_time", "last_over_time", "present_over_time", "absent_over_time"),
)
SPREADS = ("stddev", "stdvar")
ROUNDING = ("ceil", "floor", "sgn")
AGGREGATIONS = ("sum", "avg", "min", "max", "count", "group")
EACH = (
    *("abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "sgn", "sin", "cos", "atan", "sinh"),
    *("deg", "rad", "absent", "timestamp", "-"),
)
DATES = ("hour", "minute", "month", "year", "day_of_week", "day_of_month", "day_of_year", "days_in_month")


class Draw:
    """Draws queries; every length of time is a multiple of 10 s, every moment 7 s behind one."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self._in_subquery = False

    def vector(self, depth: int) -> str:
        """An instant vector."""
        if depth <= 0 or self.draw.random() < 0.15:
            return self.selector("calls_total", "faults_total", "load", "odd", "info", "took_bucket", "nothing")
        kinds = [self.over_time, self.aggregated, self.binary, self.function, self.matched, self.histogram]
        return self.draw.choice(kinds)(depth)

    def selector(self, *names: str) -> str:
        matchers = ['job="api"', 'job!="db"', 'instance=~"0|1"', 'instance!~"2.*"', 'job=~".*b"', 'team=""', 'zone=""']
        chosen = self.draw.sample(matchers, self.draw.choice([0, 0, 0, 1, 1, 2]))
        return self.draw.choice(names) + ("{" + ",".join(chosen) + "}" if chosen else "") + self.moved()

    def moved(self) -> str:
        at = f" @ {START + 10 * self.draw.randint(30, 170) + 7}"
        offset = f" offset {self.draw.choice(['', '-'])}{self.draw.randint(1, 20)}0s"
        return self.draw.choice(["", "", "", "", "", "", offset, at, at + offset, " @ end()", " @ start()"])

    def window(self, depth: int, *names: str) -> str:
        length = f"{self.draw.choice([3, 6, 12, 30, 60])}0s"
        if depth > 1 and not self._in_subquery and self.draw.random() < 0.25:
            self._in_subquery = True  # one inside another would have steps on the edges of its windows
            inner = self.vector(depth - 1)
            self._in_subquery = False
            return f"({inner})[{length}:{self.draw.choice(['', '10s', '30s', '50s'])}]{self.moved()}"
        name, space, moved = self.selector(*names).partition(" ")
        return f"{name}[{length}]{space}{moved}"

    def over_time(self, depth: int) -> str:
        kind = self.draw.random()
        if kind < 0.3:
            return f"{self.draw.choice(RATES)}({self.window(0, 'calls_total', 'faults_total', 'took_bucket')})"
        if kind < 0.4:
            window = self.window(0, "load", "calls_total").partition(" @ ")[0]
            return f"predict_linear({window}, {self.draw.choice([-60, 30, 600])})"
        if kind < 0.5:
            return f"{self.draw.choice(SPREADS)}_over_time({self.window(0, 'load', 'calls_total')})"
        window = self.window(depth, "calls_total", "load", "odd", "info")
        if kind < 0.6:
            return f"quantile_over_time({self.number()}, {window})"
        return f"{self.draw.choice(OVER_TIME)}({window})"

    def number(self) -> str:
        return self.draw.choice(["0.5", "0", "0.9", "1", "0.25", "1.5", "-1"])

    def grouping(self) -> str:
        labels = self.draw.sample(["job", "instance", "le", "zone"], self.draw.randint(0, 2))
        return self.draw.choice(["", f" by ({', '.join(labels)}) ", f" without ({', '.join(labels)}) "])

    def aggregated(self, depth: int) -> str:
        by = self.grouping()
        # No two values of `level` are the same: a tie leaves open which of them topk takes.
        return self.draw.choice(
            [
                f"{self.draw.choice(AGGREGATIONS)}{by}({self.vector(depth - 1)})",
                f"{self.draw.choice(AGGREGATIONS)}{by}({self.vector(depth - 1)})",
                f"{self.draw.choice(SPREADS)}{by}({self.selector('load', 'level', 'calls_total')})",
                f"{self.draw.choice(['topk', 'bottomk'])}{by}({self.draw.choice([0, 1, 2, 5])}, level)",
                f"quantile{by}({self.number()}, {self.vector(depth - 1)})",
                f'count_values{by}("v", {self.draw.choice(["info", "odd", "floor(load)"])})',
            ]
        )

    def scalar(self) -> str:
        one = 'scalar(load{job="api",instance="0"})'
        return self.draw.choice(["2", "0", "-1.5", "1e3", "(time() % 97)", "scalar(info)", one])

    def binary(self, depth: int) -> str:
        op = self.draw.choice(["+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">=", "> bool", "== bool", "%", "^"])
        sides = [self.selector("load", "odd") if op in ("%", "^") else self.vector(depth - 1), self.scalar()]
        self.draw.shuffle(sides)
        return f"({sides[0]} {op} {sides[1]})"

    def matched(self, depth: int) -> str:
        on = self.draw.choice(["on(job, instance)", "ignoring(zone)", "", "on(job)", "ignoring(instance)"])
        left, right = self.vector(depth - 1), self.vector(depth - 1)
        return self.draw.choice(
            [
                f"({left} {self.draw.choice(['and', 'or', 'unless'])} {on} {right})",
                f"({left} {self.draw.choice(['+', '-', '*', '/', '<= bool'])} {on} {right})",
                f"({self.selector('load')} {self.draw.choice(['>', '<='])} on(job, instance) {self.selector('level')})",
                f"({self.selector('calls_total', 'load')} * on(job) group_left(team) info{{team!='z'}})",
            ]
        )

    def function(self, depth: int) -> str:
        inner = self.vector(depth - 1)
        return self.draw.choice(
            [
                self.each(inner),
                self.each(inner),
                f"{self.draw.choice(DATES)}({self.draw.choice(['', 'load * 1e6', 'vector(time() - 1234567890)'])})",
                f"clamp({inner}, -1, {self.scalar()})",
                f"clamp_min({inner}, {self.scalar()})",
                f"round({self.steady(inner)}, {self.draw.choice(['0.1', '5', '1'])})",
                f'label_replace({inner}, "{self.draw.choice(["to", "job"])}", "<$1>", "job", "(.)(.*)")',
                f'label_join({inner}, "both", "-", "job", "instance")',
                f"vector({self.scalar()})",
                f"sort({inner})",
            ]
        )

    def each(self, inner: str) -> str:
        name = self.draw.choice(EACH)
        return f"{name}({self.steady(inner) if name in ROUNDING else inner})"

    @staticmethod
    def steady(inner: str) -> str:
        """Without spreads: where one is 0.5, Prometheus 2.42 may find 0.4999999999999991, and rounds it to another."""
        return "load" if any(name in inner for name in SPREADS) else inner

    def histogram(self, _: int) -> str:
        rates = ["rate(took_bucket[120s])", "sum by (le) (rate(took_bucket[60s]))"]
        inner = self.draw.choice(["took_bucket", "sum without (job) (took_bucket)", *rates])
        return f"histogram_quantile({self.number()}, {inner})"


# Answers

Answer = dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] | str


def ours(storage: Storage, query: str, moment: tuple[int, int, int] | int) -> Answer:
    """Our answer as points by labels, or "error"."""
    try:
        if isinstance(moment, int):
            result: Any = instant(parse(query), storage, moment * 1000)
        else:
            result = range_query(parse(query), storage, *(1000 * part for part in moment))
    except QueryError:
        return "error"
    match result:
        case Scalar():
            return {(): [(result.at_ms / 1000, result.value)]}
        case Vector():
            return {one.labels: [(result.at_ms / 1000, one.value)] for one in result.samples}
        case Matrix():
            return {
                one.labels: list(zip((one.times / 1000).tolist(), one.values.tolist(), strict=True))
                for one in result.series
            }
    raise AssertionError(result)


def theirs(url: str, query: str, moment: tuple[int, int, int] | int) -> Answer:
    """Prometheus' answer, in the same form."""
    if isinstance(moment, int):
        address = f"{url}/api/v1/query?{urlencode({'query': query, 'time': moment})}"
    else:
        address = f"{url}/api/v1/query_range?" + urlencode(
            {"query": query, "start": moment[0], "end": moment[1], "step": moment[2]}
        )
    try:
        with urlopen(address, timeout=30) as answer:
            data = json.load(answer)["data"]
    except HTTPError:
        return "error"
    if data["resultType"] == "scalar":
        return {(): [(data["result"][0], float(data["result"][1]))]}
    return {
        make_labels(one["metric"]): [(float(at), float(value)) for at, value in one.get("values") or [one["value"]]]
        for one in data["result"]
    }


def differs(mine: Answer, other: Answer) -> str:
    """What is not the same, or nothing."""
    if isinstance(mine, str) or isinstance(other, str):
        return "" if mine == other else f"{mine if isinstance(mine, str) else 'an answer'}, there {str(other)[:200]}"
    if mine.keys() != other.keys():
        more, less = sorted(mine.keys() - other.keys()), sorted(other.keys() - mine.keys())
        return f"series only here {more[:3]}, only there {less[:3]}"
    for labels, points in mine.items():
        there = other[labels]
        if [at for at, _ in points] != [at for at, _ in there]:
            return f"{labels}: points at {[at for at, _ in points][:5]}…, there {[at for at, _ in there][:5]}…"
        for (at, value), (_, known) in zip(points, there, strict=True):
            if not close(value, known):
                return f"{labels} at {at}: {value!r}, there {known!r}"
    return ""


def close(a: float, b: float) -> bool:
    """The same within float tolerance."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= CLOSE * max(1.0, abs(a), abs(b))


# Prometheus


@pytest.fixture(scope="module")
def programs() -> tuple[str, str]:
    """`prometheus` and `promtool`."""
    found = shutil.which("prometheus"), shutil.which("promtool")
    if None in found:
        pytest.skip("comparing answers needs a real Prometheus; apt-get install prometheus")
    return found  # type: ignore[return-value]


class Running:
    """A Prometheus with those series, on a free port, until closed."""

    def __init__(self, programs: tuple[str, str], folder: Path, text: str) -> None:
        prometheus, promtool = programs
        (folder / "series.txt").write_text(text)
        (folder / "prometheus.yml").write_text("global: {evaluation_interval: 1m}\n")
        command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
        subprocess.run([*command, str(folder / "series.txt"), str(folder / "data")], check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                *(prometheus, f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y"),
                *(f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"),
                "--log.level=error",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                with urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (URLError, OSError):
                time.sleep(0.1)
        self.close()
        raise AssertionError("Prometheus did not become ready within 30 s")

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(20)


def openmetrics(data: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]) -> str:
    """The series as OpenMetrics text; types do not matter to queries, so all are of unknown type."""
    lines: dict[str, list[str]] = {}
    for labels, samples in data.items():
        have = dict(labels)
        name = have.pop("__name__")
        inside = ",".join(f'{label}="{value}"' for label, value in have.items())
        for at, value in samples:
            text = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(repr(value), repr(value))
            lines.setdefault(name, []).append(f"{name}{{{inside}}} {text} {at / 1000:.3f}")
    return (
        "".join(f"# TYPE {name} unknown\n" + "\n".join(of_name) + "\n" for name, of_name in lines.items()) + "# EOF\n"
    )


@pytest.mark.parametrize("seed", seeds())
def test_a_range_is_its_moments(seed: int) -> None:
    """What is computed for all steps at once is what is computed for each alone."""
    draw = random.Random(seed)
    storage = MemoryStorage()
    for labels, samples in series(draw).items():
        storage.extend(labels, samples)
    queries = Draw(draw)
    for _ in range(100):
        query = queries.vector(draw.randint(1, 4)).replace("start()", str(START)).replace("end()", str(START + 900))
        start = START + 10 * draw.randint(20, 150) + 7
        ranged = ours(storage, query, (start, start + 90, 30))
        steps = [ours(storage, query, at) for at in range(start, start + 91, 30)]
        if isinstance(ranged, str):
            assert "error" in steps, query
            continue
        joined: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for step in steps:
            assert not isinstance(step, str), query
            for labels, points in step.items():
                joined.setdefault(labels, []).extend(points)
        assert not differs(ranged, joined), f"{query} from {start}: {differs(ranged, joined)}"


@pytest.fixture(params=seeds())
def compared(
    request: pytest.FixtureRequest, programs: tuple[str, str], tmp_path: Path
) -> Iterator[tuple[random.Random, str, list[Storage]]]:
    """A seed's dice, and its series there and in our stores: lists, and the collector's own."""
    draw = random.Random(request.param)
    data = series(draw)
    storage = MemoryStorage()
    for labels, samples in data.items():
        storage.extend(labels, samples)
    past = Past(seconds=STEPS * EVERY * 2, resolution_seconds=EVERY, max_series=len(data))
    for labels, samples in data.items():
        for at, value in samples:
            past.append_one(labels, at, value, at)
    assert past.samples == sum(map(len, data.values()))
    running = Running(programs, tmp_path, openmetrics(data))
    try:
        yield draw, running.url, [storage, past]
    finally:
        running.close()


@pytest.mark.integration
def test_prometheus_agrees(compared: tuple[random.Random, str, list[Storage]]) -> None:
    """Every answer of every random query is that of the real Prometheus."""
    draw, url, stores = compared
    queries = Draw(draw)
    problems, answered = [], 0
    for number in range(QUERIES):
        query = queries.vector(draw.randint(1, 4))
        at = START + 10 * draw.randint(20, 175) + 7
        moment = at if draw.random() < 0.5 else (at, at + 10 * draw.randint(0, 40), draw.choice([10, 20, 30, 70]))
        mine, other = ours(stores[number % 2], query, moment), theirs(url, query, moment)
        answered += bool(other) and not isinstance(other, str)
        problem = differs(mine, other)
        if problem:
            problems.append(f"{query}\n    at {moment}: {problem}")
    assert answered > QUERIES / 3, f"only {answered} queries had an answer with series"
    assert not problems, f"{len(problems)} of {QUERIES} differ:\n" + "\n".join(problems[:20])
