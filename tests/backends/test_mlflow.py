"""The real MLflow tracking server: what it has after we sent to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from otel_llm_collector.contract import Signal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def mlflow(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its base URL."""
    program = tools.program("mlflow/bin/mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    port = tools.free_port()
    url = f"http://127.0.0.1:{port}"
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--default-artifact-root", folder / "artifacts"]
    address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with tools.running(folder, program, "server", *store, *address, ready=f"{url}/health", **quiet):
        yield url


def test_trace_tokens_cost_session_and_scores_are_there(tools: Any, mlflow: str, tmp_path: Path) -> None:
    """Read back over its API: one trace in the experiment that was made, our tokens and cost, session, assessments."""
    trace = tools.Trace()
    exporter = {"type": "mlflow", "endpoint": mlflow, "experiment": "rag", "retry": {"initial_seconds": 0.2}}
    with tools.Collector(tmp_path, {"mlflow": exporter}) as collector:
        collector.send(Signal.LOGS, trace.score("early", 0.25, on=trace.call))  # before its trace
        collector.send(Signal.TRACES, trace.request)
        collector.send(Signal.LOGS, trace.score("whole", 0.5))
        tools.wait_for(lambda: collector.settled("mlflow"), what="delivery")
        assert collector.metric("otelcol_exporter_sent_spans_total") == 2
        assert collector.metric("otelcol_exporter_sent_log_records_total") == 2

    info = tools.call("GET", f"{mlflow}/api/3.0/mlflow/traces/tr-{trace.id}")["trace"]["trace_info"]
    metadata = info["trace_metadata"]
    cost = json.loads(metadata["mlflow.trace.cost"])
    assert cost["total_cost"] == pytest.approx(trace.cost)
    assert cost["input_cost"] + cost["output_cost"] == pytest.approx(trace.cost)
    usage = json.loads(metadata["mlflow.trace.tokenUsage"])
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (1000, 500, 1500)
    assert metadata["mlflow.trace.session"] == trace.conversation
    assert info["state"] == "OK"
    scores = {one["assessment_name"]: one for one in info["assessments"]}
    assert {name: one["feedback"]["value"] for name, one in scores.items()} == {"early": 0.25, "whole": 0.5}
    assert scores["early"]["span_id"] == trace.call.span_id.hex()
    assert scores["early"]["rationale"] == "because"
    experiment = tools.call("GET", f"{mlflow}/api/2.0/mlflow/experiments/get-by-name?experiment_name=rag")["experiment"]
    assert info["trace_location"]["mlflow_experiment"]["experiment_id"] == experiment["experiment_id"]


def test_our_price_wins_over_the_one_from_its_table(tools: Any, mlflow: str, tmp_path: Path) -> None:
    """MLflow's own table knows the model; what it shows is what we sent, and without our profile it is not."""
    ours, theirs = tools.Trace(), tools.Trace()
    for trace in (ours, theirs):
        model = next(one for one in trace.call.attributes if one.key == "gen_ai.request.model")
        model.value.string_value = "gpt-4o-mini"
        for one in trace.call.attributes:
            if one.key == "gen_ai.usage.cache_read.input_tokens":
                one.key = "gen_ai.usage.details.cached_tokens"  # a name that neither reads: no discount for either
    profile = tmp_path / "double.yaml"
    profile.write_text(
        "profile: double\nbrief: For this test.\nsources: []\n"
        "add: {mlflow.llm.cost: {json: {input_cost: otel_llm.cost.output, output_cost: otel_llm.cost.output,"
        " total_cost: otel_llm.cost.output}}}\n"
    )
    base = {"type": "mlflow", "endpoint": mlflow}
    for trace, more, total in ((ours, {"profile": "double.yaml"}, 0.0003), (theirs, {"profile": None}, 0.00045)):
        with tools.Collector(tmp_path, {"mlflow": {**base, **more}}) as collector:
            collector.send(Signal.TRACES, trace.request)
            tools.wait_for(lambda collector=collector: collector.settled("mlflow"), what="delivery")
        info = tools.call("GET", f"{mlflow}/api/3.0/mlflow/traces/tr-{trace.id}")["trace"]["trace_info"]
        cost = json.loads(info["trace_metadata"]["mlflow.trace.cost"])
        assert cost["total_cost"] == pytest.approx(total)


def test_experiments_are_taken_from_the_resource(tools: Any, mlflow: str, tmp_path: Path) -> None:
    """Two services in one request end up in two experiments, whose names need quoting."""
    first, second = tools.Trace("shop & co"), tools.Trace("search/eu")
    first.request.MergeFrom(second.request)
    exporter = {"type": "mlflow", "endpoint": mlflow, "experiment_from": "service.name"}
    with tools.Collector(tmp_path, {"mlflow": exporter}) as collector:
        collector.send(Signal.TRACES, first.request)
        tools.wait_for(lambda: collector.settled("mlflow"), what="delivery")
        assert collector.metric("otelcol_exporter_sent_spans_total") == 4
    found = set()
    for trace in (first, second):
        info = tools.call("GET", f"{mlflow}/api/3.0/mlflow/traces/tr-{trace.id}")["trace"]["trace_info"]
        number = info["trace_location"]["mlflow_experiment"]["experiment_id"]
        path = f"{mlflow}/api/2.0/mlflow/experiments/get?experiment_id={number}"
        found.add(tools.call("GET", path)["experiment"]["name"])
    assert found == {"shop & co", "search/eu"}


def test_a_training_run_is_there_once_also_when_its_events_come_again(tools: Any, mlflow: str, tmp_path: Path) -> None:
    """Parameters, each step's numbers, tags, note, artifact and status, read back; sent twice by two collectors."""
    exporter = {"type": "mlflow", "endpoint": mlflow, "retry": {"initial_seconds": 0.2}}
    files = {"type": "file", "path": str(tmp_path), "signals": ["logs"]}
    others = {kind: {"type": kind, "path": str(tmp_path / kind)} for kind in ("comet", "wandb_runs")}
    with tools.Collector(tmp_path, {"mlflow": exporter, "files": files, **others}) as collector:
        tools.train(collector, "dpo sweep")
        trackers = ("mlflow", *others)
        tools.wait_for(lambda: collector.settled("files", *trackers), what="delivery")
        for name in trackers:  # all of them at once
            assert collector.metric("otelcol_exporter_sent_log_records_total", exporter=name) == 16
    with tools.Collector(tmp_path, {"mlflow": exporter}) as collector:
        for request in tools.kept_logs(tmp_path):
            collector.send(Signal.LOGS, request)
        tools.wait_for(lambda: collector.settled("mlflow"), what="delivery")
        changed = request.SerializeToString().replace(b'"lr": 1e-05', b'"lr": 3e-05')
        collector.send(Signal.LOGS, type(request).FromString(changed))
        tools.wait_for(lambda: collector.settled("mlflow"), what="delivery")

    api = f"{mlflow}/api/2.0/mlflow"
    number = tools.call("GET", f"{api}/experiments/get-by-name?experiment_name=dpo%20sweep")["experiment"]
    query = {"experiment_ids": [number["experiment_id"]]}
    (run,) = tools.call("POST", f"{api}/runs/search", query)["runs"]
    info, data = run["info"], run["data"]
    assert (info["run_name"], info["status"]) == ("rank-16", "FINISHED")
    assert info["end_time"] >= info["start_time"] > 0
    parameters = {one["key"]: one["value"] for one in data["params"]}
    assert parameters == {"lr": "1e-05", "data.name": "hh", "layers": '["q", "v"]'}
    tags = {one["key"]: one["value"] for one in data["tags"]}
    assert tags["otel_llm.experiment.run_id"] == "run-1"
    assert tags["changed.lr"] == "3e-05"
    assert "dpo" in tags
    assert tags["mlflow.note.content"] == "warm start from the base model"
    assert json.loads(tags["artifact.adapter"]) == {"kind": "model", "uri": "file:///models/adapter"}

    def history(name: str) -> list[tuple[int, Any]]:
        answer = tools.call("GET", f"{api}/metrics/get-history?run_id={info['run_id']}&metric_key={name}")
        return [(one["step"], one["value"]) for one in answer["metrics"]]

    assert history("loss") == [(step, 1 / (1 + step)) for step in range(5)]
    assert history("odd_name_") == [(step, step) for step in range(5)]
    assert history("epoch") == [(step, step / 4) for step in range(5)]
    assert history("eval/loss") == [(4, "NaN")]


def test_a_repeated_score_replaces_itself_also_after_a_restart(tools: Any, mlflow: str, tmp_path: Path) -> None:
    """The same judge's second word leaves one assessment with the newer value, whichever is heard again later."""
    trace = tools.Trace()
    exporter = {"type": "mlflow", "endpoint": mlflow, "retry": {"initial_seconds": 0.2}}
    first, second = (trace.score("helpful", value, on=trace.call) for value in (0.0, 1.0))
    for requests in ((first,), (second, first)):
        with tools.Collector(tmp_path, {"mlflow": exporter}) as collector:
            collector.send(Signal.TRACES, trace.request)
            for request in requests:
                collector.send(Signal.LOGS, request)
                tools.wait_for(lambda collector=collector: collector.settled("mlflow"), what="delivery")
    info = tools.call("GET", f"{mlflow}/api/3.0/mlflow/traces/tr-{trace.id}")["trace"]["trace_info"]
    (score,) = info["assessments"]
    assert (score["feedback"]["value"], score["rationale"]) == (1.0, "because")
