"""What librdkafka is told by the settings of the log in Kafka."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from otel_llm_collector import limits

if TYPE_CHECKING:
    from otel_llm_collector.log.kafka import KafkaLogConfig

logger = logging.getLogger(__name__)


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
