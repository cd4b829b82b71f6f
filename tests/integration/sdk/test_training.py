"""Experiments and training steps over the stock SDKs in memory, and the files that runs write."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import events, metrics
from otel_llm_semconv.metrics import Metric
from otel_llm_semconv.span_check import check_event, check_span

import otel_llm
from otel_llm import experiments, guard, providers, run_files
from otel_llm.transformers import TrainerCallback

pytestmark = pytest.mark.integration


class Seen:
    """What was reported."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.logs = InMemoryLogRecordExporter()

    def named(self, name: str) -> list[Any]:
        """The ended spans of a name."""
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The attributes of the events of a name."""
        records = [one.log_record for one in self.logs.get_finished_logs()]
        return [dict(one.attributes or {}) for one in records if one.event_name == name]

    def points(self, metric: Metric) -> list[Any]:
        """The data points of a metric."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        found = [one for scope in scopes for one in scope.metrics if one.name == metric.name]
        return [point for one in found for point in one.data.data_points]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Providers of this test alone."""
    found = Seen()
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(SimpleSpanProcessor(found.spans))
    meters = MeterProvider([found.reader], shutdown_on_exit=False)
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(SimpleLogRecordProcessor(found.logs))
    for name, provider in (("tracer", spans), ("meter", meters), ("logger", logs)):
        monkeypatch.setitem(providers._used, f"{name}_provider", provider)
    guard.forget()
    yield found
    meters.shutdown()


def test_a_run_travels_as_spans_metrics_and_events(seen: Seen) -> None:
    """The run is a span with its parameters, steps are spans in it, numbers are gauges and events with their step."""
    with otel_llm.experiment("sweep", run_name="rank-16", parameters={"lr": 2e-5, "data": {"name": "hh"}}) as run:
        for number in range(2):
            with otel_llm.training_step(batch_size=8) as step:
                step.progress(
                    loss=1.0 - number / 2, learning_rate=1e-4, gradient_norm=1.5, tokens=512, epoch=number / 2
                )
        run.metrics({"eval/loss": 0.25})
        run.note("warm start")
        run.tag("lora")
    (span,) = seen.named("experiment sweep")
    assert span.attributes[attr.OTEL_LLM_EXPERIMENT_RUN_ID] == run.run_id
    assert json.loads(span.attributes[attr.OTEL_LLM_EXPERIMENT_PARAMETERS]) == {"lr": 2e-5, "data.name": "hh"}
    assert span.attributes[attr.OTEL_LLM_EXPERIMENT_STATUS] == "finished"
    assert span.attributes[attr.OTEL_LLM_EXPERIMENT_TAGS] == ("lora",)
    steps = seen.named("training_step")
    assert [one.attributes[attr.OTEL_LLM_TRAINING_STEP] for one in steps] == [0, 1]
    assert [one.attributes[attr.OTEL_LLM_TRAINING_LOSS] for one in steps] == [1.0, 0.5]
    assert {one.parent.span_id for one in steps} == {span.context.span_id}
    told = seen.events(events.OTEL_LLM_EXPERIMENT_METRICS)
    losses = [one for one in told if one[attr.OTEL_LLM_EXPERIMENT_METRIC_NAME] == "loss"]
    assert [(one[attr.OTEL_LLM_TRAINING_STEP], one[attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE]) for one in losses] == [
        (0, 1.0),
        (1, 0.5),
    ]
    assert told[-1][attr.OTEL_LLM_EXPERIMENT_METRIC_NAME] == "eval/loss"
    assert told[-1][attr.OTEL_LLM_TRAINING_STEP] == 1
    statuses = [one[attr.OTEL_LLM_EXPERIMENT_STATUS] for one in seen.events(events.OTEL_LLM_EXPERIMENT_RUN)]
    assert (statuses[0], statuses[-1]) == ("running", "finished")
    assert seen.events(events.OTEL_LLM_EXPERIMENT_RUN)[1][attr.OTEL_LLM_EXPERIMENT_NOTE] == "warm start"
    (loss,) = seen.points(metrics.OTEL_LLM_TRAINING_PROGRESS_LOSS)
    assert loss.value == 0.5
    assert loss.attributes == run.labels
    assert seen.points(metrics.OTEL_LLM_TRAINING_PROGRESS_PERPLEXITY)[0].value == pytest.approx(math.exp(0.5))
    assert seen.points(metrics.OTEL_LLM_TRAINING_STEPS)[0].value == 2
    assert seen.points(metrics.OTEL_LLM_TRAINING_TOKENS)[0].value == 1024
    assert seen.points(metrics.OTEL_LLM_TRAINING_SAMPLES)[0].value == 16
    assert seen.points(metrics.OTEL_LLM_TRAINING_STEP_DURATION)[0].count == 2


def test_what_is_told_fits_the_registry(seen: Seen) -> None:
    """Spans and events of a whole run have every required attribute and no unknown one."""
    with otel_llm.experiment("sweep", parameters={"a": 1}) as run:
        run.lora(rank=16, alpha=32, dropout=0.1, target_modules=["q_proj"])
        with otel_llm.training_step() as step:
            step.progress(loss=1.0, samples=4, data_wait=0.1)
            step.dpo(reward_chosen=0.8, reward_rejected=-0.4, accuracy=0.75)
        run.model("base", uri="hf://model")
    found = []
    for span in seen.spans.get_finished_spans():
        found += check_span({"name": span.name, "kind": 1, "attributes": otlp(span.attributes)})
    for record in (one.log_record for one in seen.logs.get_finished_logs()):
        found += check_event({"eventName": record.event_name, "attributes": otlp(record.attributes)})
    assert [one for one in found if one.level == "violation"] == []


def otlp(attributes: Any) -> list[dict[str, Any]]:
    """Attributes as OTLP's JSON has them."""

    def value(one: Any) -> dict[str, Any]:
        if isinstance(one, tuple):
            return {"arrayValue": {"values": [value(inner) for inner in one]}}
        kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(one)]
        return {kind: str(one) if kind == "intValue" else one}

    return [{"key": key, "value": value(one)} for key, one in attributes.items()]


