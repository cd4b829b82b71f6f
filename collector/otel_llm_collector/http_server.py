"""One HTTP listener inside the collector's event loop: uvicorn with our sockets, our signals and no logging of its own.

Used by the OTLP/HTTP receiver and by the admin server. A connection that does not finish the head of a request in time,
or sends a head without end, is closed: it would hold its place, or memory, for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from otel_llm_collector import limits
from otel_llm_collector.access import ListenerTls
from otel_llm_collector.config_types import split_endpoint
from otel_llm_collector.errors import StartError


def bind(endpoint: str, option: str) -> socket.socket:
    """A listening socket on `endpoint`; port 0 takes a free one. Raises `StartError` naming `option`."""
    host, port = split_endpoint(endpoint)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartError(_cannot_listen(endpoint, option, error)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise StartError(_cannot_listen(endpoint, option, error)) from error
    listener.setblocking(False)
    return listener


def _cannot_listen(endpoint: str, option: str, error: OSError) -> str:
    _, port = split_endpoint(endpoint)
    if "in use" in str(error):
        return (
            f"{option}: port {port} is taken (seen: {endpoint}); stop what listens there or set {option} to a free port"
        )
    return f"{option}: cannot listen (seen: {endpoint}): {error}; set {option} to an address of this machine"


class HttpServer:
    """Serves one ASGI application on one endpoint until `shutdown`; `section` of the configuration says so."""

    def __init__(
        self,
        application: Any,
        endpoint: str,
        section: str,
        *,
        tls: ListenerTls | None = None,
        max_connections: int = limits.MAX_HTTP_CONNECTIONS,
        on_closed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._application = application
        self._endpoint = endpoint
        self._section = section
        self._tls = tls
        self._max_connections = max_connections
        self._on_closed = on_closed  # told why a connection was closed
        self._server: _Quiet | None = None
        self._task: asyncio.Task[None] | None = None
        self.address = endpoint  # host:port that is really listened on, once started

    async def start(self) -> None:
        """Listen; returns when requests are answered."""
        listener = bind(self._endpoint, f"{self._section}.endpoint")
        host, port = listener.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        config = uvicorn.Config(
            self._application,
            interface="asgi3",
            http=type("_Connection", (_Connection,), {"on_closed": staticmethod(self._on_closed)}),
            ws="none",
            proxy_headers=False,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
            backlog=1024,
            limit_concurrency=self._max_connections,
            **_uvicorn_tls(self._tls),
        )
        try:
            config.load()
        except OSError as error:  # ssl.SSLError is one
            listener.close()
            msg = f"{self._section}.tls: cannot be used ({error}); name a certificate and its key in PEM"
            raise StartError(msg) from error
        self._server = _Quiet(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise StartError(f"{self._section}: the HTTP server ended at once (seen: {self._endpoint})")
            await asyncio.sleep(0.005)

    async def shutdown(self) -> None:
        """Stop accepting, finish what is being answered (2 s at most)."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._server = self._task = None


def _uvicorn_tls(tls: ListenerTls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    found: dict[str, Any] = {"ssl_certfile": tls.cert_file, "ssl_keyfile": tls.key_file}
    if tls.client_ca_file is not None:
        found |= {"ssl_ca_certs": str(tls.client_ca_file), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return found


class _Quiet(uvicorn.Server):
    """uvicorn without its own signal handlers: the collector's `app` owns the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(HttpToolsProtocol):
    """uvicorn's connection with bounds on the head of each request, in seconds and in bytes."""

    on_closed: Callable[[str], None]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_timer: asyncio.TimerHandle | None = None  # runs while a head is awaited
        self._head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > limits.MAX_HEAD_BYTES:
            self._close("head_too_large")

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_is_there()
        super().on_headers_complete()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(limits.MAX_HEAD_SECONDS, self._close, "head_timeout")

    def _head_is_there(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close(self, reason: str) -> None:
        self._head_is_there()
        self.on_closed(reason)
        self.transport.abort()  # who sends so would not read an answer
