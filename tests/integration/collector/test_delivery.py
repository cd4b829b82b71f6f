"""Delivery over real sockets: one log, one reader per destination, backends that misbehave."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.dead_letters import read as read_letters
from otel_llm_collector.deliver.otlp_grpc import OtlpGrpc, OtlpGrpcSettings
from otel_llm_collector.deliver.otlp_http import OtlpHttp, OtlpHttpSettings
from otel_llm_collector.deliver.reader import Reader, Readers
from otel_llm_collector.deliver.settings import DestinationSettings
from otel_llm_collector.log.disk import DiskLog, DiskLogConfig
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig
from otel_llm_collector.testing import (
    Answer,
    Behaviour,
    Drip,
    Fail,
    GrpcSink,
    Hang,
    HttpSink,
    Partial,
    Refuse,
    Reset,
    Sink,
    Take,
)
from prometheus_client import CollectorRegistry

pytestmark = pytest.mark.integration

QUICK = {"initial_seconds": 0.02, "max_seconds": 0.1, "max_elapsed_seconds": 5.0}
UNUSED = "127.0.0.1:1"  # a privileged port where nothing listens: connections are refused at once


class Delivery:
    """A log and its readers, with the books."""

    def __init__(
        self, settings: Mapping[str, DestinationSettings], max_bytes: int, shutdown_seconds: float, folder: Path | None
    ) -> None:
        self.registry = CollectorRegistry()
        self.books = Books({name: frozenset(one.signals) for name, one in settings.items()}, self.registry)
        self.log: Any = (
            MemoryLog(MemoryLogConfig(max_bytes=max_bytes), list(settings))
            if folder is None
            else DiskLog(DiskLogConfig(path=folder, max_bytes=max_bytes), list(settings))
        )
        self.readers = Readers(
            {
                name: Reader(name, self.log, _destination(one), one, self.books, shutdown_seconds=shutdown_seconds)
                for name, one in settings.items()
            }
        )

    async def put(self, request: Any, signal: Signal = Signal.TRACES, items: int | None = None) -> None:
        """Append one request as the collector does."""
        count = items if items is not None else sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
        await self.log.append(signal, request.SerializeToString(), count)
        self.books.kept(signal, count)

    def value(self, name: str, exporter: str, signal: Signal = Signal.TRACES, **labels: str) -> float:
        """A counter, summed over the labels that are not given."""
        total = 0.0
        for family in self.registry.collect():
            for sample in family.samples:
                wanted = {"exporter": exporter, **labels}
                if sample.name == name.format(signal.items) and wanted.items() <= sample.labels.items():
                    total += sample.value
        return total

    def dropped(self, exporter: str, reason: str) -> float:
        return self.value("otel_llm_exporter_dropped_{}_total", exporter, reason=reason)

    def sent(self, exporter: str) -> float:
        return self.value("otelcol_exporter_sent_{}_total", exporter)

    def assert_balance(self, exporter: str, signal: Signal = Signal.TRACES) -> None:
        """What was accepted has been sent, waits, or was dropped."""
        accepted = self.value("otel_llm_exporter_accepted_{}_total", exporter, signal)
        sent = self.value("otelcol_exporter_sent_{}_total", exporter, signal)
        waiting = self.value("otel_llm_exporter_waiting_{}", exporter, signal)
        dropped = self.value("otel_llm_exporter_dropped_{}_total", exporter, signal)
        assert accepted == sent + waiting + dropped, (exporter, accepted, sent, waiting, dropped)


def _destination(settings: DestinationSettings) -> OtlpGrpc | OtlpHttp:
    return OtlpGrpc(settings) if isinstance(settings, OtlpGrpcSettings) else OtlpHttp(settings)


def http(address: str, **more: Any) -> OtlpHttpSettings:
    values = {"type": "otlp_http", "endpoint": f"http://{address}", "retry": QUICK, "merge_bytes": 0, **more}
    return OtlpHttpSettings.model_validate(values)


def to_grpc(address: str, **more: Any) -> OtlpGrpcSettings:
    values = {
        "type": "otlp_grpc",
        "endpoint": address,
        "tls": {"insecure": True},
        "retry": QUICK,
        "merge_bytes": 0,
        **more,
    }
    return OtlpGrpcSettings.model_validate(values)


@asynccontextmanager
async def delivering(
    max_bytes: int = 64 << 20,
    shutdown_seconds: float = 5.0,
    folder: Path | None = None,
    **settings: DestinationSettings,
) -> AsyncIterator[Delivery]:
    """A running delivery, with a log in memory or in `folder`; at the end it is sealed and the readers finish."""
    delivery = Delivery(settings, max_bytes, shutdown_seconds, folder)
    await delivery.log.start()
    await delivery.readers.start()
    try:
        yield delivery
    finally:
        delivery.log.seal()
        await delivery.readers.shutdown()
        await delivery.log.shutdown()
        for name in settings:
            delivery.assert_balance(name)


def trace(*names: str, size: int = 0) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for name in names:
        span = scope.spans.add(name=name, trace_id=b"t" * 16, span_id=b"s" * 8)
        if size:
            span.attributes.add(key="padding").value.string_value = "x" * size
    return request


def names(sink: Sink) -> list[str]:
    return sorted(span.name for taken in sink.taken for span in taken.spans())


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_all_three_signals_arrive_as_they_were(kind: str) -> None:
    """Traces, metrics and logs reach a strict OTLP server over both transports, with our headers, nothing changed."""

    async def run() -> None:
        async with GrpcSink() if kind == "grpc" else HttpSink() as sink:
            make = to_grpc if kind == "grpc" else http
            settings = make(sink.address, headers={"X-Tenant": "team-a"})
            metrics = ExportMetricsServiceRequest()
            metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
            metric.gauge.data_points.add(as_int=1)
            metric.gauge.data_points.add(as_int=2)
            logs = ExportLogsServiceRequest()
            logs.resource_logs.add().scope_logs.add().log_records.add(severity_text="INFO")
            async with delivering(one=settings) as delivery:
                await delivery.put(trace("a", "b"))
                await delivery.put(metrics, Signal.METRICS, 2)
                await delivery.put(logs, Signal.LOGS, 1)
                await sink.until(lambda: len(sink.taken) == 3)
            by_signal = {taken.signal: taken for taken in sink.taken}
            assert by_signal[Signal.TRACES].request == trace("a", "b")
            assert by_signal[Signal.METRICS].request == metrics
            assert by_signal[Signal.LOGS].request == logs
            assert {taken.headers["x-tenant"] for taken in sink.taken} == {"team-a"}
            for signal in Signal:
                delivery.assert_balance("one", signal)
                assert delivery.value("otelcol_exporter_sent_{}_total", "one", signal) == sink.count(signal)

    asyncio.run(run())


RETRIED: dict[str, tuple[str, Behaviour]] = {
    "http 429": ("http", Fail(429)),
    "http 502": ("http", Fail(502)),
    "http 503 with Retry-After": ("http", Fail(503, retry_after="0")),
    "http 504": ("http", Fail(504)),
    "http connection reset in the answer": ("http", Reset()),
    "http no answer": ("http", Hang()),
    "http slow drip": ("http", Drip()),
    "grpc UNAVAILABLE": ("grpc", Fail(grpc.StatusCode.UNAVAILABLE)),
    "grpc ABORTED": ("grpc", Fail(grpc.StatusCode.ABORTED)),
    "grpc DATA_LOSS": ("grpc", Fail(grpc.StatusCode.DATA_LOSS)),
    "grpc CANCELLED": ("grpc", Fail(grpc.StatusCode.CANCELLED)),
    "grpc OUT_OF_RANGE": ("grpc", Fail(grpc.StatusCode.OUT_OF_RANGE)),
    "grpc DEADLINE_EXCEEDED": ("grpc", Fail(grpc.StatusCode.DEADLINE_EXCEEDED)),
    "grpc RESOURCE_EXHAUSTED with RetryInfo": ("grpc", Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after=0.01)),
    "grpc no answer": ("grpc", Hang()),
}


@pytest.mark.parametrize("case", RETRIED)
def test_what_may_pass_is_tried_again(case: str) -> None:
    """Each retryable failure of OTLP 1.11 is followed by the same request, which then arrives once."""
    kind, failure = RETRIED[case]

    async def run() -> None:
        async with GrpcSink() if kind == "grpc" else HttpSink() as sink:
            sink.script.append(failure)
            make = to_grpc if kind == "grpc" else http
            async with delivering(one=make(sink.address, timeout_seconds=0.5)) as delivery:
                await delivery.put(trace("a"))
                await sink.until(lambda: delivery.sent("one") == 1)
            assert sink.seen == 2
            assert names(sink) == ["a"]
            assert delivery.value("otel_llm_exporter_retries_total", "one") == 1

    asyncio.run(run())


FINAL: dict[str, tuple[str, Behaviour]] = {
    "http 400": ("http", Fail(400)),
    "http 401": ("http", Fail(401)),
    "http 404": ("http", Fail(404)),
    "http 413": ("http", Fail(413)),
    "http 500": ("http", Fail(500)),
    "http 307": ("http", Fail(307, headers=(("location", "http://127.0.0.1:1/"),))),
    "http garbage": ("http", Answer(b"\xff\xff\xff")),
    "http garbage JSON": ("http", Answer(b"{", "application/json")),
    "http a 10 MiB error body": ("http", Fail(400, "x" * (10 << 20))),
    "grpc INVALID_ARGUMENT": ("grpc", Fail(grpc.StatusCode.INVALID_ARGUMENT)),
    "grpc INTERNAL": ("grpc", Fail(grpc.StatusCode.INTERNAL)),
    "grpc UNAUTHENTICATED": ("grpc", Fail(grpc.StatusCode.UNAUTHENTICATED)),
    "grpc UNIMPLEMENTED": ("grpc", Fail(grpc.StatusCode.UNIMPLEMENTED)),
    "grpc RESOURCE_EXHAUSTED": ("grpc", Fail(grpc.StatusCode.RESOURCE_EXHAUSTED)),
    "grpc garbage": ("grpc", Answer(b"\xff\xff\xff")),
}


@pytest.mark.parametrize("case", FINAL)
def test_what_will_always_fail_is_dropped_at_once(case: str) -> None:
    """A final answer is counted as refused, never repeated, and the next request goes through."""
    kind, failure = FINAL[case]

    async def run() -> None:
        async with GrpcSink() if kind == "grpc" else HttpSink() as sink:
            sink.script.append(failure)
            make = to_grpc if kind == "grpc" else http
            async with delivering(one=make(sink.address, max_in_flight=1)) as delivery:
                await delivery.put(trace("bad"))
                await delivery.put(trace("good"))
                await sink.until(lambda: delivery.sent("one") == 1)
            assert sink.seen == 2
            assert names(sink) == ["good"]
            assert delivery.dropped("one", "refused") == 1
            assert delivery.value("otelcol_exporter_send_failed_{}_total", "one") == 1

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_one_bad_span_is_isolated_and_kept_as_a_dead_letter(kind: str, tmp_path: Path) -> None:
    """Of 200 spans one is refused: the other 199 arrive once each, the bad one lies in the file with the reason."""
    path = tmp_path / "dead" / "one.jsonl"

    async def run() -> None:
        async with GrpcSink() if kind == "grpc" else HttpSink() as sink:
            sink.otherwise = Refuse(lambda span: span.name == "span-077")
            make = to_grpc if kind == "grpc" else http
            async with delivering(one=make(sink.address, dead_letters={"path": path})) as delivery:
                await delivery.put(trace(*(f"span-{n:03}" for n in range(200))))
                await sink.until(lambda: delivery.sent("one") == 199)
                await sink.until(lambda: delivery.dropped("one", "refused") == 1)
            assert names(sink) == [f"span-{n:03}" for n in range(200) if n != 77]
            assert sink.seen <= 17
            assert delivery.value("otel_llm_exporter_dead_letters_total", "one", outcome="written") == 1

    asyncio.run(run())
    letter = json.loads(path.read_text())
    assert (letter["reason"], letter["first"], letter["items"]) == ("refused", "span-077", 1)
    assert "an item is bad" in letter["error"]
    complaints: list[str] = []
    (parcel,) = read_letters(path, complaints.append)
    kept = ExportTraceServiceRequest.FromString(parcel.payload).resource_spans[0].scope_spans[0].spans
    assert [span.name for span in kept] == ["span-077"]
    assert not complaints


def test_a_filter_decides_per_destination_and_is_counted_as_intended(tmp_path: Path) -> None:
    """Each destination gets its own part of one request; what it does not get is dropped on purpose, not failed."""

    async def run() -> None:
        async with HttpSink() as some, GrpcSink() as others:
            settings = {
                "some": http(some.address, filter={"include": {"attributes": {"kind": "a"}}}),
                "others": to_grpc(others.address, filter={"exclude": {"attributes": {"kind": "a"}}}),
            }
            request = trace("a1", "b", "a2")
            for span in request.resource_spans[0].scope_spans[0].spans:
                span.attributes.add(key="kind").value.string_value = span.name[0]
            async with delivering(**settings) as delivery:
                await delivery.put(request)
                await delivery.put(trace("plain"))
                await some.until(lambda: delivery.sent("some") == 2 and delivery.sent("others") == 2)
            assert (names(some), names(others)) == (["a1", "a2"], ["b", "plain"])
            dropped = "otel_llm_exporter_dropped_{}_total"
            assert delivery.value(dropped, "some", reason="filtered", intentional="true") == 2
            assert delivery.value("otelcol_exporter_send_failed_{}_total", "some") == 0

    asyncio.run(run())


def test_a_dead_backend_is_asked_by_one_request_at_a_time(tmp_path: Path) -> None:
    """After some failures one request at a time knocks; the health page says so, how far behind it is, and why."""

    async def run() -> None:
        async with HttpSink(otherwise=Fail(503, "down for repair")) as sink:
            settings = http(sink.address, max_in_flight=8, retry={"initial_seconds": 0.2, "max_seconds": 0.4})
            async with delivering(one=settings) as delivery:
                for n in range(20):
                    await delivery.put(trace(f"span-{n}", size=1000))
                await asyncio.sleep(0.3)
                seen = sink.seen
                await asyncio.sleep(1.0)
                assert sink.seen - seen <= 6  # 8 at a time would be about 20
                details: Any = delivery.readers.details()["one"]
                assert details["breaker"] in {"open", "half_open"}
                assert details["offset"] == 0 and details["log_end"] == 20
                assert details["lag"]["items"] == 20
                assert 20_000 < details["lag"]["bytes"] < 30_000
                assert details["lag"]["seconds"] >= 1
                assert "down for repair" in details["last_error"]
                sink.otherwise = Take()
                await sink.until(lambda: delivery.sent("one") == 20, 2)
                details = delivery.readers.details()["one"]
                assert details["breaker"] == "closed"
                await sink.until(lambda: delivery.readers.details()["one"]["offset"] == 20)
                assert delivery.readers.details()["one"]["lag"] == {"items": 0, "bytes": 0, "seconds": 0.0}

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_partial_success_is_counted_and_never_repeated(kind: str) -> None:
    """Items that a backend says it refused are dropped, the rest is sent, and nothing is sent twice."""

    async def run() -> None:
        async with GrpcSink() if kind == "grpc" else HttpSink() as sink:
            sink.script.append(Partial(2, "too old"))
            make = to_grpc if kind == "grpc" else http
            async with delivering(one=make(sink.address)) as delivery:
                await delivery.put(trace("a", "b", "c"))
                await sink.until(lambda: delivery.sent("one") == 1)
            assert sink.seen == 1
            assert delivery.dropped("one", "partial_success") == 2

    asyncio.run(run())


def test_an_empty_answer_is_success() -> None:
    """Backends that answer 200 with no body have taken the request."""

    async def run() -> None:
        async with (
            HttpSink(otherwise=Answer(b"", "text/plain")) as sink,
            delivering(one=http(sink.address)) as delivery,
        ):
            await delivery.put(trace("a"))
            await sink.until(lambda: delivery.sent("one") == 1)

    asyncio.run(run())


def test_retry_after_is_waited_for() -> None:
    """429 with `Retry-After: 1` is not repeated before one second has passed, whatever our own back-off says."""

    async def run() -> None:
        async with HttpSink(script=deque([Fail(429, retry_after="1")])) as sink:
            async with delivering(one=http(sink.address)) as delivery:
                began = time.monotonic()
                await delivery.put(trace("a"))
                await sink.until(lambda: delivery.sent("one") == 1)
            assert time.monotonic() - began >= 1.0

    asyncio.run(run())


def test_a_fat_request_is_cut_and_one_fat_span_does_not_hold_the_rest() -> None:
    """Pieces stay below the destination's size; only the span that is too large alone is dropped."""

    async def run() -> None:
        async with HttpSink() as sink:
            async with delivering(one=http(sink.address, max_request_bytes=100_000, compression="none")) as delivery:
                request = trace(*(f"span-{n}" for n in range(40)), size=10_000)
                request.resource_spans[0].scope_spans[0].spans.extend(
                    trace("fat", size=200_000).resource_spans[0].scope_spans[0].spans
                )
                await delivery.put(request)
                await sink.until(lambda: delivery.sent("one") == 40)
            assert delivery.dropped("one", "too_large") == 1
            assert len(sink.taken) >= 4
            assert all(taken.size <= 100_000 for taken in sink.taken)

    asyncio.run(run())


