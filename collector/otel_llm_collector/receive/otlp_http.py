"""OTLP over HTTP: POST /v1/traces, /v1/metrics, /v1/logs with protobuf or JSON, plain, gzip, deflate or zstd.

Use it for browsers (`cors_origins`), for SDKs without gRPC (ours is one), and behind HTTP proxies. Errors are answered
as OTLP 1.11 prescribes: a `google.rpc.Status` in the encoding of the request, 503 with Retry-After when there is no
room.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from typing import Any

from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.middleware.cors import CORSMiddleware

from otel_llm_collector import limits
from otel_llm_collector.access import ListenerTls, is_allowed
from otel_llm_collector.config_types import Endpoint
from otel_llm_collector.contract import Intake, Reject, Signal
from otel_llm_collector.errors import CollectorError, MalformedRequest, Retryable, TooLarge
from otel_llm_collector.http_server import HttpServer
from otel_llm_collector.receive.decompress import ENCODINGS, decompress
from otel_llm_collector.receive.otlp import HTTP_PATHS, answer
from otel_llm_collector.receive.otlp_json import to_protobuf

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_TOO_SLOW = 408


class OtlpHttpConfig(BaseModel):
    """Where OTLP/HTTP is received, and how much at a time."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Endpoint = Field("127.0.0.1:4318", description="host:port to listen on; port 0 takes a free one.")
    max_request_bytes: int = Field(
        limits.MAX_REQUEST_BYTES, ge=1024, description="Largest body, before and after decompression."
    )
    tls: ListenerTls | None = Field(None, description="Listen with TLS; without when not given.")
    token: SecretStr | None = Field(
        None, min_length=8, description="Bearer token that senders have to show; anybody may send when not given."
    )
    cors_origins: list[str] = Field(
        default_factory=list, description="Pages that may send from a browser, such as https://app.example.com; *: any."
    )


class OtlpHttpReceiver:
    """The HTTP listener; `address` is where it listens once started."""

    def __init__(
        self, config: OtlpHttpConfig, intake: Intake, on_closed: Callable[[str], None] = lambda _: None
    ) -> None:
        self._intake = intake
        self._max_bytes = config.max_request_bytes
        self._token = config.token
        self._decoding = asyncio.Semaphore(limits.MAX_DECODED_AT_ONCE)
        application: Any = self._application
        if config.cors_origins:
            application = CORSMiddleware(
                application, allow_origins=config.cors_origins, allow_methods=["POST"], allow_headers=["*"]
            )
        self._server = HttpServer(
            application, config.endpoint, "receivers.otlp.http", tls=config.tls, on_closed=on_closed
        )

    @property
    def address(self) -> str:
        """host:port that is listened on."""
        return self._server.address

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def shutdown(self) -> None:
        """Stop listening; requests under way are answered."""
        await self._server.shutdown()

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        exchange = _Exchange(scope, receive, send)
        signal = HTTP_PATHS.get(scope["path"])
        if signal is None:
            paths = ", ".join(HTTP_PATHS)
            await exchange.refuse(404, f"path: is not served here (seen: {scope['path'][:100]!r}); send to {paths}")
            return
        error: Exception | None = None
        try:
            await self._export(exchange, signal)
        except _Disconnected as gone:
            error = gone  # nobody is left to answer
        except Exception as raised:  # the sender is answered whatever went wrong
            error = raised
            await exchange.fail(raised)
        self._intake.answered(signal, "http", error)
        error = None  # it holds this frame, and the frames below the request: a ring that only the collector would undo

    async def _export(self, exchange: _Exchange, signal: Signal) -> None:
        exchange.check(self._token)
        with ExitStack() as held:
            body = await exchange.body(self._max_bytes, self._intake, held)
            if len(body) < limits.INLINE_REQUEST_BYTES and exchange.encoding == "identity":
                request, unread = self._decode(exchange, signal, body)
                held.enter_context(self._intake.reserve(max(0, len(request) - len(body))))
            else:
                async with self._decoding:  # what a body becomes is known, and reserved, only afterwards
                    request, unread = await asyncio.to_thread(self._decode, exchange, signal, body)
                    held.enter_context(self._intake.reserve(max(0, len(request) - len(body))))
            del body
            rejects = await self._intake.accept(signal, request, transport="http", already_rejected=unread)
        await exchange.succeed(signal, rejects)

    def _decode(self, exchange: _Exchange, signal: Signal, body: bytes) -> tuple[bytes, list[Reject]]:
        plain = decompress(body, exchange.encoding, self._max_bytes)
        if exchange.media_type == _JSON:
            return to_protobuf(signal, plain)
        return plain, []


class _Disconnected(CollectorError):
    """The sender went away before its request was complete."""


