"""Strict stand-ins for backends that no test can install; each says what it imitates and where that is known.

    async with FakeOpik(api_key="k") as opik:
        ...                                     # send to f"http://{opik.address}/api"
        assert opik.traces[...].project == "rag"

They refuse what the original refuses: paths, methods, content types, ids and values that it does not take. Not for
production: nothing here bounds memory.
"""

from __future__ import annotations

from otel_llm_collector.fakes.comet import FakeComet
from otel_llm_collector.fakes.jaeger import FakeJaeger
from otel_llm_collector.fakes.kafka import KafkaCluster
from otel_llm_collector.fakes.langfuse import FakeLangfuse
from otel_llm_collector.fakes.opik import FakeOpik
from otel_llm_collector.fakes.wandb import FakeWandb
from otel_llm_collector.fakes.weave import FakeWeave

__all__ = ["FakeComet", "FakeJaeger", "FakeLangfuse", "FakeOpik", "FakeWandb", "FakeWeave", "KafkaCluster"]
