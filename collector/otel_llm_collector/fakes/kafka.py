"""Kafka, as librdkafka has it for tests."""

from __future__ import annotations

import ctypes
from pathlib import Path


class KafkaCluster:
    """librdkafka's own cluster for tests: real Kafka wire protocol on loopback, in this process.

    `fail` makes brokers answer the next requests of a kind with an error code of Kafka; `down` stops a broker.
    """

    PRODUCE, OFFSET_COMMIT = 0, 8  # kinds of requests, as Kafka's protocol numbers them

    def __init__(self, brokers: int = 1) -> None:
        import confluent_kafka  # noqa: PLC0415 - an extra

        libraries = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
        library = ctypes.CDLL(str(next(libraries.glob("librdkafka-*"))))
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(library, name).restype = ctypes.c_void_p
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
        self._client = ctypes.c_void_p(library.rd_kafka_new(0, configuration, None, 0))
        self._cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(self._client, brokers))
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self._library = library
        self.brokers = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode().split(",")

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic."""
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def down(self, broker: int = 1) -> None:
        """Stop a broker: its connections break."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self, broker: int = 1) -> None:
        """Start it again; its data is still there."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def fail(self, kind: int, *codes: int) -> None:
        """Answer the next requests of this kind with these errors, one each."""
        errors = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(kind), ctypes.c_size_t(len(codes)), errors
        )

    def close(self) -> None:
        """End it."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)