class _Refused(CollectorError):
    """A request whose head already shows that it cannot be served."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class _Exchange:
    """One HTTP request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._more = True  # more of the body is still to come
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self._length = headers.get(b"content-length", "")
        self._authorization = headers.get(b"authorization", "")
        self._content_type = headers.get(b"content-type", "")
        self.media_type = self._content_type.partition(";")[0].strip().lower()
        self.encoding = headers.get(b"content-encoding", "identity").strip().lower() or "identity"

    def check(self, token: SecretStr | None) -> None:
        """Raise `_Refused` for what the head alone decides."""
        if not is_allowed(token, self._authorization):
            msg = "authorization: the bearer token is missing or wrong; send the one of receivers.otlp.http.token"
            raise _Refused(401, msg, {"www-authenticate": "Bearer"})
        method = self._scope["method"]
        if method != "POST":
            raise _Refused(405, f"method: is {method}; send POST", {"allow": "POST"})
        if self.media_type not in (_PROTOBUF, _JSON):
            msg = f"Content-Type: is not OTLP (seen: {self._content_type[:100]!r}); send {_PROTOBUF} or {_JSON}"
            raise _Refused(415, msg, {"accept": f"{_PROTOBUF}, {_JSON}"})
        if self.encoding not in ENCODINGS:
            known = ", ".join(ENCODINGS)
            msg = f"Content-Encoding: is unknown (seen: {self.encoding[:100]!r}); send one of {known}"
            raise _Refused(415, msg, {"accept-encoding": known})

    async def body(self, max_bytes: int, intake: Intake, held: ExitStack) -> bytes:
        """The whole body, its bytes reserved in `held` as they arrive.

        Raises `TooLarge`, `_Disconnected`, `_Refused` (408) when it takes too long, `Retryable` when there is no room.
        """
        if self._length.isdecimal() and int(self._length) > max_bytes:
            raise TooLarge(f"body: is {self._length} bytes, over the limit of {max_bytes}; send smaller requests")
        pieces: list[bytes] = []
        total = 0
        try:
            async with asyncio.timeout(limits.MAX_BODY_SECONDS):
                while self._more:
                    piece = await self._piece()
                    total += len(piece)
                    if total > max_bytes:
                        raise TooLarge(f"body: is over the limit of {max_bytes} bytes; send smaller requests")
                    held.enter_context(intake.reserve(len(piece)))
                    pieces.append(piece)
        except TimeoutError as error:
            seconds = limits.MAX_BODY_SECONDS
            msg = f"body: not complete after {seconds:.0f} s ({total} bytes seen); send it faster"
            raise _Refused(_TOO_SLOW, msg) from error
        return b"".join(pieces)

    async def _piece(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected("the sender went away")
        self._more = message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece

    async def succeed(self, signal: Signal, rejects: list[Reject]) -> None:
        """200 with the response message, partial success included."""
        response = answer(signal, rejects)
        if self.media_type == _JSON:
            await self._respond(200, json_format.MessageToJson(response, indent=None).encode(), {})
        else:
            await self._respond(200, response.SerializeToString(), {})

    async def fail(self, error: Exception) -> None:
        """The status that OTLP prescribes for `error`."""
        if isinstance(error, _Refused):
            await self.refuse(error.status, str(error), error.headers)
        elif isinstance(error, TooLarge):
            await self.refuse(413, str(error))
        elif isinstance(error, MalformedRequest):
            await self.refuse(400, str(error))
        elif isinstance(error, Retryable):
            await self.refuse(503, str(error), {"retry-after": str(max(1, round(error.after or 1)))})
        else:
            await self.refuse(500, "collector: failed on this request; the collector's own log says why")

    async def refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        """Answer with an error; what is left of the body is discarded first so that the sender sees the answer."""
        try:
            if status != _TOO_SLOW:  # there is nothing to wait for
                await self._discard()
        except (_Disconnected, TimeoutError):
            return
        status_message = status_pb2.Status(code=_GRPC_CODES.get(status, code_pb2.UNKNOWN), message=message)
        if self.media_type == _PROTOBUF:
            body = status_message.SerializeToString()
        else:
            body = json.dumps({"code": status_message.code, "message": message}).encode()
        await self._respond(status, body, headers or {})

    async def _discard(self) -> None:
        discarded = 0
        async with asyncio.timeout(limits.MAX_BODY_SECONDS):
            while self._more and discarded < limits.MAX_DISCARDED_BYTES:
                discarded += len(await self._piece())

    async def _respond(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        media_type = _PROTOBUF if self.media_type == _PROTOBUF else _JSON
        fields = {"content-type": media_type, "content-length": str(len(body)), **headers}
        if self._more:
            fields["connection"] = "close"
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})
        await self._send({"type": "http.response.body", "body": body})


_GRPC_CODES = {
    400: code_pb2.INVALID_ARGUMENT,
    401: code_pb2.UNAUTHENTICATED,
    404: code_pb2.NOT_FOUND,
    405: code_pb2.UNIMPLEMENTED,
    408: code_pb2.DEADLINE_EXCEEDED,
    413: code_pb2.RESOURCE_EXHAUSTED,
    415: code_pb2.INVALID_ARGUMENT,
    500: code_pb2.INTERNAL,
    503: code_pb2.UNAVAILABLE,
}
