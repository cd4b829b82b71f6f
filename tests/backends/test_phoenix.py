"""The real Phoenix: what it has after we sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.contract import Signal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

# Phoenix has no setting for the address of its gRPC server, which is all interfaces.
START = """
import sys, grpc.aio._server as server
add = server.Server.add_insecure_port
server.Server.add_insecure_port = lambda self, address: add(self, address.replace("[::]", "127.0.0.1"))
sys.argv = ["phoenix", "serve"]
from phoenix.server.main import main
main()
"""


@pytest.fixture(scope="module")
def phoenix(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its base URL."""
    python = tools.program("phoenix/bin/python")
    folder = tmp_path_factory.mktemp("phoenix")
    port, grpc_port = tools.free_port(), tools.free_port()
    environment = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_DISABLE_AGENT_ASSISTANT": "true",
    }
    url = f"http://127.0.0.1:{port}"
    with tools.running(folder, python, "-c", START, ready=f"{url}/healthz", **environment):
        yield url


def test_trace_tokens_cost_session_and_scores_are_there(tools: Any, phoenix: str, tmp_path: Path) -> None:
    """Read back over its APIs: the spans below each other, our tokens, the same cost, the session, four scores."""
    trace = tools.Trace()
    exporter = {"type": "phoenix", "endpoint": phoenix, "project": "rag", "retry": {"initial_seconds": 0.2}}
    with tools.Collector(tmp_path, {"phoenix": exporter}) as collector:
        collector.send(Signal.LOGS, trace.score("early", 0.25, on=trace.call))  # before its span
        collector.send(Signal.TRACES, trace.request)
        collector.send(Signal.LOGS, trace.score("helpful", 1.0, on=trace.call))
        collector.send(Signal.LOGS, trace.score("whole", 0.5))
        talk = trace.score("talk", 0.75)
        record = talk.resource_logs[0].scope_logs[0].log_records[0]
        record.trace_id = b""
        record.attributes.add(key="gen_ai.conversation.id").value.string_value = trace.conversation
        collector.send(Signal.LOGS, talk)
        tools.wait_for(lambda: collector.settled("phoenix"), what="delivery")
        assert collector.metric("otelcol_exporter_sent_spans_total") == 2
        assert collector.metric("otelcol_exporter_sent_log_records_total") == 4

    path = f"{phoenix}/v1/projects/rag/spans?trace_id={trace.id}&limit=5"
    spans = tools.wait_for(lambda: tools.call("GET", path)["data"], what="spans in Phoenix")
    by_name = {span["name"]: span for span in spans}
    assert set(by_name) == {"ask", "chat gpt-4o-mini"}
    call = by_name["chat gpt-4o-mini"]
    assert call["span_kind"] == "LLM"
    assert call["parent_id"] == trace.root.span_id.hex()
    seen = call["attributes"]
    assert (seen["llm.token_count.prompt"], seen["llm.token_count.completion"]) == (1000, 500)
    assert seen["otel_llm.cost.total"] == pytest.approx(trace.cost)

    query = "{projects{edges{node{name traceCount costSummary{total{cost tokens}}}}}}"

    def total() -> Any:
        projects = tools.call("POST", f"{phoenix}/graphql", {"query": query})["data"]["projects"]["edges"]
        node = next(one["node"] for one in projects if one["node"]["name"] == "rag")
        return node["costSummary"]["total"] if node["costSummary"]["total"]["cost"] else None

    cost = tools.wait_for(total, what="cost in Phoenix")
    assert cost["tokens"] == 1500
    assert cost["cost"] == pytest.approx(trace.cost)

    sessions = tools.call("GET", f"{phoenix}/v1/projects/rag/sessions")["data"]
    assert [one["session_id"] for one in sessions] == [trace.conversation]
    path = f"{phoenix}/v1/projects/rag/span_annotations?span_ids={trace.call.span_id.hex()}"
    scores = {one["name"]: one["result"] for one in tools.call("GET", path)["data"]}
    assert {name: result["score"] for name, result in scores.items()} == {"early": 0.25, "helpful": 1.0}
    assert scores["helpful"]["explanation"] == "because"
    path = f"{phoenix}/v1/projects/rag/trace_annotations?trace_ids={trace.id}"
    assert [one["name"] for one in tools.call("GET", path)["data"]] == ["whole"]
    path = f"{phoenix}/v1/projects/rag/session_annotations?session_ids={trace.conversation}"
    assert [(one["name"], one["result"]["score"]) for one in tools.call("GET", path)["data"]] == [("talk", 0.75)]


def test_a_repeated_score_replaces_itself(tools: Any, phoenix: str, tmp_path: Path) -> None:
    """The same judge's second word on the same span leaves one annotation, with the second value."""
    trace = tools.Trace()
    exporter = {"type": "phoenix", "endpoint": phoenix, "project": "again", "retry": {"initial_seconds": 0.2}}
    with tools.Collector(tmp_path, {"phoenix": exporter}) as collector:
        collector.send(Signal.TRACES, trace.request)
        for value in (0.0, 1.0):
            collector.send(Signal.LOGS, trace.score("helpful", value, on=trace.call))
            tools.wait_for(lambda: collector.settled("phoenix"), what="delivery")
    path = f"{phoenix}/v1/projects/again/span_annotations?span_ids={trace.call.span_id.hex()}"
    assert [one["result"]["score"] for one in tools.call("GET", path)["data"]] == [1.0]


def test_projects_are_taken_from_the_resource(tools: Any, phoenix: str, tmp_path: Path) -> None:
    """Two services in one request end up in two projects."""
    first, second = tools.Trace("shop"), tools.Trace("search")
    first.request.MergeFrom(second.request)
    exporter = {"type": "phoenix", "endpoint": phoenix, "project_from": "service.name"}
    with tools.Collector(tmp_path, {"phoenix": exporter}) as collector:
        collector.send(Signal.TRACES, first.request)
        tools.wait_for(lambda: collector.settled("phoenix"), what="delivery")
    for name, trace in (("shop", first), ("search", second)):
        path = f"{phoenix}/v1/projects/{name}/spans?limit=9"
        spans = tools.wait_for(lambda path=path: tools.call("GET", path)["data"], what=name)
        assert {span["context"]["trace_id"] for span in spans} == {trace.id}