def test_preference_training_has_its_rewards(seen: Seen) -> None:
    """Chosen, rejected, margin and accuracy are on the step and among the run's metrics, under TRL's names."""
    with otel_llm.experiment("dpo", parameters={"beta": 0.1}) as run:
        with otel_llm.training_step() as step:
            step.dpo(reward_chosen=0.8, reward_rejected=-0.4, accuracy=0.75)
        run.dpo(reward_chosen=1.0, reward_rejected=0.5, beta=0.1, step=7)
    (span,) = seen.named("training_step")
    assert span.attributes[attr.OTEL_LLM_DPO_REWARD_MARGIN] == pytest.approx(1.2)
    assert span.attributes[attr.OTEL_LLM_DPO_REWARD_ACCURACY] == 0.75
    values = {
        (one[attr.OTEL_LLM_EXPERIMENT_METRIC_NAME], one[attr.OTEL_LLM_TRAINING_STEP]): one[
            attr.OTEL_LLM_EXPERIMENT_METRIC_VALUE
        ]
        for one in seen.events(events.OTEL_LLM_EXPERIMENT_METRICS)
    }
    assert values["rewards/margins", 0] == pytest.approx(1.2)
    assert values["rewards/accuracies", 0] == 0.75
    assert values["rewards/margins", 7] == pytest.approx(0.5)
    assert seen.named("experiment dpo")[0].attributes[attr.OTEL_LLM_DPO_BETA] == 0.1


class Weight:
    """A parameter as torch has it."""

    def __init__(self, size: int, *, learns: bool) -> None:
        self.requires_grad = learns
        self._size = size

    def numel(self) -> int:
        """Its size."""
        return self._size


def test_an_adapter_is_described(seen: Seen) -> None:
    """A config of peft, or plain numbers; the trained part is counted from the model itself."""
    config = SimpleNamespace(r=16, lora_alpha=32, lora_dropout=0.05, target_modules={"v_proj", "q_proj"})
    model = SimpleNamespace(parameters=lambda: iter([Weight(1000, learns=False), Weight(24, learns=True)]))
    with otel_llm.experiment("lora") as run:
        run.lora(config)
        run.trainable(model)
    (span,) = seen.named("experiment lora")
    assert span.attributes[attr.OTEL_LLM_LORA_RANK] == 16
    assert span.attributes[attr.OTEL_LLM_LORA_TARGET_MODULES] == ("q_proj", "v_proj")
    assert span.attributes[attr.OTEL_LLM_LORA_TRAINABLE_PARAMETER_COUNT] == 24
    assert span.attributes[attr.OTEL_LLM_LORA_TOTAL_PARAMETER_COUNT] == 1024


