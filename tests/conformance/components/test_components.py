"""What every component must do, asked of each one in the table: a new line there is tested at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import otel_llm_collector
import pytest
from otel_llm_collector.components import EXPORTERS, LOGS
from otel_llm_collector.contract import Signal
from otel_llm_collector.fakes import KafkaCluster
from otel_llm_collector.pipeline import STAGES
from pydantic import BaseModel

# The least that each kind of destination must be told; 9 is the discard port, where nobody answers.
REQUIRED: dict[str, dict[str, str]] = {
    "comet": {"path": "."},
    "debug": {},
    "file": {"path": "."},
    "langfuse": {"endpoint": "http://127.0.0.1:9"},
    "mlflow": {"endpoint": "http://127.0.0.1:9"},
    "opik": {"endpoint": "http://127.0.0.1:9"},
    "otlp_grpc": {"endpoint": "127.0.0.1:9"},
    "otlp_http": {"endpoint": "http://127.0.0.1:9"},
    "phoenix": {"endpoint": "http://127.0.0.1:9"},
    "prometheus_remote_write": {"endpoint": "http://127.0.0.1:9/api/v1/write"},
    "wandb": {"api_key": "k", "entity": "e", "project": "p"},
    "wandb_runs": {"path": "."},
}


def destination(name: str, folder: Path) -> Any:
    """A destination of that kind with only what is required."""
    component = EXPORTERS[name]
    settings = component.config.model_validate({"type": name, **REQUIRED[name]}, context={"folder": folder})
    return component.build(settings)


def settings_classes() -> Iterator[tuple[str, type[BaseModel]]]:
    """Every settings class of a component, nested ones included."""
    waiting = [(name, component.config) for table in (EXPORTERS, LOGS) for name, component in table.items()]
    seen = set()
    while waiting:
        name, settings = waiting.pop()
        if settings in seen:
            continue
        seen.add(settings)
        yield name, settings
        nested = (field.annotation for field in settings.model_fields.values())
        waiting += [(name, one) for one in nested if isinstance(one, type) and issubclass(one, BaseModel)]


def test_the_stage_folders_are_those_of_the_pipeline() -> None:
    """The order named in pipeline.py and the folders are the same set."""
    package = Path(otel_llm_collector.__file__).parent
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert folders - {"fakes"} == set(STAGES)


@pytest.mark.parametrize("name", [*EXPORTERS, *LOGS])
def test_a_component_has_one_name_everywhere(name: str) -> None:
    """Its key in YAML is the name of its module."""
    component = EXPORTERS.get(name) or LOGS[name]
    assert component.config.__module__.rpartition(".")[2] == name


@pytest.mark.parametrize(("name", "settings"), list(settings_classes()), ids=lambda one: getattr(one, "__name__", one))
def test_every_option_has_a_sentence_and_unknown_ones_are_refused(name: str, settings: type[BaseModel]) -> None:
    """Each option says what it is, in a sentence; a typo is never ignored."""
    assert settings.__doc__, f"{name}: {settings.__name__} has no docstring"
    assert settings.model_config.get("extra") == "forbid"
    for option, field in settings.model_fields.items():
        assert field.description, f"{name}: {settings.__name__}.{option} has no description"


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_destination_lives_as_the_contract_says(name: str, tmp_path: Path) -> None:
    """Shutdown is safe without a start and twice; start does not need the backend."""

    async def life() -> None:
        never_started = destination(name, tmp_path)
        await never_started.shutdown()
        started = destination(name, tmp_path)
        await started.start()
        await started.shutdown()
        await started.shutdown()

    asyncio.run(life())


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    """Librdkafka's own Kafka, on loopback."""
    cluster = KafkaCluster()
    yield cluster
    cluster.close()


@pytest.mark.parametrize("name", LOGS)
def test_a_log_lives_as_the_contract_says(name: str, tmp_path: Path, cluster: KafkaCluster) -> None:
    """Shutdown twice and without a start; what was appended is read, and reading ends after the seal."""
    component = LOGS[name]
    required: dict[str, Any] = {"disk": {"path": str(tmp_path)}, "kafka": {"brokers": cluster.brokers}}
    options = {"kind": name, **required.get(name, {})}

    async def life() -> None:
        never_started = component.build(component.config.model_validate(options), ["r"])
        await never_started.shutdown()
        log = component.build(component.config.model_validate(options), ["r"])
        await log.start()
        await log.append(Signal.TRACES, b"abc", 1)
        log.seal()
        assert [record.payload async for record in log.read("r")] == [b"abc"]
        await log.shutdown()
        await log.shutdown()

    asyncio.run(life())
