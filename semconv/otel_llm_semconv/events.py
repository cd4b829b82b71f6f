"""Names of events.

Generated from the registry by `make generate`; edit `registry/*.yaml` instead.
"""

from __future__ import annotations

from typing import Final

GEN_AI_CLIENT_INFERENCE_OPERATION_DETAILS: Final = "gen_ai.client.inference.operation.details"
"""The details of an inference, content included, apart from its span."""

GEN_AI_EVALUATION_RESULT: Final = "gen_ai.evaluation.result"
"""The result of an evaluation of an answer, by a person or a program."""

OTEL_LLM_EXPERIMENT_ARTIFACT: Final = "otel_llm.experiment.artifact"
"""A run made or used an artifact."""

OTEL_LLM_EXPERIMENT_METRICS: Final = "otel_llm.experiment.metrics"
"""One metric of one step under the program's own name."""

OTEL_LLM_EXPERIMENT_RUN: Final = "otel_llm.experiment.run"
"""A run began or ended, with its parameters and tags."""
