"""OTLP over gRPC: the three Export services, on raw bytes.

Use it for everything that speaks gRPC; gzip is undone by gRPC itself, bounded by the message limit. Errors are the
codes that OTLP 1.11 prescribes: INVALID_ARGUMENT, UNAUTHENTICATED, RESOURCE_EXHAUSTED, and UNAVAILABLE with RetryInfo
when there is no room.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from otel_llm_collector import limits
from otel_llm_collector.access import ListenerTls, is_allowed
from otel_llm_collector.config_types import Endpoint, split_endpoint
from otel_llm_collector.contract import Intake, Signal
from otel_llm_collector.errors import MalformedRequest, NotAllowed, Retryable, StartError, TooLarge
from otel_llm_collector.http_server import bind
from otel_llm_collector.receive.otlp import GRPC_SERVICES, answer

_OPTION = "receivers.otlp.grpc.endpoint"


class OtlpGrpcConfig(BaseModel):
    """Where OTLP/gRPC is received, and how much at a time."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Endpoint = Field("127.0.0.1:4317", description="host:port to listen on; port 0 takes a free one.")
    max_request_bytes: int = Field(
        limits.MAX_REQUEST_BYTES, ge=1024, description="Largest message, before and after decompression."
    )
    tls: ListenerTls | None = Field(None, description="Listen with TLS; without when not given.")
    token: SecretStr | None = Field(
        None, min_length=8, description="Bearer token that senders have to show; anybody may send when not given."
    )


class OtlpGrpcReceiver:
    """The gRPC listener; `address` is where it listens once started."""

    def __init__(self, config: OtlpGrpcConfig, intake: Intake) -> None:
        self._config = config
        self._intake = intake
        self._server: grpc.aio.Server | None = None
        self.address = config.endpoint

    async def start(self) -> None:
        """Listen."""
        bind(self._config.endpoint, _OPTION).close()  # gRPC's own error does not say that the port is taken
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self._config.max_request_bytes),
                ("grpc.so_reuseport", 0),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
            maximum_concurrent_rpcs=limits.MAX_CONCURRENT_CALLS,
            interceptors=[_Door(self._config.token, self._intake)] if self._config.token else None,
        )
        for signal, service in GRPC_SERVICES.items():
            handler = grpc.unary_unary_rpc_method_handler(self._export(signal))  # no deserializer: bytes in, bytes out
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        try:
            port = _listen(server, self._config)
        except RuntimeError as error:
            msg = f"{_OPTION}: cannot listen (seen: {self._config.endpoint}): {error}; set {_OPTION} to a free port"
            raise StartError(msg) from error
        await server.start()
        host, _ = split_endpoint(self._config.endpoint)
        self.address = f"{host}:{port}"
        self._server = server

    async def shutdown(self) -> None:
        """Stop listening; calls under way get two seconds."""
        if self._server is not None:
            await self._server.stop(grace=2.0)
            self._server = None

    def _export(self, signal: Signal) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def export(request: bytes, context: Any) -> bytes:
            error: Exception | None = None
            try:
                with self._intake.reserve(len(request)):
                    rejects = await self._intake.accept(signal, request, transport="grpc")
            except Exception as raised:  # the sender is answered whatever went wrong
                error = raised
            self._intake.answered(signal, "grpc", error)
            try:
                if error is not None:
                    await _abort(context, error)
            finally:
                error = None  # it holds this frame: a ring with the request in it, which only the collector would undo
            return answer(signal, rejects).SerializeToString()

        return export


def _listen(server: grpc.aio.Server, config: OtlpGrpcConfig) -> int:
    if config.tls is None:
        return int(server.add_insecure_port(config.endpoint))
    ca_file = config.tls.client_ca_file
    try:
        pair = (config.tls.key_file.read_bytes(), config.tls.cert_file.read_bytes())
        authorities = ca_file.read_bytes() if ca_file else None
    except OSError as error:
        msg = f"receivers.otlp.grpc.tls: cannot be used ({error}); name a certificate and its key in PEM"
        raise StartError(msg) from error
    credentials = grpc.ssl_server_credentials([pair], authorities, require_client_auth=ca_file is not None)
    return int(server.add_secure_port(config.endpoint, credentials))


class _Door(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpcio comes without types
    """Lets in who shows the token; the others are answered before their request is read."""

    def __init__(self, token: SecretStr, intake: Intake) -> None:
        self._token = token
        self._intake = intake
        self._signals = {f"/{service}/Export": signal for signal, service in GRPC_SERVICES.items()}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        metadata = dict(handler_call_details.invocation_metadata)
        signal = self._signals.get(handler_call_details.method)
        if signal is None or is_allowed(self._token, str(metadata.get("authorization", ""))):
            return await continuation(handler_call_details)

        async def refuse(_: bytes, context: Any) -> None:
            error = NotAllowed(
                "authorization: the bearer token is missing or wrong; send the one of receivers.otlp.grpc.token"
            )
            self._intake.answered(signal, "grpc", error)
            await _abort(context, error)

        return grpc.unary_unary_rpc_method_handler(refuse)


async def _abort(context: Any, error: Exception) -> None:
    if isinstance(error, MalformedRequest):
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    if isinstance(error, NotAllowed):
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
    if isinstance(error, TooLarge):
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
    if isinstance(error, Retryable):
        details = _retry_details(str(error), error.after or 1.0)
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error), (("grpc-status-details-bin", details),))
    await context.abort(grpc.StatusCode.INTERNAL, "collector: failed on this request; the collector's own log says why")


def _retry_details(message: str, after: float) -> bytes:
    delay = duration_pb2.Duration(seconds=int(after), nanos=int(after % 1 * 1e9))
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message=message, details=[packed])
    encoded: bytes = status.SerializeToString()
    return encoded
