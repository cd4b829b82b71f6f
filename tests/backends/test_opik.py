"""Opik's own client and our destination, on the same stand-in: what it takes from the one it takes from the other."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.opik import Opik, OpikSettings, opik_id
from otel_llm_collector.fakes import FakeOpik

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
RECORDED = Path(__file__).parents[1] / "data/opik_client.jsonl"  # by this file's own run with the client installed

# A trace with a call and scores, and a score on a trace that came over OTLP, as a program with the client sends it.
PROGRAM = """
import sys
import opik

client = opik.Opik(project_name="rag", workspace="team", host=sys.argv[1], api_key="k-1")
trace = client.trace(name="ask", input={"q": "why"}, thread_id="c-1", tags=["a"], metadata={"m": 1})
usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
span = trace.span(name="chat", type="llm", model="gpt-4o-mini", provider="openai", usage=usage, total_cost=0.5)
client.flush()  # several threads send: a score could be there first
span.log_feedback_score(name="grounded", value=0.5, reason="because")
trace.log_feedback_score(name="helpful", value=1.0, category_name="good")
client.log_traces_feedback_scores([{"id": sys.argv[2], "name": "later", "value": 0.25}])
client.flush()
span.end(output={"a": 1})
trace.end(output={"a": 1})
client.flush()
client.end()
"""


async def sent_by_us(tools: Any, opik: FakeOpik) -> str:
    """Send a trace through our destination; the id that Opik gives it."""
    trace = tools.Trace()
    for span in (trace.root, trace.call):
        span.trace_id = b"\x07" * 16
        span.start_time_unix_nano = 1_795_258_800_000 * 10**6
    endpoint = f"http://{opik.address}/api"
    settings = OpikSettings(type="opik", endpoint=endpoint, api_key="k-1", workspace="team", project="rag")
    destination = Opik(settings)
    await destination.start()
    await destination.send(Parcel(Signal.TRACES, trace.request.SerializeToString(), 2))
    await destination.shutdown()
    return str(opik_id(b"\x07" * 16, 1_795_258_800_000))


def check(opik: FakeOpik, ours: str) -> None:
    """Both traces are there, with their scores, under the same workspace and project."""
    theirs = next(one for key, one in opik.traces.items() if key != ours)
    mine = opik.traces[ours]
    assert {(one.workspace, one.project) for one in (theirs, mine)} == {("team", "rag")}
    assert set(theirs.scores) == {"helpful"}
    assert set(mine.scores) == {"later"}
    (call,) = [span for span in opik.spans.values() if span.trace_id == theirs.id and span.name == "chat"]
    assert (call.type, call.model, call.cost, call.scores["grounded"]["value"]) == ("llm", "gpt-4o-mini", 0.5, 0.5)
    assert call.usage["prompt_tokens"] == 10
    assert theirs.thread_id == "c-1"


def test_the_clients_requests_and_ours_are_taken(tools: Any, tmp_path: Path) -> None:
    """The real client, a trace of its own, and a score of its on a trace that we sent."""
    python = tools.program("opik/bin/python")

    async def run() -> None:
        async with FakeOpik(api_key="k-1") as opik:
            ours = await sent_by_us(tools, opik)
            known = len(opik.requests)
            environment = {**os.environ, "HOME": str(tmp_path), "OPIK_SENTRY_ENABLE": "false"}
            process = await asyncio.create_subprocess_exec(
                python, "-c", PROGRAM, f"http://{opik.address}/api", ours, env=environment, cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            said, _ = await asyncio.wait_for(process.communicate(), 120)
            assert process.returncode == 0, said.decode()
            check(opik, ours)
            if os.environ.get("OTEL_LLM_RECORD"):
                kept = ("content-type", "comet-workspace", "authorization")
                lines = [
                    {
                        "method": one.method,
                        "path": one.path,
                        "headers": {name: one.headers[name] for name in kept if name in one.headers},
                        "body": one.body.decode(),
                    }
                    for one in opik.requests[known:]
                ]
                RECORDED.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")

    asyncio.run(run())


def test_requests_recorded_from_the_client_are_taken(tools: Any) -> None:
    """The same with what opik 2.2.122 sent, so that no run of the tests goes without it."""

    async def run() -> None:
        async with FakeOpik(api_key="k-1") as opik, httpx2.AsyncClient(trust_env=False) as client:
            ours = await sent_by_us(tools, opik)
            for line in RECORDED.read_text(encoding="utf-8").splitlines():
                one = json.loads(line)
                url = f"http://{opik.address}{one['path']}"
                answer = await client.request(one["method"], url, content=one["body"], headers=one["headers"])
                assert answer.is_success, (line, answer.text)
            check(opik, ours)

    asyncio.run(run())
