"""Runs of experiments: parameters, metrics by step, notes, artifacts.

    with otel_llm.experiment("dpo-rank-sweep", run_name="rank-16", parameters={"beta": 0.1}) as run:
        for step, batch in enumerate(batches):
            with otel_llm.training_step(step=step) as training:
                training.progress(loss=train(batch))
        run.metrics({"eval/loss": evaluate()}, step=step)

All of it travels as OpenTelemetry: the run is a span, steps are spans in it, metrics are gauges and, one by one with
their step, events; the events of a run that is killed are there although its span is not. `log_to` writes the same to
local files. Nothing here raises into training, except arguments that cannot be right when the run is made.
"""

from __future__ import annotations

import atexit
import math
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import Status, StatusCode
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events, metrics
from otel_llm_semconv.enums import OtelLlmArtifactKind as ArtifactKind
from otel_llm_semconv.enums import OtelLlmExperimentStatus as RunStatus
from otel_llm_semconv.enums import OtelLlmOperationName as Operation
from otel_llm_semconv.enums import OtelLlmOutcome as Outcome

from otel_llm import run_values
from otel_llm.guard import guarded, text_of, warn_once
from otel_llm.instruments import gauge
from otel_llm.providers import event_logger, tracer
from otel_llm.run_files import Record, RunFile, open_file

MAX_PARAMETERS = 1000  # drop: further ones are left out, with one warning
MAX_METRIC_NAMES = 500  # drop, as metrics: each name is a series; events and files keep all
MAX_PERPLEXITY_LOSS = 80.0  # above it the perplexity is no number that anybody reads

_current: ContextVar[Experiment | None] = ContextVar("otel_llm_experiment", default=None)

# Metrics that have an instrument of their own, by the names that trainers use.
_KNOWN = {
    "loss": metrics.OTEL_LLM_TRAINING_PROGRESS_LOSS,
    "train/loss": metrics.OTEL_LLM_TRAINING_PROGRESS_LOSS,
    "learning_rate": metrics.OTEL_LLM_TRAINING_PROGRESS_LEARNING_RATE,
    "grad_norm": metrics.OTEL_LLM_TRAINING_PROGRESS_GRADIENT_NORM,
    "gradient_norm": metrics.OTEL_LLM_TRAINING_PROGRESS_GRADIENT_NORM,
    "epoch": metrics.OTEL_LLM_TRAINING_PROGRESS_EPOCH,
    "perplexity": metrics.OTEL_LLM_TRAINING_PROGRESS_PERPLEXITY,
}


def current() -> Experiment | None:
    """The run that is under way here, if there is one."""
    return _current.get()


