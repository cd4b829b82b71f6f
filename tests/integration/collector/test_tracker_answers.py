"""Servers of trackers that answer what nobody expects: an error of ours comes of it, and the next try asks again."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from otel_llm_collector.any_value import put
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.mlflow import Mlflow, MlflowSettings
from otel_llm_collector.errors import Permanent
from otel_llm_collector.fakes.server import FakeServer, Refused, Request
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events

pytestmark = pytest.mark.integration

EXPERIMENT = (200, {"experiment": {"experiment_id": "1"}})
RUN = (200, {"run": {"info": {"run_id": "r"}}})
NOTHING = (200, {})


class Scripted(FakeServer):
    """Answers in this order, whatever is asked."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        super().__init__()
        self._answers = deque(answers)

    def answer(self, request: Request) -> tuple[int, Any]:
        """The next one."""
        status, document = self._answers.popleft()
        if status >= 400:
            raise Refused(status, str(document))
        return status, document


def metric() -> Parcel:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.event_name, record.time_unix_nano = events.OTEL_LLM_EXPERIMENT_METRICS, 10**18
    values = {
        attr.OTEL_LLM_EXPERIMENT_NAME: "sweep",
        attr.OTEL_LLM_EXPERIMENT_RUN_ID: "r1",
        attr.OTEL_LLM_EXPERIMENT_METRIC_NAME: "loss",
        attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE: 0.5,
    }
    for key, value in values.items():
        put(record.attributes.add(key=key).value, value)
    return Parcel(Signal.LOGS, request.SerializeToString(), 1)


@pytest.mark.parametrize(
    "answers",
    [
        [(200, []), (200, "no")],
        [EXPERIMENT, (200, {"runs": ["no run"]})],
        [EXPERIMENT, (200, {"runs": [{"info": {"end_time": "soon", "run_id": "r"}}]})],
        [EXPERIMENT, (200, {"runs": [{"info": {}, "data": {"params": [7]}}]})],
        [EXPERIMENT, NOTHING, (200, {"run": None})],
        [EXPERIMENT, NOTHING, RUN, (404, "the run was deleted")],
    ],
)
def test_odd_answers_of_mlflow_are_errors_and_the_run_is_looked_up_again(answers: list[tuple[int, Any]]) -> None:
    """Whatever it says instead of what it should, and a run that somebody deleted."""

    async def run() -> None:
        rest = [] if answers[0] is EXPERIMENT else [EXPERIMENT]
        async with Scripted(*answers, *rest, NOTHING, RUN, NOTHING) as server:
            destination = Mlflow(MlflowSettings(type="mlflow", endpoint=f"http://{server.address}"))
            await destination.start()
            with pytest.raises(Permanent):
                await destination.send(metric())
            assert (await destination.send(metric())).refused == 0
            await destination.shutdown()
            assert server.requests[-1].path.endswith("/runs/log-batch")

    asyncio.run(run())
