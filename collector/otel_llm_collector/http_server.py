"""One HTTP listener inside the collector's event loop: uvicorn with our sockets, our signals and no logging of its own.

Used by the OTLP/HTTP receiver and by the admin server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn

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
        max_connections: int = 1024,
    ) -> None:
        self._application = application
        self._endpoint = endpoint
        self._section = section
        self._tls = tls
        self._max_connections = max_connections
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
