"""MLflow: traces over OTLP/HTTP, feedback and evaluation results as assessments, runs of experiments as runs.

The tracking server must keep its data in SQL. The experiment is looked up by name at the first request, and made when
it is not there. Repeated spans replace themselves. Delivery: at least once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.http_client import HttpClient, HttpDestination, Url
from otel_llm_collector.deliver.mlflow_runs import MlflowRuns, field_of
from otel_llm_collector.deliver.otlp_http import post_otlp
from otel_llm_collector.deliver.profile import ProfileChoice
from otel_llm_collector.deliver.runs import RUNS, UNUSABLE, runs
from otel_llm_collector.deliver.scores import SCORES, Score, scores
from otel_llm_collector.deliver.settings import ScoredSettings
from otel_llm_collector.errors import Permanent

_EXPERIMENT = "x-mlflow-experiment-id"
_BY_NAME = "experiment"  # stands in a parcel's headers until the name is an id
_NOT_YET = frozenset({404})  # the trace that is assessed may still be on its way
_SCORE, _SCORE_TIME = "otel_llm.score", "otel_llm.score_time"  # which score an assessment is, and when it was made
_CHANGED = "feedback,rationale,metadata"
_SOURCES = {"HUMAN": "HUMAN", "LLM": "LLM_JUDGE", "CODE": "CODE"}


class MlflowSettings(ScoredSettings):
    """MLflow tracking server."""

    log_events: ClassVar[frozenset[str]] = SCORES | RUNS

    type: Literal["mlflow"] = Field(description="mlflow")
    endpoint: Url = Field(description="Base URL of the tracking server, for example http://127.0.0.1:5000.")
    token: SecretStr = Field(SecretStr(""), description="Sent as a bearer token.")
    experiment: str = Field("Default", min_length=1, description="Name of the experiment; made when it is not there.")
    experiment_from: str = Field("", description="Attribute of the resource that names the experiment instead.")
    profile: ProfileChoice = Field(
        "mlflow", validate_default=True, description="Name or path of the profile; null: attributes leave as they are."
    )

    def routes(self) -> dict[str, str]:
        """The experiment, where an attribute names it."""
        return super().routes() | ({_BY_NAME: self.experiment_from} if self.experiment_from else {})


class Mlflow(HttpDestination):
    """The destination."""

    def __init__(self, settings: MlflowSettings) -> None:
        self._settings = settings
        token = settings.token.get_secret_value()
        self.client = HttpClient(settings, settings.endpoint, {"authorization": f"Bearer {token}"} if token else {})
        self._experiments: dict[str, str] = {}
        self._looking = asyncio.Lock()
        self._runs = MlflowRuns(self.client, self._experiment)

    async def send(self, parcel: Parcel) -> Receipt:
        """Send spans, or assess traces and write runs; see `contract.Destination`."""
        headers = dict(parcel.headers)
        name = headers.pop(_BY_NAME, self._settings.experiment)
        if parcel.signal is Signal.TRACES:
            headers[_EXPERIMENT] = await self._experiment(name)
            try:
                return await post_otlp(self.client, self._settings, "/v1/traces", replace(parcel, headers=headers))
            except Permanent:
                self._experiments.pop(name, None)  # it may have been deleted: look it up again
                raise
        unusable_runs = await self._write_runs(parcel)
        refused = await self._write_scores(parcel, headers)
        why = ["scores need a name, a value or label, and a trace"] * bool(refused) + [UNUSABLE] * bool(unusable_runs)
        return Receipt(refused + unusable_runs, "; ".join(why))

    async def _write_runs(self, parcel: Parcel) -> int:
        found, unusable = runs(parcel)
        for run in found:
            await self._runs.write(run)
        return unusable

    async def _write_scores(self, parcel: Parcel, headers: Mapping[str, str]) -> int:
        found, unusable = scores(parcel)
        for score in found:
            if score.trace_id:
                await self._assess(score, headers)
        return unusable + sum(not score.trace_id for score in found)

    async def _experiment(self, name: str) -> str:
        """The id of the experiment `name`."""
        async with self._looking:  # two would make it twice
            known = self._experiments.get(name)
            if known is None:
                try:
                    path = f"/api/2.0/mlflow/experiments/get-by-name?experiment_name={quote(name, safe='')}"
                    answer = await self.client.call("GET", path)
                    known = field_of(answer.document(), "experiment", "experiment_id")
                except Permanent:
                    answer = await self.client.call("POST", "/api/2.0/mlflow/experiments/create", {"name": name})
                    known = field_of(answer.document(), "experiment_id")
                self._experiments[name] = known
            return known

    async def _assess(self, score: Score, headers: Mapping[str, str]) -> None:
        """Make the assessment, or change the one of the same judge, whose newest word counts."""
        path = f"/api/3.0/mlflow/traces/tr-{score.trace_id.hex()}"
        wait = score.is_fresh(self._settings.score_wait_seconds, time.time())
        may_pass = _NOT_YET if wait else frozenset()
        answer = await self.client.call("GET", path, headers=headers, may_pass=may_pass)
        known = _known(answer.document(), score.identifier)
        assessment = _assessment(score)
        if known is None:
            await self.client.call("POST", f"{path}/assessments", {"assessment": assessment}, headers=headers)
        elif known[1] < score.time_unix_nano:
            change = {"assessment": {**assessment, "assessment_id": known[0]}, "update_mask": _CHANGED}
            await self.client.call("PATCH", f"{path}/assessments/{quote(known[0], safe='')}", change, headers=headers)


def _assessment(score: Score) -> dict[str, Any]:
    assessment: dict[str, Any] = {
        "assessment_name": score.name,
        "trace_id": f"tr-{score.trace_id.hex()}",
        "source": {"source_type": _SOURCES[score.evaluator], "source_id": score.judge or "default"},
        "feedback": {"value": score.value if score.value is not None else score.label},
        "metadata": {_SCORE: score.identifier, _SCORE_TIME: str(score.time_unix_nano)},
    }
    if score.label and score.value is not None:
        assessment["metadata"]["label"] = score.label
    if score.span_id:
        assessment["span_id"] = score.span_id.hex()
    if score.explanation:
        assessment["rationale"] = score.explanation
    return assessment


def _known(document: Any, identifier: str) -> tuple[str, int] | None:
    """The id of the assessment that a score is already, and when it was made, in the trace that MLflow answered."""
    try:
        for one in document["trace"]["trace_info"].get("assessments", []):
            metadata = one.get("metadata", {})
            if metadata.get(_SCORE) == identifier:
                return str(one["assessment_id"]), int(metadata.get(_SCORE_TIME, 0))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = "answered with a trace that is none; endpoint has to be an MLflow tracking server"
        raise Permanent(msg) from error
    return None