@pytest.mark.parametrize(
    ("returned", "loss"), [(0.5, 0.5), ({"loss": 0.25, "learning_rate": 0.1}, 0.25), (SimpleNamespace(loss=2), 2.0)]
)
def test_a_decorated_step_is_read(seen: Seen, returned: Any, loss: float) -> None:
    """A loss, a mapping or an object with a loss; the function's result is the caller's as it was."""

    @otel_llm.training_step()
    def train() -> Any:
        return returned

    assert train() is returned
    (span,) = seen.named("training_step")
    assert span.attributes[attr.OTEL_LLM_TRAINING_LOSS] == loss


def test_a_step_that_fails_is_an_error_and_the_run_failed(seen: Seen) -> None:
    """The exception passes; step and run carry it."""
    with pytest.raises(ZeroDivisionError), otel_llm.experiment("bad"), otel_llm.training_step():
        _ = 1 / 0
    (step,), (run,) = seen.named("training_step"), seen.named("experiment bad")
    assert step.attributes[attr.ERROR_TYPE] == "ZeroDivisionError"
    assert run.attributes[attr.OTEL_LLM_EXPERIMENT_STATUS] == "failed"
    assert not run.status.is_ok
    assert experiments.current() is None


def test_a_stopped_run_is_killed(seen: Seen) -> None:
    """Ctrl-C is neither success nor failure."""
    with pytest.raises(KeyboardInterrupt), otel_llm.experiment("stopped"):
        raise KeyboardInterrupt
    assert seen.named("experiment stopped")[0].attributes[attr.OTEL_LLM_EXPERIMENT_STATUS] == "killed"


def test_runs_nest_and_give_back_the_outer_one(seen: Seen) -> None:
    """Steps belong to the innermost run; after it ends, to the outer one again."""
    with otel_llm.experiment("outer") as outer:
        with otel_llm.experiment("inner") as inner, otel_llm.training_step():
            assert experiments.current() is inner
        with otel_llm.training_step():
            assert experiments.current() is outer
    names = [one.attributes[attr.OTEL_LLM_EXPERIMENT_NAME] for one in seen.named("training_step")]
    assert names == ["inner", "outer"]


def test_bad_values_warn_once_and_change_nothing(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    """No number, no mapping, a model that is none: one warning a kind, and training goes on."""
    with caplog.at_level(logging.WARNING), otel_llm.experiment("odd") as run:
        for _ in range(3):
            run.metrics({"good": 1, "bad": "text", "none": object(), "nan": float("nan")})
            run.metrics(None)  # type: ignore[arg-type]
            run.trainable("no model")
            run.artifact("x", kind="sculpture")  # type: ignore[arg-type]
        run.parameters({"path": Path("a/x"), "shape": (1, 2), 3: 4})  # type: ignore[dict-item]
    assert len(caplog.records) == 5
    values = [one[attr.OTEL_LLM_EXPERIMENT_METRIC_NAME] for one in seen.events(events.OTEL_LLM_EXPERIMENT_METRICS)]
    assert values == ["good", "nan"] * 3
    parameters = json.loads(seen.named("experiment odd")[0].attributes[attr.OTEL_LLM_EXPERIMENT_PARAMETERS])
    assert parameters == {"path": "a/x", "shape": [1, 2], "3": 4}


def test_parameters_are_bounded(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    """The thousand-and-first parameter is left out with a warning."""
    with caplog.at_level(logging.WARNING), otel_llm.experiment("many") as run:
        run.parameters({f"p{number}": number for number in range(experiments.MAX_PARAMETERS + 5)})
    found = json.loads(seen.named("experiment many")[0].attributes[attr.OTEL_LLM_EXPERIMENT_PARAMETERS])
    assert len(found) == experiments.MAX_PARAMETERS
    assert len(caplog.records) == 1


def test_a_run_is_kept_in_files_without_a_server(tmp_path: Path) -> None:
    """JSON lines, CSV and SQLite hold the same run; a second run is appended."""
    paths = [tmp_path / "deep" / f"runs{suffix}" for suffix in (".jsonl", ".csv", ".sqlite")]
    (tmp_path / "adapter.bin").write_bytes(b"weights")
    for name in ("first", "second"):
        with otel_llm.experiment("files", run_name=name, parameters={"lr": 0.1}, tags=["a"], log_to=paths) as run:
            run.metrics({"loss": 0.5, "odd": float("inf")}, step=3, epoch=0.5)
            run.note("one")
            run.note("two")
            run.model("adapter", path=tmp_path / "adapter.bin", hashed=True)
    lines = [json.loads(line) for line in paths[0].read_text(encoding="utf-8").splitlines()]
    assert {line["run_name"] for line in lines} == {"first", "second"}
    assert [line["value"] for line in lines if line["kind"] == "metric"] == [0.5, "inf"] * 2
    with paths[1].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["step"], row["value"]) for row in rows] == [("loss", "3", "0.5"), ("odd", "3", "inf")] * 2
    database = sqlite3.connect(paths[2])
    assert database.execute("SELECT status, tags, note FROM runs").fetchall() == [("finished", '["a"]', "one\ntwo")] * 2
    assert database.execute("SELECT count(*) FROM runs WHERE ended >= began").fetchone() == (2,)
    assert (
        database.execute("SELECT name, value, step FROM metrics WHERE name = 'loss'").fetchall()
        == [("loss", 0.5, 3)] * 2
    )
    assert database.execute("SELECT DISTINCT name, value FROM parameters").fetchall() == [("lr", "0.1")]
    (artifact,) = set(database.execute("SELECT artifact_kind, size, sha256 FROM artifacts").fetchall())
    assert artifact == ("model", 7, hashlib.sha256(b"weights").hexdigest())
    database.close()