def test_ten_dead_destinations_do_not_slow_ten_others() -> None:
    """With refused connections, hangs and errors beside them, healthy destinations get everything as fast as alone."""

    async def round_trip(dead: bool) -> float:
        async with AsyncExitStack() as stack:
            sinks = [await stack.enter_async_context(HttpSink()) for _ in range(10)]
            hung = await stack.enter_async_context(HttpSink(otherwise=Hang()))
            failing = await stack.enter_async_context(GrpcSink(otherwise=Fail(grpc.StatusCode.UNAVAILABLE)))
            settings: dict[str, DestinationSettings] = {f"ok{n}": http(sink.address) for n, sink in enumerate(sinks)}
            if dead:
                for n in range(4):
                    settings[f"refused{n}"] = http(UNUSED)
                    settings[f"hung{n}"] = http(hung.address)
                settings |= {"grpc0": to_grpc(UNUSED), "grpc1": to_grpc(failing.address)}
            async with delivering(shutdown_seconds=0.2, **settings) as delivery:
                began = time.monotonic()
                for n in range(50):
                    await delivery.put(trace(f"span-{n}"))
                    await asyncio.sleep(0.005)
                await sinks[0].until(lambda: all(sink.count(Signal.TRACES) == 50 for sink in sinks))
                return time.monotonic() - began

    async def run() -> None:
        alone = await round_trip(dead=False)
        beside = await round_trip(dead=True)
        assert beside < alone * 2 + 1, (alone, beside)

    asyncio.run(run())


