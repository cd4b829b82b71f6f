"""`training_step`: one optimizer step as a span, its numbers as metrics, and what it used of the GPUs.

    with otel_llm.training_step(step=12, batch_size=64) as step:
        loss = train(batch)
        step.progress(loss=loss, learning_rate=schedule(), tokens=65_536)

As a decorator it reads what the function returns: a loss, a mapping with `loss` and others, or an object with `.loss`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import Span, SpanKind
from otel_llm_semconv import attributes as attr
from otel_llm_semconv import metrics
from otel_llm_semconv.enums import OtelLlmOperationName as Operation

from otel_llm.content import Mode
from otel_llm.experiments import Experiment, current
from otel_llm.guard import guarded
from otel_llm.handles import Handle
from otel_llm.instruments import counter, histogram
from otel_llm.local_work import measured
from otel_llm.steps import Step

# What `progress` takes -> its attribute, and its name among the run's metrics.
_ATTRIBUTES = {
    "loss": (attr.OTEL_LLM_TRAINING_LOSS, "loss"),
    "learning_rate": (attr.OTEL_LLM_TRAINING_LEARNING_RATE, "learning_rate"),
    "gradient_norm": (attr.OTEL_LLM_TRAINING_GRADIENT_NORM, "gradient_norm"),
    "epoch": (attr.OTEL_LLM_TRAINING_EPOCH, "epoch"),
}


class TrainingHandle(Handle):
    """A step of training."""

    __slots__ = ("_began", "_run", "_samples", "_tokens", "step")

    def __init__(
        self, span: Span, content: Mode, step: int | None, epoch: float | None, batch_size: int | None
    ) -> None:
        super().__init__(span, content)
        self._began = time.perf_counter()
        self._run: Experiment | None = current()
        self._samples = _count(batch_size)
        self._tokens = 0
        if step is None and self._run is not None:
            step = self._run.step + 1
        self.step = step
        if self._run is not None:
            span.set_attributes(self._run.labels)
            if step is not None:
                self._run.step = step
        self.attribute(attr.OTEL_LLM_TRAINING_STEP, step)
        self.attribute(attr.OTEL_LLM_TRAINING_BATCH_SIZE, batch_size)
        if epoch is not None:
            self.progress(epoch=epoch)

    @guarded
    def progress(
        self,
        *,
        loss: Any = None,
        learning_rate: Any = None,
        gradient_norm: Any = None,
        epoch: float | None = None,
        tokens: int | None = None,
        samples: int | None = None,
        data_wait: float | None = None,
    ) -> None:
        """Say how the step went: plain numbers, or scalars of numpy or torch; `data_wait` in seconds."""
        said = {"loss": loss, "learning_rate": learning_rate, "gradient_norm": gradient_norm, "epoch": epoch}
        numbers = {name: float(value) for name, value in said.items() if value is not None}
        self.span.set_attributes({_ATTRIBUTES[name][0]: value for name, value in numbers.items()})
        if tokens is not None:
            self._tokens = int(tokens)
            self.attribute(attr.OTEL_LLM_TRAINING_TOKEN_COUNT, self._tokens)
        if samples is not None:
            self._samples = int(samples)
            self.attribute(attr.OTEL_LLM_TRAINING_SAMPLE_COUNT, self._samples)
        self.attribute(attr.OTEL_LLM_TRAINING_DATA_WAIT, data_wait)
        if self._run is not None and numbers:
            named = {_ATTRIBUTES[name][1]: value for name, value in numbers.items()}
            self._run.metrics(named, step=self.step, epoch=numbers.get("epoch"))

    @guarded
    def dpo(self, *, reward_chosen: float, reward_rejected: float, accuracy: float | None = None) -> None:
        """Say the mean rewards of a preference batch; the margin follows from them."""
        chosen, rejected = float(reward_chosen), float(reward_rejected)
        self.attribute(attr.OTEL_LLM_DPO_REWARD_CHOSEN, chosen)
        self.attribute(attr.OTEL_LLM_DPO_REWARD_REJECTED, rejected)
        self.attribute(attr.OTEL_LLM_DPO_REWARD_MARGIN, chosen - rejected)
        self.attribute(attr.OTEL_LLM_DPO_REWARD_ACCURACY, accuracy)
        if self._run is not None:
            self._run.dpo(reward_chosen=chosen, reward_rejected=rejected, accuracy=accuracy, step=self.step)

    def is_stream(self, result: Any) -> bool:
        """Never: what a step returns may be iterable without being a stream."""
        return False

    def read(self, result: Any) -> None:
        """Read a loss, a mapping with `loss`, `learning_rate` and others, or an object with `.loss`."""
        if isinstance(result, Mapping):
            self.progress(**{name: result[name] for name in _ATTRIBUTES if name in result})
        elif hasattr(result, "loss"):
            self.progress(loss=result.loss)
        elif hasattr(result, "__float__") and not isinstance(result, bool):
            self.progress(loss=result)

    @guarded
    def finish(self) -> None:
        """Count the step."""
        labels = self._run.labels if self._run is not None else {}
        counter(metrics.OTEL_LLM_TRAINING_STEPS).add(1, labels)
        histogram(metrics.OTEL_LLM_TRAINING_STEP_DURATION).record(time.perf_counter() - self._began, labels)
        if self._tokens:
            counter(metrics.OTEL_LLM_TRAINING_TOKENS).add(self._tokens, labels)
        if self._samples:
            counter(metrics.OTEL_LLM_TRAINING_SAMPLES).add(self._samples, labels)


def _count(value: Any) -> int:
    try:
        return int(value)
    except Exception:  # None, or no number
        return 0


def training_step(
    *, step: int | None = None, epoch: float | None = None, batch_size: int | None = None
) -> Step[TrainingHandle]:
    """One optimizer step.

    Args:
        step: Its number; inside an `experiment` the next one when it is not said.
        epoch: Epochs done, with fraction.
        batch_size: Samples of the step, over all devices.
    """

    def handle(span: Span, mode: Mode) -> TrainingHandle:
        return TrainingHandle(span, mode, step, epoch, batch_size)

    make: Callable[..., TrainingHandle] = measured(handle)
    attributes = {attr.OTEL_LLM_OPERATION_NAME: Operation.TRAINING_STEP.value}
    return Step(Operation.TRAINING_STEP.value, make, SpanKind.INTERNAL, attributes)
