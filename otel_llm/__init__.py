"""Trace LLM and RAG programs with OpenTelemetry.

    import otel_llm

    otel_llm.configure(service_name="rag-api")

    with otel_llm.workflow("answer"):
        with otel_llm.retrieval(source="docs", k=5, query=question) as step:
            step.documents(search(question))
        with otel_llm.chat(provider="openai", model="gpt-4o-mini") as call:
            call.response(client.chat.completions.create(...))

Every helper is also a decorator, for functions, coroutines, generators and async generators.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_llm._version import __version__

if TYPE_CHECKING:
    from otel_llm.checkup import doctor
    from otel_llm.evaluations import feedback, traceparent
    from otel_llm.experiments import Experiment, experiment
    from otel_llm.fastapi import instrument_fastapi
    from otel_llm.hardware import watch_hardware
    from otel_llm.helpers import (
        agent,
        build_context,
        chat,
        data_processing,
        embedding,
        llm,
        query_expansion,
        rerank,
        retrieval,
        span,
        tool,
        workflow,
    )
    from otel_llm.monitoring import log_metrics, log_model_info, log_tokens, monitor
    from otel_llm.sessions import session
    from otel_llm.setup import Handle, configure, flush
    from otel_llm.training import TrainingHandle, training_step

# Public name -> the module that has it, imported at first use: `import otel_llm` costs next to nothing.
_HOMES = {
    "Experiment": "experiments",
    "Handle": "setup",
    "TrainingHandle": "training",
    "agent": "helpers",
    "build_context": "helpers",
    "chat": "helpers",
    "configure": "setup",
    "data_processing": "helpers",
    "doctor": "checkup",
    "embedding": "helpers",
    "experiment": "experiments",
    "feedback": "evaluations",
    "flush": "setup",
    "instrument_fastapi": "fastapi",
    "llm": "helpers",
    "log_metrics": "monitoring",
    "log_model_info": "monitoring",
    "log_tokens": "monitoring",
    "monitor": "monitoring",
    "query_expansion": "helpers",
    "rerank": "helpers",
    "retrieval": "helpers",
    "session": "sessions",
    "span": "helpers",
    "tool": "helpers",
    "training_step": "training",
    "traceparent": "evaluations",
    "watch_hardware": "hardware",
    "workflow": "helpers",
}

# Modules that are reached as `otel_llm.NAME` without an import of their own.
_MODULES = frozenset({"logging", "transformers"})

__all__ = [
    "Experiment",
    "Handle",
    "TrainingHandle",
    "__version__",
    "agent",
    "build_context",
    "chat",
    "configure",
    "data_processing",
    "doctor",
    "embedding",
    "experiment",
    "feedback",
    "flush",
    "instrument_fastapi",
    "llm",
    "log_metrics",
    "log_model_info",
    "log_tokens",
    "monitor",
    "query_expansion",
    "rerank",
    "retrieval",
    "session",
    "span",
    "tool",
    "traceparent",
    "training_step",
    "watch_hardware",
    "workflow",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"otel_llm.{name}")
    home = _HOMES.get(name)
    if home is None:
        msg = f"module 'otel_llm' has no attribute {name!r}"
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(f"otel_llm.{home}"), name)
    return value