def test_a_backend_that_comes_back_gets_what_it_missed() -> None:
    """Requests kept while nothing listened arrive, in full, once the backend is there again."""

    async def run() -> None:
        async with HttpSink() as first:
            port = first.port
        async with delivering(one=http(f"127.0.0.1:{port}")) as delivery:
            for n in range(20):
                await delivery.put(trace(f"span-{n:02}"))
            await asyncio.sleep(0.3)
            delivery.assert_balance("one")
            assert delivery.value("otel_llm_exporter_waiting_{}", "one") == 20
            async with HttpSink(port=port) as again:
                await again.until(lambda: delivery.sent("one") == 20)
                assert names(again) == [f"span-{n:02}" for n in range(20)]

    asyncio.run(run())


def test_a_full_log_drops_the_oldest_for_the_dead_destination_only() -> None:
    """What a dead destination loses to the log's bound is counted at once; the healthy one gets everything."""

    async def run() -> None:
        async with HttpSink() as sink:
            settings = {"ok": http(sink.address), "dead": http(UNUSED)}
            async with delivering(max_bytes=20_000, shutdown_seconds=0.2, **settings) as delivery:
                for n in range(100):
                    await delivery.put(trace(f"span-{n}", size=1000))
                    await sink.until(lambda n=n: sink.count(Signal.TRACES) == n + 1)
                delivery.assert_balance("dead")
                overflow = delivery.dropped("dead", "log_overflow")
                assert 70 <= overflow <= 90
            assert delivery.dropped("ok", "log_overflow") == 0
            assert delivery.dropped("dead", "shutdown") == 100 - overflow

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["refused", "hung"])
def test_shutdown_ends_in_time_and_counts_what_it_gives_up(kind: str) -> None:
    """A dead or hanging destination delays the end by the shutdown budget only; what was not sent is counted."""

    async def run() -> None:
        async with HttpSink(otherwise=Hang()) as sink:
            address = UNUSED if kind == "refused" else sink.address
            began = 0.0
            async with delivering(shutdown_seconds=0.3, one=http(address)) as delivery:
                for n in range(10):
                    await delivery.put(trace(f"span-{n}"))
                await asyncio.sleep(0.1)
                began = time.monotonic()
            assert time.monotonic() - began < 2
            assert delivery.dropped("one", "shutdown") == 10
            assert delivery.value("otel_llm_exporter_waiting_{}", "one") == 0

    asyncio.run(run())


