"""OTLP over gRPC to any backend: Jaeger, Tempo, another collector.

Delivery: at least once. Which codes are tried again is OTLP 1.11's table; RESOURCE_EXHAUSTED only when the backend
says when (RetryInfo).
"""

from __future__ import annotations

from typing import Any, Literal

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from pydantic import Field, SecretStr, model_validator

from otel_llm_collector._version import __version__
from otel_llm_collector.config_types import Endpoint
from otel_llm_collector.contract import Parcel, Receipt, Signal
from otel_llm_collector.deliver.otlp import SHAPES, receipt
from otel_llm_collector.deliver.settings import Compression, NetworkSettings
from otel_llm_collector.errors import Permanent, Retryable, Unacceptable
from otel_llm_collector.limits import MAX_RESPONSE_BYTES

_RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
# about what the request holds; many backends say INTERNAL or UNKNOWN for a span that they trip over
_UNACCEPTABLE = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


class OtlpGrpcSettings(NetworkSettings):
    """OTLP over gRPC."""

    type: Literal["otlp_grpc"] = Field(description="otlp_grpc")
    endpoint: Endpoint = Field(description="host:port of the backend, for example 127.0.0.1:4317.")

    @model_validator(mode="after")
    def _known_to_grpc(self) -> OtlpGrpcSettings:
        if self.compression is Compression.ZSTD:
            msg = "compression is zstd, which gRPC has no codec for; write gzip or none"
            raise ValueError(msg)
        return self


class OtlpGrpc:
    """The destination."""

    def __init__(self, settings: OtlpGrpcSettings) -> None:
        self._settings = settings
        self._metadata = [(name, _metadata_value(name, value)) for name, value in settings.headers.items()]
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[Signal, Any] = {}

    async def start(self) -> None:
        """Open the channel; it connects by itself and again after a loss."""
        gzip = self._settings.compression is Compression.GZIP
        options = [
            ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.primary_user_agent", f"otel-llm-collector/{__version__}"),
            ("grpc.initial_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 10_000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self._settings.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self._settings.tls.server_name))
        compression = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
        if self._settings.tls.insecure:
            self._channel = grpc.aio.insecure_channel(self._settings.endpoint, options, compression)
        else:
            credentials = _credentials(self._settings)
            self._channel = grpc.aio.secure_channel(self._settings.endpoint, credentials, options, compression)
        self._calls = {
            signal: self._channel.unary_unary(f"/{shape.service}/Export") for signal, shape in SHAPES.items()
        }

    async def shutdown(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def send(self, parcel: Parcel) -> Receipt:
        """Send one request; see `contract.Destination`."""
        own = [one for one in self._metadata if one[0] not in parcel.headers]
        try:
            answer = await self._calls[parcel.signal](
                parcel.payload,
                timeout=self._settings.timeout_seconds,
                metadata=[*own, *parcel.headers.items()],
            )
        except grpc.aio.AioRpcError as error:
            raise self._classified(error) from None
        try:
            result = receipt(parcel.signal, SHAPES[parcel.signal].response.FromString(answer))
        except DecodeError as error:
            msg = f"answered OK with {len(answer)} bytes that are no OTLP response"
            raise Permanent(msg) from error
        return Receipt(result.refused, self._settings.said(result.message))

    def _classified(self, error: grpc.aio.AioRpcError) -> Permanent | Retryable:
        code = error.code()
        message = f"answered {code.name}: {self._settings.said(error.details() or '')}"
        after = _retry_after(error)
        if code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and after is not None):
            return Retryable(message, after)
        return (Unacceptable if code in _UNACCEPTABLE else Permanent)(message)


def _metadata_value(name: str, value: SecretStr) -> str | bytes:
    text = value.get_secret_value()
    return text.encode() if name.endswith("-bin") else text


def _credentials(settings: OtlpGrpcSettings) -> grpc.ChannelCredentials:
    tls = settings.tls
    return grpc.ssl_channel_credentials(
        tls.ca_file.read_bytes() if tls.ca_file else None,
        tls.key_file.read_bytes() if tls.key_file else None,
        tls.cert_file.read_bytes() if tls.cert_file else None,
    )


def _retry_after(error: grpc.aio.AioRpcError) -> float | None:
    """The delay in seconds in the status' RetryInfo, if there is one."""
    for name, value in error.trailing_metadata() or ():
        if name != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.RetryInfo()
                if detail.Unpack(info):
                    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
        except DecodeError:  # a broken detail from outside is no detail
            return None
    return None
