"""A callback for the `Trainer` of transformers (and TRL's trainers, which are made of it).

    trainer = Trainer(..., callbacks=[otel_llm.transformers.TrainerCallback()])

Inside an `otel_llm.experiment` it adds to that run, otherwise it makes one. The trainer's arguments become parameters,
its logs metrics, its steps spans, its checkpoints references to artifacts, a peft adapter's numbers those of the run.
Only the main process of a distributed training reports. Nothing here raises into training. transformers is not needed
to import this module.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from otel_llm_semconv import metrics

from otel_llm.experiments import Experiment, current
from otel_llm.guard import guarded
from otel_llm.instruments import counter
from otel_llm.steps import Run
from otel_llm.training import TrainingHandle, training_step

_SECRET_ENDINGS = ("token", "secret", "password", "key")


def _base() -> Any:
    try:
        return import_module("transformers").TrainerCallback
    except ImportError:
        return object


class TrainerCallback(_base()):  # type: ignore[misc] # it is known at run time only
    """Reports a training.

    Args:
        experiment: Name of the experiment when there is no run around the training; default: the trainer's `run_name`,
            else the name of its output folder.
        every: A span for every n-th step; all steps are counted and all logs reported.
    """

    def __init__(self, experiment: str | None = None, *, every: int = 1) -> None:
        super().__init__()
        self._name = experiment
        self._every = max(1, every)
        self._run: Experiment | None = None
        self._owned = False
        self._step: Run[TrainingHandle] | None = None
        self._tokens = 0

    @guarded
    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Begin or join a run."""
        if not state.is_world_process_zero:
            return
        self._run = current()
        if self._run is None:
            name = self._name or getattr(args, "run_name", None) or Path(str(args.output_dir)).name
            self._run = Experiment(name).start()
            self._owned = True
        self._run.parameters(_parameters(args))
        if model is not None:
            for config in getattr(model, "peft_config", {}).values():
                self._run.lora(config)
            self._run.trainable(model)

    @guarded
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin a step's span."""
        number = state.global_step + 1
        if self._run is None or number % self._every:
            return
        self._leave(None)
        size = args.per_device_train_batch_size * args.gradient_accumulation_steps * getattr(args, "world_size", 1)
        # Never made current: a loop that dies in a step calls nothing more, and would leave a dead span behind.
        self._step = training_step(step=number, epoch=state.epoch, batch_size=size).run()

    @guarded
    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the step's span."""
        seen = getattr(state, "num_input_tokens_seen", 0) or 0
        if self._step is not None and seen > self._tokens:
            self._step.handle.progress(tokens=int(seen) - self._tokens)
        self._tokens = int(seen)
        if self._step is None and self._run is not None:
            counter(metrics.OTEL_LLM_TRAINING_STEPS).add(1, self._run.labels)
        self._leave(None)

    @guarded
    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Take the logged numbers, those of an evaluation too."""
        if self._run is None or not logs:
            return
        numbers = {name: value for name, value in logs.items() if isinstance(value, (int, float)) and name != "epoch"}
        self._run.metrics(numbers, step=state.global_step, epoch=state.epoch)

    @guarded
    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Refer to the checkpoint."""
        if self._run is not None:
            name = f"checkpoint-{state.global_step}"
            self._run.artifact(name, kind="checkpoint", path=Path(str(args.output_dir)) / name)

    @guarded
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the run if it is ours."""
        self._leave(None)
        if self._run is not None and self._owned:
            self._run.finish()
        self._run, self._owned = None, False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_"):  # events that newer trainers have and this callback does not need
            return _nothing
        raise AttributeError(name)

    def _leave(self, error: BaseException | None) -> None:
        step, self._step = self._step, None
        if step is not None:
            step.end(error)


def _parameters(args: Any) -> dict[str, Any]:
    """The trainer's arguments without what is secret, unset or not plain."""
    values = args.to_dict() if hasattr(args, "to_dict") else vars(args)
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (bool, int, float, str)) and not name.lower().endswith(_SECRET_ENDINGS)
    }


def _nothing(*arguments: Any, **named: Any) -> None:
    """What is done at an event that is of no interest."""