def test_a_file_that_cannot_be_written_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk does not stop training; an impossible suffix or place is refused at once."""

    def full(self: Any, records: Any) -> None:
        raise OSError(28, "No space left on device")

    guard.forget()
    monkeypatch.setattr(run_files.JsonLines, "write", full)
    with caplog.at_level(logging.WARNING), otel_llm.experiment("full", log_to=tmp_path / "runs.jsonl") as run:
        run.metrics({"loss": 1.0})
    assert [record.message for record in caplog.records if "No space left" in record.message]
    assert len(caplog.records) == 1
    with pytest.raises(ValueError, match=r"log_to is '.*runs.parquet'; use a file that ends in .jsonl"):
        otel_llm.experiment("x", log_to=tmp_path / "runs.parquet")


def test_a_run_that_is_never_finished_ends_as_killed_with_the_program(tmp_path: Path) -> None:
    """The file says so, and the program's exit code is its own."""
    path = tmp_path / "runs.sqlite"
    program = f"import otel_llm; otel_llm.experiment('left', log_to={str(path)!r}).start(); raise SystemExit(3)"
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert ended.returncode == 3
    assert sqlite3.connect(path).execute("SELECT status FROM runs").fetchall() == [("killed",)]


class StrictTrainer:
    """Drives a callback as the `Trainer` of transformers 5 does: the order of its events and their arguments.

    It imitates `CallbackHandler.call_event`: every event is called with `args, state, control` and named extras, and
    what a callback returns must be None or the control. No weights, no torch.
    """

    def __init__(self, callback: Any, folder: Path, *, main: bool = True) -> None:
        self.callback = callback
        self.control = object()
        self.args = SimpleNamespace(
            output_dir=str(folder),
            run_name=None,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
            world_size=1,
            to_dict=lambda: {"learning_rate": 0.1, "hub_token": "<HUB_TOKEN>", "output_dir": str(folder), "x": None},
        )
        self.state = SimpleNamespace(global_step=0, epoch=0.0, is_world_process_zero=main, num_input_tokens_seen=0)

    def call(self, event: str, **extra: Any) -> None:
        """One event."""
        result = getattr(self.callback, event)(self.args, self.state, self.control, model=None, **extra)
        assert result is None or result is self.control

    def train(self, steps: int, fail_at: int | None = None) -> None:
        """A whole training: 2 substeps a step, a log and a checkpoint every 2 steps."""
        self.call("on_init_end")
        self.call("on_train_begin")
        self.call("on_epoch_begin")
        for step in range(steps):
            self.call("on_step_begin")
            self.call("on_substep_end")
            if step == fail_at:
                raise RuntimeError("CUDA out of memory")
            self.call("on_pre_optimizer_step")
            self.call("on_optimizer_step")
            self.state.global_step += 1
            self.state.epoch = self.state.global_step / steps
            self.state.num_input_tokens_seen += 100
            self.call("on_step_end")
            if self.state.global_step % 2 == 0:
                logs = {"loss": 1 / self.state.global_step, "grad_norm": 2.0, "learning_rate": 0.1, "epoch": 0.5}
                self.call("on_log", logs=logs)
                checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
                checkpoint.mkdir(parents=True)
                (checkpoint / "weights").write_bytes(b"12345")
                self.call("on_save")
        self.call("on_epoch_end")
        self.call("on_log", logs={"eval_loss": 0.3, "eval_runtime": 1.0, "epoch": 1.0})
        self.call("on_evaluate", metrics={"eval_loss": 0.3})
        self.call("on_train_end")