def test_shutdown_sends_what_is_still_in_the_log() -> None:
    """A sealed log is emptied before the readers end."""

    async def run() -> None:
        async with HttpSink() as sink:
            async with delivering(one=http(sink.address)) as delivery:
                for n in range(30):
                    await delivery.put(trace(f"span-{n}"))
            assert sink.count(Signal.TRACES) == 30
            assert delivery.sent("one") == 30

    asyncio.run(run())


def test_a_log_on_disk_outlives_the_collector(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What a dead destination had not got when the collector stopped arrives after the next start; nothing twice."""

    async def run() -> None:
        async with HttpSink() as healthy, HttpSink() as late:
            port = late.port
            await late.__aexit__()
            settings = {"ok": http(healthy.address), "late": http(f"127.0.0.1:{port}")}
            async with delivering(folder=tmp_path, shutdown_seconds=0.3, **settings) as delivery:
                for n in range(30):
                    await delivery.put(trace(f"span-{n:02}"))
                await healthy.until(lambda: delivery.sent("ok") == 30)
            assert "exporters.late: 30 spans not sent yet wait in the log for the next start" in caplog.text
            async with HttpSink(port=port) as again, delivering(folder=tmp_path, **settings) as delivery:
                assert delivery.value("otel_llm_exporter_accepted_{}_total", "late") == 30
                await again.until(lambda: delivery.sent("late") == 30)
                assert names(again) == [f"span-{n:02}" for n in range(30)]
            assert len(names(healthy)) == 30

    asyncio.run(run())


def test_content_stays_behind_where_the_destination_says_so() -> None:
    """One destination gets the prompts, the other the same spans without them."""
    from otel_llm_semconv import attributes as attr  # noqa: PLC0415

    request = trace("chat")
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key=attr.GEN_AI_INPUT_MESSAGES).value.string_value = "secret question"
    span.attributes.add(key=attr.GEN_AI_REQUEST_MODEL).value.string_value = "m"
    span.events.add(name="e").attributes.add(key=attr.GEN_AI_OUTPUT_MESSAGES).value.string_value = "secret answer"

    async def run() -> None:
        async with HttpSink() as with_content, GrpcSink() as without:
            settings = {"full": http(with_content.address), "bare": to_grpc(without.address, content="drop")}
            async with delivering(**settings) as delivery:
                await delivery.put(request)
                await without.until(lambda: bool(without.taken and with_content.taken))
            assert with_content.taken[0].request == request
            assert b"secret" not in without.taken[0].request.SerializeToString()
            assert [one.key for one in without.taken[0].spans()[0].attributes] == [attr.GEN_AI_REQUEST_MODEL]

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_credentials_never_reach_logs_or_errors(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A backend that repeats our token in its refusal does not get it into our logs or health page."""
    caplog.set_level(logging.DEBUG)
    token = "sk-very-secret-token"
    said = f"bad credentials: Bearer {token} / {token}"

    async def run() -> list[str]:
        failure = Fail(401, said) if kind == "http" else Fail(grpc.StatusCode.UNAUTHENTICATED, said)
        make: Callable[..., DestinationSettings] = to_grpc if kind == "grpc" else http
        async with GrpcSink() if kind == "grpc" else HttpSink() as sink:
            sink.otherwise = failure
            settings = make(sink.address, headers={"Authorization": f"Bearer {token}"})
            async with delivering(one=settings) as delivery:
                await delivery.put(trace("a"))
                await sink.until(lambda: delivery.dropped("one", "refused") == 1)
                return [repr(settings), repr(delivery.readers.details())]

    shown = asyncio.run(run())
    assert "bad credentials" in caplog.text
    assert token not in caplog.text
    assert all(token not in one for one in shown)
