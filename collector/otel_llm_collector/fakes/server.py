"""What the stand-ins share: an HTTP server that answers by a method, and refuses by an exception."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import cramjam
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.testing import read_request, write_response


class Refused(Exception):
    """The answer to a request that the original would refuse."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Request:
    """One request as it came, its body decompressed."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def document(self) -> Any:
        """The body as JSON."""
        if self.headers.get("content-type", "").split(";")[0] != "application/json":
            raise Refused(415, "send application/json")
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Refused(400, f"not JSON: {error}") from error


class FakeServer:
    """An HTTP server on 127.0.0.1 that answers by `answer`."""

    address: str = ""
    encodings: frozenset[str] = frozenset({"gzip"})  # of requests, besides none

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    def answer(self, request: Request) -> tuple[int, Any]:
        """Status and JSON document (None: no body) for a request, or `Refused`."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None  # noqa: S101 - entered before
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await self._server.wait_closed()

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until `condition` holds; `TimeoutError` when it does not within `seconds`."""
        async with asyncio.timeout(seconds):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.01)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                request = Request(*await read_request(reader))
                try:
                    request.body = _decompressed(request, self.encodings)
                    self.requests.append(request)
                    status, document = self.answer(request)
                except Refused as refused:
                    status, document = refused.status, {"code": refused.status, "message": str(refused)}
                body = b"" if document is None else json.dumps(document).encode()
                await write_response(writer, status, {"content-type": "application/json"} if body else {}, body)
        except (ConnectionError, asyncio.IncompleteReadError):
            self._connections.discard(writer)
            writer.close()


def _decompressed(request: Request, encodings: frozenset[str]) -> bytes:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding == "identity":
        return request.body
    if encoding not in encodings:
        raise Refused(415, f"content encoding {encoding}")
    if encoding == "zstd":
        return bytes(cramjam.zstd.decompress(request.body))
    return gzip.decompress(request.body) if encoding == "gzip" else zlib.decompress(request.body)


def otlp_spans(request: Request) -> list[Any]:
    """The spans of an OTLP request in protobuf."""
    if request.headers.get("content-type") != "application/x-protobuf":
        raise Refused(415, "send application/x-protobuf")
    try:
        message = ExportTraceServiceRequest.FromString(request.body)
    except DecodeError as error:
        raise Refused(400, "not an OTLP request") from error
    return [span for level in message.resource_spans for scope in level.scope_spans for span in scope.spans]