def test_a_trainer_reports_through_its_callback(seen: Seen, tmp_path: Path) -> None:
    """Arguments are parameters without secrets, steps spans, logs metrics with their step, checkpoints artifacts."""
    StrictTrainer(TrainerCallback(), tmp_path / "my-model").train(4)
    (run,) = seen.named("experiment my-model")
    assert json.loads(run.attributes[attr.OTEL_LLM_EXPERIMENT_PARAMETERS]) == {
        "learning_rate": 0.1,
        "output_dir": str(tmp_path / "my-model"),
    }
    steps = seen.named("training_step")
    assert [one.attributes[attr.OTEL_LLM_TRAINING_STEP] for one in steps] == [1, 2, 3, 4]
    assert {one.attributes[attr.OTEL_LLM_TRAINING_TOKEN_COUNT] for one in steps} == {100}
    assert {one.attributes[attr.OTEL_LLM_TRAINING_BATCH_SIZE] for one in steps} == {8}
    told = [
        (one[attr.OTEL_LLM_EXPERIMENT_METRIC_NAME], one[attr.OTEL_LLM_TRAINING_STEP])
        for one in seen.events(events.OTEL_LLM_EXPERIMENT_METRICS)
    ]
    assert ("loss", 2) in told
    assert told.count(("eval_loss", 4)) == 1
    saved = seen.events(events.OTEL_LLM_EXPERIMENT_ARTIFACT)
    assert [one[attr.OTEL_LLM_ARTIFACT_NAME] for one in saved] == ["checkpoint-2", "checkpoint-4"]
    assert {one[attr.OTEL_LLM_ARTIFACT_SIZE] for one in saved} == {5}


def test_a_trainer_joins_the_run_around_it(seen: Seen, tmp_path: Path) -> None:
    """The run is not ended by the trainer, and every second step has a span while all are counted."""
    with otel_llm.experiment("mine") as run:
        StrictTrainer(TrainerCallback(every=2), tmp_path).train(4)
        assert run.status == "running"
    assert len(seen.named("training_step")) == 2
    assert seen.points(metrics.OTEL_LLM_TRAINING_STEPS)[0].value == 4
    assert len([one for one in seen.spans.get_finished_spans() if one.name.startswith("experiment")]) == 1


class Shut:
    """Nothing can be asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)

    def __repr__(self) -> str:
        raise ValueError


WRONG: list[Any] = [Shut(), 7, "lr=0.1", [1], b"x", object(), float("nan")]


@pytest.mark.parametrize("which", range(len(WRONG)))
def test_a_run_takes_anything(seen: Seen, which: int) -> None:
    """Whatever is said of a run, the training goes on and the run ends; one text is one tag."""
    wrong = WRONG[which]
    with otel_llm.experiment(wrong, parameters=wrong, tags=wrong, note=wrong) as run:
        for say in (run.parameters, run.metrics, run.tag, run.note, run.trainable):
            say(wrong)
        run.parameters({"key": wrong})
        run.metrics({"loss": wrong}, step=wrong, epoch=wrong)
        run.artifact(wrong, path=wrong, uri=wrong)
        run.lora(rank=wrong, alpha=wrong, target_modules=wrong)
        run.dpo(reward_chosen=wrong, reward_rejected=wrong)
    [span] = seen.spans.get_finished_spans()
    assert (span.attributes or {})[attr.OTEL_LLM_EXPERIMENT_STATUS] == "finished"
    assert otel_llm.Experiment("e", tags="beta")._tags == ["beta"]


def test_other_processes_of_a_distributed_training_are_silent(seen: Seen, tmp_path: Path) -> None:
    """Only the main process reports."""
    StrictTrainer(TrainerCallback(), tmp_path, main=False).train(2)
    assert seen.spans.get_finished_spans() == ()
    assert seen.logs.get_finished_logs() == ()


def test_a_training_that_fails_keeps_its_exception(seen: Seen, tmp_path: Path) -> None:
    """The trainer's error is the program's; the run around it is failed."""
    with pytest.raises(RuntimeError, match="out of memory"), otel_llm.experiment("oom"):
        StrictTrainer(TrainerCallback(), tmp_path).train(4, fail_at=1)
    assert seen.named("experiment oom")[0].attributes[attr.OTEL_LLM_EXPERIMENT_STATUS] == "failed"
