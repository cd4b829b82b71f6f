"""Destinations beside plain OTLP: files, the collector's own log, and backends as strict stand-ins."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cramjam
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.components import EXPORTERS
from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.books import Books
from otel_llm_collector.deliver.opik import opik_id
from otel_llm_collector.deliver.reader import Reader
from otel_llm_collector.deliver.scores import EVENT
from otel_llm_collector.fakes import FakeLangfuse, FakeOpik, FakeWeave
from otel_llm_collector.log.memory import MemoryLog, MemoryLogConfig
from otel_llm_collector.receive.otlp_json import to_protobuf
from otel_llm_collector.testing import HttpSink
from otel_llm_semconv import attributes as attr
from prometheus_client import CollectorRegistry

pytestmark = pytest.mark.integration

QUICK = {"initial_seconds": 0.02, "max_seconds": 0.1, "max_elapsed_seconds": 5.0}

SOON = {"quiet_seconds": 0.2}  # a trace is whole soon


class Delivery:
    """One destination behind a log, with its books."""

    def __init__(self, options: dict[str, Any]) -> None:
        component = EXPORTERS[options["type"]]
        self.settings: Any = component.config.model_validate({"retry": QUICK, "merge_bytes": 0, **options})
        self.registry = CollectorRegistry()
        self.books = Books({"one": frozenset(self.settings.signals)}, self.registry)
        self.log = MemoryLog(MemoryLogConfig(), ["one"])
        self.reader = Reader("one", self.log, component.build(self.settings), self.settings, self.books)

    async def put(self, signal: Signal, request: Any, items: int = 1) -> None:
        await self.log.append(signal, request.SerializeToString(), items)
        self.books.kept(signal, items)

    async def settle(self, seconds: float = 10.0) -> None:
        """Wait until nothing waits."""
        async with asyncio.timeout(seconds):
            while any(self.books.waiting("one").values()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def value(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@asynccontextmanager
async def delivering(**options: Any) -> AsyncIterator[Delivery]:
    delivery = Delivery(options)
    await delivery.reader.start()
    try:
        yield delivery
    finally:
        delivery.log.seal()
        await delivery.reader.shutdown()


def trace(seed: int = 1, project: str = "", **attributes: Any) -> ExportTraceServiceRequest:
    """A root span and a call to a model below it."""
    request = ExportTraceServiceRequest()
    level = request.resource_spans.add()
    if project:
        level.resource.attributes.add(key="team").value.string_value = project
    spans = level.scope_spans.add().spans
    ids = {"trace_id": bytes([seed]) * 16, "end_time_unix_nano": 3_000_000_000}
    root = spans.add(**ids, span_id=b"root" + bytes([seed]) * 4, name="ask", start_time_unix_nano=1_000_999_999)
    call = spans.add(
        **ids, span_id=b"call" + bytes([seed]) * 4, parent_span_id=root.span_id, start_time_unix_nano=2_000_000_000
    )
    call.name = "chat m"
    values = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", attr.GEN_AI_CONVERSATION_ID: "c-1"}
    for key, value in {**values, **attributes}.items():
        kinds = {str: "string_value", int: "int_value", float: "double_value"}
        setattr(call.attributes.add(key=key).value, kinds[type(value)], value)
    return request


def score(request: ExportTraceServiceRequest, which: int | None, name: str = "helpful", **more: Any) -> Any:
    """An evaluation result for the span number `which` of a request, or for its trace."""
    spans = request.resource_spans[0].scope_spans[0].spans
    logs = ExportLogsServiceRequest()
    level = logs.resource_logs.add()
    level.resource.CopyFrom(request.resource_spans[0].resource)
    record = level.scope_logs.add().log_records.add(
        event_name=EVENT, trace_id=spans[0].trace_id, time_unix_nano=time.time_ns(), **more
    )
    if which is not None:
        record.span_id = spans[which].span_id
    record.attributes.add(key=attr.GEN_AI_EVALUATION_NAME).value.string_value = name
    record.attributes.add(key=attr.GEN_AI_EVALUATION_SCORE_VALUE).value.double_value = 0.75
    record.attributes.add(key=attr.GEN_AI_EVALUATION_EXPLANATION).value.string_value = "because"
    return logs


def test_opik_gets_whole_traces_under_workspace_and_project_with_our_price() -> None:
    """Key without Bearer, routing by header, thread from a child, cost and usage as sent; metadata, not input."""

    async def run() -> None:
        async with FakeOpik(api_key="k-1") as opik:
            options = {
                "type": "opik",
                "endpoint": f"http://{opik.address}/api",
                "whole_traces": SOON,
                "api_key": "k-1",
            }
            async with delivering(**options, workspace="w", project="rag", project_from="team") as delivery:
                usage = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3, "otel_llm.cost.total": 0.5}
                both = trace(1, **usage, **{"http.route": "/ask"})
                both.MergeFrom(trace(2, project="search"))
                await delivery.put(Signal.TRACES, both, 4)
                await delivery.settle()
            assert delivery.value("otelcol_exporter_sent_spans_total") == 4
            found = {one.project: one for one in opik.traces.values()}
            assert set(found) == {"rag", "search"}
            assert {one.workspace for one in found.values()} == {"w"}
            one = found["rag"]
            assert (one.thread_id, one.root.name) == ("c-1", "ask")
            call = next(span for span in opik.spans.values() if span.trace_id == one.id and span.parent_id)
            assert call.parent_id == one.root.id
            assert (call.model, call.cost, call.type) == ("m", 0.5, "llm")
            assert call.usage == {"prompt_tokens": 7, "completion_tokens": 3}
            assert call.metadata["opik.metadata.http.route"] == "/ask"
            assert call.input == {}

    asyncio.run(run())


def test_opik_scores_reach_trace_span_and_thread_also_after_a_restart(tmp_path: Path) -> None:
    """Ids are computed from what was sent; a score on the root is on the trace; the file remembers over a restart."""

    async def run() -> None:
        async with FakeOpik() as opik:
            options = {
                "type": "opik",
                "endpoint": f"http://{opik.address}/api",
                "whole_traces": SOON,
                "ids_path": str(tmp_path / "ids"),
            }
            request = trace(3)
            async with delivering(**options) as delivery:
                await delivery.put(Signal.TRACES, request, 2)
                await delivery.settle()
            async with delivering(**options) as delivery:
                thread = score(request, None, "kind")
                record = thread.resource_logs[0].scope_logs[0].log_records[0]
                record.ClearField("trace_id")
                record.attributes.add(key=attr.GEN_AI_CONVERSATION_ID).value.string_value = "c-1"
                for one in (score(request, 0), score(request, 1, "grounded"), score(request, None, "fast"), thread):
                    await delivery.put(Signal.LOGS, one)
                await delivery.settle()
                assert delivery.value("otelcol_exporter_sent_log_records_total") == 4
            (only,) = opik.traces.values()
            assert only.id == str(opik_id(b"\x03" * 16, 1000))
            assert set(only.scores) == {"helpful", "fast"}
            assert only.scores["helpful"]["value"] == 0.75
            assert only.scores["helpful"]["reason"] == "because"
            call = next(span for span in opik.spans.values() if span.parent_id)
            assert set(call.scores) == {"grounded"}
            assert [one["name"] for one in opik.thread_scores["c-1"]] == ["kind"]

    asyncio.run(run())


def test_opik_scores_wait_for_their_trace_and_not_for_ever() -> None:
    """A fresh score that came first is sent once its trace was; an old one for an unknown trace is dropped, counted."""

    async def run() -> None:
        async with FakeOpik() as opik:
            options = {
                "type": "opik",
                "endpoint": f"http://{opik.address}/api",
                "whole_traces": SOON,
                "score_wait_seconds": 5.0,
            }
            async with delivering(**options) as delivery:
                request = trace(4)
                await delivery.put(Signal.LOGS, score(request, 1))
                old = score(trace(5), 1)
                old.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano = 1
                await delivery.put(Signal.LOGS, old)
                await asyncio.sleep(0.1)
                await delivery.put(Signal.TRACES, request, 2)
                await delivery.settle()
                assert delivery.value("otelcol_exporter_sent_log_records_total") == 1
                assert delivery.value("otel_llm_exporter_dropped_log_records_total", reason="partial_success") == 1

    asyncio.run(run())


def test_langfuse_gets_traces_with_our_price_and_scores_once() -> None:
    """Keys as Basic authentication, price and session in its spellings, a repeated score replaced by the second."""

    async def run() -> None:
        async with FakeLangfuse("pk", "sk") as langfuse:
            options = {"type": "langfuse", "endpoint": f"http://{langfuse.address}"}
            async with delivering(**options, public_key="pk", secret_key="sk") as delivery:
                request = trace(6, **{"otel_llm.cost.total": 0.5, "otel_llm.cost.input": 0.2})
                await delivery.put(Signal.TRACES, request, 2)
                for one in (score(request, 1), score(request, 1), score(request, None, "whole")):
                    await delivery.put(Signal.LOGS, one)
                await delivery.settle()
                assert delivery.value("otelcol_exporter_sent_log_records_total") == 3
            root, call = langfuse.spans
            values = {one.key: one.value for one in call.attributes}
            assert values["gen_ai.usage.cost"].double_value == 0.5
            assert json.loads(values["langfuse.observation.cost_details"].string_value) == {"input": 0.2, "total": 0.5}
            assert {one.key: one.value.string_value for one in root.attributes} == {"session.id": "c-1"}
            kept = {one["name"]: one for one in langfuse.scores.values()}
            assert set(kept) == {"helpful", "whole"}
            assert kept["helpful"]["observationId"] == call.span_id.hex()
            assert "observationId" not in kept["whole"]

    asyncio.run(run())


def test_weave_finds_project_and_thread() -> None:
    """Entity and project are on the resource, the key in its header, the conversation is the thread."""

    async def run() -> None:
        async with FakeWeave("k") as weave:
            endpoint = f"http://{weave.address}/agents/otel"
            options = {"type": "wandb", "endpoint": endpoint, "api_key": "k", "entity": "team", "project": "rag"}
            async with delivering(**options) as delivery:
                await delivery.put(Signal.TRACES, trace(7), 2)
                await delivery.settle()
            spans = weave.spans["team", "rag"]
            threads = [
                {one.key: one.value.string_value for one in span.attributes}["wandb.thread_id"] for span in spans
            ]
            assert threads == ["c-1", "c-1"]

    asyncio.run(run())


def test_other_logs_are_no_business_of_a_backend_that_takes_scores() -> None:
    """They are dropped on purpose and said so in the books; nothing is sent."""

    async def run() -> None:
        async with FakeOpik() as opik, delivering(type="opik", endpoint=f"http://{opik.address}/api") as delivery:
            logs = ExportLogsServiceRequest()
            logs.resource_logs.add().scope_logs.add().log_records.add(severity_text="INFO")
            await delivery.put(Signal.LOGS, logs)
            await delivery.settle()
            dropped = delivery.value(
                "otel_llm_exporter_dropped_log_records_total", reason="other_logs", intentional="true"
            )
            assert dropped == 1
            assert not opik.requests

    asyncio.run(run())


def test_a_wrong_key_is_refused_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    """The backend's 401 drops the spans; neither the log nor the health page holds the key."""

    async def run() -> None:
        async with FakeOpik(api_key="right") as opik:
            options = {
                "type": "opik",
                "endpoint": f"http://{opik.address}/api",
                "whole_traces": SOON,
                "api_key": "wrong-secret",
            }
            async with delivering(**options) as delivery:
                await delivery.put(Signal.TRACES, trace(), 2)
                await delivery.settle()
                assert delivery.value("otel_llm_exporter_dropped_spans_total", reason="refused") == 2
                assert "wrong-secret" not in json.dumps(delivery.reader.details()) + repr(delivery.settings)

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())
    assert "401" in caplog.text
    assert "wrong-secret" not in caplog.text


