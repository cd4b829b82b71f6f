"""Test doubles for everybody: strict OTLP sinks over real sockets that remember, and that fail as they are told.

    async with HttpSink() as sink:
        sink.script += [Fail(429, retry_after="1"), Partial(2, "no room")]
        ...                                     # send to f"http://{sink.address}"
        assert [len(taken.spans()) for taken in sink.taken] == [3]

A sink refuses what OTLP says a server refuses: another path (404), method (405), content type (415), encoding or bytes
that are no such request (400). What it takes is in `taken`; every request that reached it, taken or not, in `seen`.
Each request consumes the next entry of `script`; with an empty script it gets `otherwise`, which takes everything.
Not for production: nothing here bounds memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import zlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import cramjam
import grpc
from google.protobuf import any_pb2, duration_pb2, json_format
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from otel_llm_collector.contract import Signal
from otel_llm_collector.deliver.otlp import SHAPES, count, walk


@dataclass(frozen=True, slots=True)
class Take:
    """Take the request."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer with an error: an HTTP status or a gRPC code, and when to come back (`Retry-After`, or RetryInfo)."""

    code: int | grpc.StatusCode
    message: str = ""
    retry_after: str | float | None = None  # HTTP: the header as it stands; gRPC: seconds
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Partial:
    """Take the request and say that `refused` items of it were refused."""

    refused: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse a whole request (400, INVALID_ARGUMENT) when it holds an item that `bad` says is; take others."""

    bad: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Answer:
    """Succeed with these bytes as the body."""

    body: bytes
    content_type: str = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class Hang:
    """Answer nothing until the sink is closed."""


@dataclass(frozen=True, slots=True)
class Reset:
    """HTTP: promise an answer, send part of it and reset the connection."""


@dataclass(frozen=True, slots=True)
class Drip:
    """HTTP: answer one byte of an endless body every `seconds`."""

    seconds: float = 0.05


Behaviour = Take | Fail | Partial | Refuse | Answer | Hang | Reset | Drip


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that a sink took."""

    signal: Signal
    request: Any  # the decoded Export*ServiceRequest
    headers: dict[str, str]
    size: int  # bytes before decompression (HTTP) or of the message (gRPC)

    def items(self) -> list[Any]:
        """Its spans, metrics or log records."""
        return _items(self.signal, self.request)

    def spans(self) -> list[Any]:
        """Its spans; none when it is no trace request."""
        return self.items() if self.signal is Signal.TRACES else []


def _items(signal: Signal, request: Any) -> list[Any]:
    return [item for _, _, item in walk(request, SHAPES[signal])]