class Experiment:
    """One run, as `with experiment(...) as run:`, or with `start` and `finish`.

    Args:
        name: The experiment; runs of the same name are compared with each other.
        run_name: What tells this run from others to a reader.
        run_id: Its id; made up when there is none.
        parameters: What was chosen: hyperparameters, data, model; names and plain values.
        tags: Words to find the run by.
        note: A sentence on the run.
        log_to: Files to write to as well, by suffix: `.jsonl`, `.csv`, `.sqlite`.

    Raises:
        ValueError: A suffix of `log_to` that says no format.
        OSError: A file of `log_to` that cannot be made.
    """

    def __init__(
        self,
        name: str,
        *,
        run_name: str | None = None,
        run_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        note: str | None = None,
        log_to: str | Path | Iterable[str | Path] = (),
    ) -> None:
        self.name = text_of(name)
        self.run_id = run_id or secrets.token_hex(8)
        self.run_name = run_name
        self.step = -1  # the newest that was heard of
        self.epoch: float | None = None
        self.status: RunStatus | None = None
        self._parameters: dict[str, Any] = {}
        self._tags = run_values.tags_of(tags)
        self._note = note
        self._first_parameters = run_values.parameters_of(parameters)
        self._names: set[str] = set()
        paths = [log_to] if isinstance(log_to, (str, Path)) else list(log_to)
        self._lock = threading.Lock()
        self._files: list[RunFile] = [open_file(Path(path)) for path in paths]
        self._span: trace.Span = trace.INVALID_SPAN
        self._context: context_api.Context | None = None
        self._before: tuple[context_api.Context, Experiment | None] | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The attributes that metrics of this run carry."""
        return {attr.OTEL_LLM_EXPERIMENT_NAME: self.name, attr.OTEL_LLM_EXPERIMENT_RUN_ID: self.run_id}

    def start(self) -> Self:
        """Begin the run; `finish` ends it. The end of the program ends it as killed."""
        if self.status is not None:
            return self
        self.status = RunStatus.RUNNING
        self._begin()
        atexit.register(self._killed)
        self.parameters(self._first_parameters, announce=False)
        self._say(self._note)
        return self

    @guarded
    def _begin(self) -> None:
        attributes: dict[str, Any] = {
            **self.labels,
            attr.OTEL_LLM_OPERATION_NAME: Operation.EXPERIMENT.value,
            attr.OTEL_LLM_EXPERIMENT_TAGS: self._tags,
        }
        if self.run_name:
            attributes[attr.OTEL_LLM_EXPERIMENT_RUN_NAME] = self.run_name
        self._span = tracer().start_span(f"{Operation.EXPERIMENT} {self.name}", attributes=attributes)
        before = context_api.get_current()
        self._context = trace.set_span_in_context(self._span, before)
        self._before = (before, _current.get())
        context_api.attach(self._context)
        _current.set(self)

    def finish(
        self, status: Literal["finished", "failed", "killed"] = "finished", error: BaseException | None = None
    ) -> None:
        """End the run; a second time does nothing."""
        if self.status is not RunStatus.RUNNING:
            return
        self.status = RunStatus(status)
        atexit.unregister(self._killed)
        self._say(None)
        self._end(error)
        for file in self._files:
            self._close(file)

    @guarded
    def _end(self, error: BaseException | None) -> None:
        if self._before is not None:
            before, outer = self._before
            if context_api.get_current() is self._context:
                context_api.attach(before)
            if _current.get() is self:
                _current.set(outer)
        failed = self.status is RunStatus.FAILED
        outcome = Outcome.ERROR if failed else Outcome.OK if self.status is RunStatus.FINISHED else Outcome.CANCELLED
        self._span.set_attribute(attr.OTEL_LLM_EXPERIMENT_STATUS, str(self.status))
        self._span.set_attribute(attr.OTEL_LLM_OUTCOME, outcome.value)
        if failed:
            self._span.set_status(Status(StatusCode.ERROR, repr(error)[:500] if error else None))
        if error is not None and failed:
            self._span.set_attribute(attr.ERROR_TYPE, type(error).__qualname__)
            self._span.record_exception(error)
        self._span.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.finish("failed" if isinstance(error, Exception) else "killed", error)

    @guarded
    def parameters(self, values: Mapping[str, Any] | None = None, *, announce: bool = True, **more: Any) -> None:
        """Say what was chosen; nested mappings become dotted names. A later value replaces an earlier one."""
        flat = dict(run_values.flat({**dict(values or {}), **more}))
        room = MAX_PARAMETERS - len(self._parameters.keys() - flat.keys())
        if len(flat) > room:
            warn_once(f"experiment: more than {MAX_PARAMETERS} parameters; the rest are left out", "parameters")
            flat = dict(list(flat.items())[:room])
        if not flat:
            return
        self._parameters |= flat
        self._span.set_attribute(attr.OTEL_LLM_EXPERIMENT_PARAMETERS, run_values.as_json(self._parameters))
        self._write(
            [{"kind": "parameter", "name": name, "value": run_values.as_json(value)} for name, value in flat.items()]
        )
        if announce:
            self._say(None)

    @guarded
    def metrics(self, values: Mapping[str, Any], *, step: int | None = None, epoch: float | None = None) -> None:
        """Say numbers of a step (default: the newest). What is no number is left out, with one warning a name."""
        self._reach(step, epoch)
        numbers = {
            str(name): number
            for name, value in values.items()
            if (number := run_values.number(name, value)) is not None
        }
        where: dict[str, Any] = {attr.OTEL_LLM_TRAINING_STEP: self.step} if self.step >= 0 else {}
        if self.epoch is not None:
            where[attr.OTEL_LLM_TRAINING_EPOCH] = self.epoch
        known = {"step": self.step if self.step >= 0 else None, "epoch": self.epoch}
        for name, value in numbers.items():
            said = {attr.OTEL_LLM_EXPERIMENT_METRIC_NAME: name, attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE: value}
            self._emit(events.OTEL_LLM_EXPERIMENT_METRICS, {**said, **where})
            self._measure(name, value)
        self._write([{"kind": "metric", "name": name, "value": value, **known} for name, value in numbers.items()])

    @guarded
    def dpo(
        self,
        *,
        reward_chosen: float,
        reward_rejected: float,
        accuracy: float | None = None,
        beta: float | None = None,
        step: int | None = None,
    ) -> None:
        """Say the rewards of a step of preference training; the margin follows from them."""
        rewards = {"rewards/chosen": reward_chosen, "rewards/rejected": reward_rejected}
        rewards["rewards/margins"] = reward_chosen - reward_rejected
        if accuracy is not None:
            rewards["rewards/accuracies"] = accuracy
        if beta is not None:
            self._span.set_attribute(attr.OTEL_LLM_DPO_BETA, beta)
            self.parameters({"beta": beta}, announce=False)
        self.metrics(rewards, step=step)

    @guarded
    def lora(
        self,
        config: Any = None,
        *,
        rank: int | None = None,
        alpha: float | None = None,
        dropout: float | None = None,
        target_modules: Iterable[str] | None = None,
    ) -> None:
        """Say what adapter is trained: a `LoraConfig` of peft, or the numbers themselves."""
        modules = target_modules if target_modules is not None else getattr(config, "target_modules", None)
        modules = [modules] if isinstance(modules, str) else sorted(modules or ())
        said: dict[str, Any] = {
            attr.OTEL_LLM_LORA_RANK: rank if rank is not None else getattr(config, "r", None),
            attr.OTEL_LLM_LORA_ALPHA: alpha if alpha is not None else getattr(config, "lora_alpha", None),
            attr.OTEL_LLM_LORA_DROPOUT: dropout if dropout is not None else getattr(config, "lora_dropout", None),
            attr.OTEL_LLM_LORA_TARGET_MODULES: modules or None,
        }
        said = {key: value for key, value in said.items() if value is not None}
        self._span.set_attributes(said)
        self.parameters({f"lora.{key.rpartition('.')[2]}": value for key, value in said.items()})

    @guarded
    def trainable(self, model: Any) -> None:
        """Count the parameters of a model, anything with `parameters()` as torch has it, and those that are trained."""
        found = [(int(one.numel()), bool(one.requires_grad)) for one in model.parameters()]
        total, trained = sum(size for size, _ in found), sum(size for size, learns in found if learns)
        self._span.set_attribute(attr.OTEL_LLM_LORA_TOTAL_PARAMETER_COUNT, total)
        self._span.set_attribute(attr.OTEL_LLM_LORA_TRAINABLE_PARAMETER_COUNT, trained)
        self.parameters({"parameters.total": total, "parameters.trainable": trained})

    @guarded
    def tag(self, *tags: str) -> None:
        """Add words to find the run by."""
        self._tags += [str(tag) for tag in tags if str(tag) not in self._tags]
        self._span.set_attribute(attr.OTEL_LLM_EXPERIMENT_TAGS, self._tags)
        self._say(None)

    @guarded
    def note(self, text: str) -> None:
        """Add a sentence on the run."""
        self._say(str(text))

    @guarded
    def artifact(
        self,
        name: str,
        *,
        kind: Literal["model", "dataset", "checkpoint", "file"] = "file",
        path: str | Path | None = None,
        uri: str | None = None,
        hashed: bool = False,
    ) -> None:
        """Refer to something the run made or used: a file or folder here (`path`), or a `uri`. It is not sent.

        `hashed` reads a file to its end for its SHA-256, which takes seconds for a large model.
        """
        said: dict[str, Any] = {"name": str(name), "artifact_kind": ArtifactKind(kind).value, "uri": uri}
        if path is not None:
            place = Path(path)
            said["uri"] = uri or place.absolute().as_uri()
            inside = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
            said["size"] = sum(one.stat().st_size for one in inside)
            if hashed and place.is_file():
                said["sha256"] = run_values.sha256_of(place)
        attributes = {
            attr.OTEL_LLM_ARTIFACT_NAME: said["name"],
            attr.OTEL_LLM_ARTIFACT_KIND: said["artifact_kind"],
            attr.OTEL_LLM_ARTIFACT_URI: said["uri"],
            attr.OTEL_LLM_ARTIFACT_SIZE: said.get("size"),
            attr.OTEL_LLM_ARTIFACT_SHA256: said.get("sha256"),
        }
        attributes = {key: value for key, value in attributes.items() if value is not None}
        self._emit(events.OTEL_LLM_EXPERIMENT_ARTIFACT, attributes)
        self._write([{"kind": "artifact", **said}])

    @guarded
    def model(self, name: str, *, path: str | Path | None = None, uri: str | None = None, hashed: bool = False) -> None:
        """Refer to a model that the run made or started from."""
        self.artifact(name, kind="model", path=path, uri=uri, hashed=hashed)

    def _reach(self, step: int | None, epoch: float | None) -> None:
        if step is not None:
            self.step = int(step)
        if epoch is not None:
            self.epoch = float(epoch)

    @guarded
    def _measure(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            return  # no series has such a point; the event and the files say it
        known = _KNOWN.get(name)
        if known is not None:
            gauge(known).set(value, self.labels)
        if name == "loss":
            perplexity = math.exp(min(value, MAX_PERPLEXITY_LOSS))
            gauge(metrics.OTEL_LLM_TRAINING_PROGRESS_PERPLEXITY).set(perplexity, self.labels)
        if name not in self._names and len(self._names) >= MAX_METRIC_NAMES:
            warn_once(f"experiment: more than {MAX_METRIC_NAMES} names of metrics; the rest are no series", "names")
            return
        self._names.add(name)
        labels = {**self.labels, attr.OTEL_LLM_EXPERIMENT_METRIC_NAME: name}
        gauge(metrics.OTEL_LLM_EXPERIMENT_VALUE).set(value, labels)

    @guarded
    def _say(self, note: str | None) -> None:
        """The run as it is now, as an event and in the files."""
        said: dict[str, Any] = {
            attr.OTEL_LLM_EXPERIMENT_RUN_NAME: self.run_name,
            attr.OTEL_LLM_EXPERIMENT_TAGS: self._tags or None,
            attr.OTEL_LLM_EXPERIMENT_NOTE: note,
            attr.OTEL_LLM_EXPERIMENT_PARAMETERS: run_values.as_json(self._parameters) if self._parameters else None,
            attr.OTEL_LLM_EXPERIMENT_STATUS: str(self.status),
        }
        self._emit(events.OTEL_LLM_EXPERIMENT_RUN, {key: value for key, value in said.items() if value is not None})
        self._write([{"kind": "run", "status": str(self.status), "tags": self._tags, "note": note}])

    def _emit(self, event: str, attributes: dict[str, Any]) -> None:
        record = LogRecord(
            timestamp=time.time_ns(),
            event_name=event,
            severity_number=SeverityNumber.INFO,
            attributes={**self.labels, **attributes},
            context=self._context,
        )
        event_logger().emit(record)

    def _write(self, records: list[Record]) -> None:
        if not self._files:
            return
        known = {"time": time.time(), "experiment": self.name, "run_id": self.run_id, "run_name": self.run_name}
        for file in self._files:
            self._append(file, [{**record, **known} for record in records])

    @guarded
    def _append(self, file: RunFile, records: list[Record]) -> None:
        with self._lock:
            file.write(records)

    @guarded
    def _close(self, file: RunFile) -> None:
        file.close()

    def _killed(self) -> None:
        self.finish("killed")


experiment = Experiment