def test_headers_from_an_attribute_split_the_request() -> None:
    """One request per tenant, each with its own header; the others leave with the configured one."""

    async def run() -> None:
        async with HttpSink() as sink:
            options = {"headers": {"x-scope": "rest"}, "headers_from": {"X-Scope": "team"}}
            async with delivering(type="otlp_http", endpoint=f"http://{sink.address}", **options) as delivery:
                both = trace(1, project="a")
                both.MergeFrom(trace(2))
                await delivery.put(Signal.TRACES, both, 4)
                await delivery.settle()
            assert sorted(taken.headers["x-scope"] for taken in sink.taken) == ["a", "rest"]
            assert delivery.value("otelcol_exporter_sent_spans_total") == 4

    asyncio.run(run())


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("form", ["json", "protobuf"])
def test_files_hold_every_span_in_order_over_rotations(form: str, compression: str, tmp_path: Path) -> None:
    """Full files are numbered and compressed; all together read back as what was sent; a torn end is cut off."""
    sent = [trace(n) for n in range(1, 31)]

    async def run() -> None:
        options = {"type": "file", "path": str(tmp_path), "format": form, "compression": compression, "max_bytes": 2048}
        for part in (sent[:15], sent[15:]):
            async with delivering(**options, max_files=100, max_in_flight=1) as delivery:
                for request in part:
                    await delivery.put(Signal.TRACES, request, 2)
                await delivery.settle()
                assert delivery.value("otelcol_exporter_sent_spans_total") == 30
            current = tmp_path / ("traces.jsonl" if form == "json" else "traces.pb")
            with current.open("ab") as file:
                file.write(b'{"resourceSp' if form == "json" else b"\x00\x00\x10\x00torn")

    asyncio.run(run())
    ending = {"none": "", "gzip": ".gz", "zstd": ".zst"}[compression]
    full = sorted(tmp_path.glob(f"traces-*{ending}"))
    assert len(full) >= 3
    assert not list(tmp_path.glob("*.partial"))
    unpack = {"none": bytes, "gzip": gzip.decompress, "zstd": lambda data: bytes(cramjam.zstd.decompress(data))}
    blobs = [unpack[compression](path.read_bytes()) for path in full]
    blobs.append((tmp_path / ("traces.jsonl" if form == "json" else "traces.pb")).read_bytes())
    assert [request for blob in blobs for request in _requests(form, blob)] == sent