@dataclass(slots=True)
class Sink:
    """What both sinks share. `port` 0 takes a free one; `address` is host:port once entered."""

    port: int = 0
    tls: Any = None  # HTTP: an ssl.SSLContext of a server; gRPC: grpc.ServerCredentials
    script: deque[Behaviour] = field(default_factory=deque)
    otherwise: Behaviour = field(default_factory=Take)
    taken: list[Taken] = field(default_factory=list)
    seen: int = 0
    address: str = ""
    _closed: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, signal: Signal) -> int:
        """Items of `signal` taken so far, counted as the counters do."""
        return sum(count(signal, item) for taken in self.taken if taken.signal is signal for item in taken.items())

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until `condition` holds; `TimeoutError` when it does not within `seconds`."""
        async with asyncio.timeout(seconds):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.01)

    def _next(self) -> Behaviour:
        self.seen += 1
        return self.script.popleft() if self.script else self.otherwise

    def _response(self, signal: Signal, behaviour: Behaviour) -> Any:
        response: Any = SHAPES[signal].response()
        if isinstance(behaviour, Partial):
            setattr(response.partial_success, SHAPES[signal].rejected, behaviour.refused)
            response.partial_success.error_message = behaviour.message
        return response


class GrpcSink(Sink):
    """An OTLP/gRPC server on 127.0.0.1."""

    _server: Any = None

    async def __aenter__(self) -> Self:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
        for signal, shape in SHAPES.items():
            handler = grpc.unary_unary_rpc_method_handler(self._export(signal))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(shape.service, {"Export": handler}),))
        address = f"127.0.0.1:{self.port}"
        self.port = server.add_secure_port(address, self.tls) if self.tls else server.add_insecure_port(address)
        self.address = f"127.0.0.1:{self.port}"
        await server.start()
        self._server = server
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed.set()
        await self._server.stop(grace=None)

    def _export(self, signal: Signal) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def export(body: bytes, context: Any) -> bytes:
            behaviour = self._next()
            if isinstance(behaviour, Hang):
                await self._closed.wait()
            if isinstance(behaviour, Fail):
                await _abort(context, behaviour)
            if isinstance(behaviour, Answer):
                return behaviour.body
            try:
                request = SHAPES[signal].request.FromString(body)
            except DecodeError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no OTLP request: {error}")
            if isinstance(behaviour, Refuse) and any(map(behaviour.bad, _items(signal, request))):
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "an item is bad")
            headers = {name: str(value) for name, value in context.invocation_metadata()}
            self.taken.append(Taken(signal, request, headers, len(body)))
            answer: bytes = self._response(signal, behaviour).SerializeToString()
            return answer

        return export


async def _abort(context: Any, behaviour: Fail) -> None:
    trailing: tuple[tuple[str, bytes], ...] = ()
    assert isinstance(behaviour.code, grpc.StatusCode)  # noqa: S101 - an HTTP status in a gRPC script is a test's slip
    if behaviour.retry_after is not None:
        after = float(behaviour.retry_after)
        delay = duration_pb2.Duration(seconds=int(after), nanos=int(after % 1 * 1e9))
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        status = status_pb2.Status(code=behaviour.code.value[0], message=behaviour.message, details=[detail])
        trailing = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(behaviour.code, behaviour.message, trailing)


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HttpSink(Sink):
    """An OTLP/HTTP server on 127.0.0.1: protobuf and JSON; gzip, deflate and zstd. `connections` were opened so far."""

    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter]
    connections = 0

    async def __aenter__(self) -> Self:
        self._connections = set()
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed.set()
        assert self._server is not None  # noqa: S101 - entered before
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                method, path, headers, body = await read_request(reader)
                if not await self._respond(writer, method, path, headers, body):
                    break
        self._connections.discard(writer)
        writer.close()

    async def _respond(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> bool:
        """Answer one request; False when the connection is over."""
        behaviour = self._next()
        if isinstance(behaviour, Hang):
            await self._closed.wait()
            return False
        if isinstance(behaviour, Reset):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
            await writer.drain()
            writer.transport.abort()
            return False
        if isinstance(behaviour, Drip):
            await self._drip(writer, behaviour.seconds)
            return False
        await write_response(writer, *self._answer(behaviour, method, path, headers, body))
        return True

    def _answer(
        self, behaviour: Behaviour, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if isinstance(behaviour, Fail):
            assert isinstance(behaviour.code, int)  # noqa: S101 - a gRPC code in an HTTP script is a test's slip
            more = dict(behaviour.headers)
            if behaviour.retry_after is not None:
                more["retry-after"] = str(behaviour.retry_after)
            return behaviour.code, more, behaviour.message.encode()
        if isinstance(behaviour, Answer):
            return 200, {"content-type": behaviour.content_type}, behaviour.body
        try:
            signal, request = _decode(method, path, headers, body)
        except _Refused as refused:
            return refused.status, {"content-type": "text/plain"}, str(refused).encode()
        if isinstance(behaviour, Refuse) and any(map(behaviour.bad, _items(signal, request))):
            return 400, {"content-type": "text/plain"}, b"an item is bad"
        self.taken.append(Taken(signal, request, headers, len(body)))
        response = self._response(signal, behaviour)
        if headers["content-type"].startswith("application/json"):
            return 200, {"content-type": "application/json"}, json_format.MessageToJson(response).encode()
        return 200, {"content-type": "application/x-protobuf"}, response.SerializeToString()

    async def _drip(self, writer: asyncio.StreamWriter, seconds: float) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000000\r\n\r\n")
        while not self._closed.is_set():
            writer.write(b"\n")
            await writer.drain()
            await asyncio.sleep(seconds)


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers in lower case and body of the next request on a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return method, path, headers, b"".join([chunk async for chunk in _chunks(reader)])
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readuntil(b"\r\n")) != b"\r\n":
        pass


_UNDECODABLE = (
    OSError,
    EOFError,
    zlib.error,
    cramjam.DecompressionError,
    DecodeError,
    json_format.ParseError,
    UnicodeDecodeError,
)


def _decode(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[Signal, Any]:
    """The signal and the decoded request, or `_Refused` with the status that OTLP/HTTP prescribes."""
    signals = {f"/v1/{signal}": signal for signal in Signal}
    if path not in signals:
        raise _Refused(404, f"no such path: {path}")
    if method != "POST":
        raise _Refused(405, f"{method} is not POST")
    content_type = headers.get("content-type", "").split(";")[0].strip()
    if content_type not in ("application/x-protobuf", "application/json"):
        raise _Refused(415, f"content type {content_type!r} is neither protobuf nor JSON")
    request = SHAPES[signals[path]].request()
    try:
        body = _decompressed(headers.get("content-encoding", "identity"), body)
        if content_type == "application/json":
            json_format.Parse(body, request)
        else:
            request.ParseFromString(body)
    except _UNDECODABLE as error:
        raise _Refused(400, f"cannot be decoded: {error}") from error
    return signals[path], request


def _decompressed(encoding: str, body: bytes) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    if encoding == "zstd":
        return bytes(cramjam.zstd.decompress(body))
    if encoding != "identity":
        raise _Refused(415, f"content encoding {encoding!r} is not known here")
    return body


async def write_response(writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes) -> None:
    """Answer a request."""
    lines = [f"HTTP/1.1 {status} -", f"content-length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    await writer.drain()
