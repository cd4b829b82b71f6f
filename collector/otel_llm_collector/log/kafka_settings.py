"""The settings of the log in Kafka, and what librdkafka is told by them."""

from __future__ import annotations

import logging
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from otel_llm_collector import limits
from otel_llm_collector.contract import Signal

logger = logging.getLogger(__name__)


class TopicsConfig(BaseModel):
    """The topic of each signal."""

    model_config = ConfigDict(extra="forbid")

    traces: str = Field("otlp_spans", min_length=1, description="Topic of requests of spans.")
    metrics: str = Field("otlp_metrics", min_length=1, description="Topic of requests of metrics.")
    logs: str = Field("otlp_logs", min_length=1, description="Topic of requests of log records.")
    partitions: int = Field(4, ge=1, le=65535, description="Partitions of a topic that is made because it is missing.")
    replication: int = Field(1, ge=1, description="Replicas of a topic that is made because it is missing.")

    def by_signal(self) -> dict[Signal, str]:
        """The topic of each signal."""
        return {signal: getattr(self, signal.value) for signal in Signal}


class KafkaLogConfig(BaseModel):
    """Requests are kept in Kafka, shared by any number of collectors."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["kafka"] = Field("kafka", description="kafka")
    brokers: list[str] = Field(min_length=1, description="Brokers to begin with, host:port each.")
    topics: TopicsConfig = Field(default_factory=TopicsConfig, description="The topic of each signal.")
    group: str = Field(
        "otel-llm", min_length=1, description="Consumer groups are called so, a dash and the destination's name."
    )
    begin: Literal["now", "earliest"] = Field(
        "now", description="Where a destination begins that has no group yet: at what comes now, or at the oldest."
    )
    max_message_bytes: int = Field(
        limits.KAFKA_MESSAGE_BYTES, ge=1024, description="Larger requests are split; not above what the topics allow."
    )
    client: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Further properties of librdkafka, TLS and SASL among them, values kept secret.",
    )


def shared_properties(config: KafkaLogConfig) -> dict[str, Any]:
    """Of producers, consumers and administration."""
    properties: dict[str, Any] = {
        "bootstrap.servers": ",".join(config.brokers),
        "client.id": "otel-llm-collector",
        "allow.auto.create.topics": True,
        "log_level": 3,
        "logger": logger,
    }
    return properties


def own_properties(config: KafkaLogConfig) -> dict[str, str]:
    """What the configuration gives librdkafka, secrets among it."""
    return {name: value.get_secret_value() for name, value in config.client.items()}


def producer_properties(config: KafkaLogConfig) -> dict[str, Any]:
    """Of the idempotent producer."""
    return {
        **shared_properties(config),
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
        "compression.type": "zstd",
        "partitioner": "fnv1a_random",  # of keys as otelcol's exporter does it
        "message.max.bytes": config.max_message_bytes + 64 * 1024,
        "message.timeout.ms": int(limits.KAFKA_SECONDS * 1000),
        **own_properties(config),
    }


def consumer_properties(config: KafkaLogConfig, name: str) -> dict[str, Any]:
    """Of the group of the destination `name`."""
    return {
        **shared_properties(config),
        "group.id": f"{config.group}-{name}",
        "auto.offset.reset": "earliest",  # of partitions that appear later, and where what was next is deleted
        "enable.auto.commit": True,
        "auto.commit.interval.ms": 1000,
        "enable.auto.offset.store": False,  # only what is done is stored
        "partition.assignment.strategy": "range",  # each member gets its share of each signal
        "session.timeout.ms": 10_000,
        "heartbeat.interval.ms": 1_000,
        "queued.max.messages.kbytes": 16 * 1024,
        "fetch.message.max.bytes": 1024 * 1024,
        **own_properties(config),
    }