def _requests(form: str, blob: bytes) -> list[ExportTraceServiceRequest]:
    """The whole records at the beginning of `blob`."""
    parse = ExportTraceServiceRequest.FromString
    if form == "json":
        lines = [line for line in blob.splitlines(keepends=True) if line.endswith(b"\n")]
        return [parse(to_protobuf(Signal.TRACES, line)[0]) for line in lines]
    found = []
    while len(blob) >= 4 and (size := int.from_bytes(blob[:4], "big")) <= len(blob) - 4:
        found.append(parse(blob[4 : 4 + size]))
        blob = blob[4 + size :]
    return found


def test_the_oldest_full_files_go(tmp_path: Path) -> None:
    """No more than `max_files` full ones stay."""

    async def run() -> None:
        async with delivering(type="file", path=str(tmp_path), max_bytes=1024, max_files=2) as delivery:
            for n in range(1, 31):
                await delivery.put(Signal.TRACES, trace(n), 2)
            await delivery.settle()

    asyncio.run(run())
    numbers = sorted(int(path.stem.split("-")[1]) for path in tmp_path.glob("traces-*.jsonl"))
    assert len(numbers) == 2
    assert numbers[0] > 2


def test_a_disk_that_takes_no_more_is_tried_again_and_leaves_no_half_record(tmp_path: Path) -> None:
    """The operating system refuses in the middle of a record: it waits, and is written once when there is room."""
    sent = [trace(n) for n in range(1, 4)]

    async def run() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        options = {"type": "file", "path": str(tmp_path), "max_in_flight": 1}
        async with delivering(**options) as delivery:
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
                for request in sent:
                    await delivery.put(Signal.TRACES, request, 2)
                await asyncio.sleep(0.3)
                assert "cannot be written" in str(delivery.reader.details()["last_error"])
                assert delivery.books.waiting("one")[Signal.TRACES] > 0
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            await delivery.settle()

    asyncio.run(run())
    assert _requests("json", (tmp_path / "traces.jsonl").read_bytes()) == sent


def test_debug_says_what_it_would_send_without_content(caplog: pytest.LogCaptureFixture) -> None:
    """A line of counts, the request as JSON, prompts left out, cut at the limit."""

    async def run() -> None:
        async with delivering(type="debug", verbosity="detailed", max_chars=400) as delivery:
            await delivery.put(Signal.TRACES, trace(1, **{attr.GEN_AI_INPUT_MESSAGES: "the secret prompt"}), 2)
            await delivery.settle()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    assert "debug: 2 spans in" in caplog.text
    assert '"resourceSpans"' in caplog.text
    assert "the secret prompt" not in caplog.text
    assert all(len(record.getMessage()) < 450 for record in caplog.records)
