"""What changes something at the admin port: reload what alerting is made of, silence alerts.

With `server.token` these ask for it as a bearer token. Without one they answer programs on this machine only, and no
browser: a request that carries an `Origin` comes from some page.
"""

from __future__ import annotations

import ipaddress
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from otel_llm_collector.access import is_allowed

_MAX_BODY_BYTES = 64 * 1024


class Silencing(Protocol):
    """The silences; `add` takes one as Alertmanager's API v2 writes it and raises `ValueError` when it is wrong."""

    def add(self, body: Any, identifier: str, now: float) -> str: ...
    def end(self, identifier: str) -> bool: ...
    def shown(self, now: float) -> list[dict[str, Any]]: ...


class Actions:
    """The routes; `reload` reads the configuration anew and returns what is wrong with it, and what needs a restart."""

    def __init__(
        self,
        token: SecretStr | None,
        reload: Callable[[], tuple[Sequence[str], Sequence[str]]],
        silences: Silencing,
        clock: Callable[[], float],
    ) -> None:
        self._token = token
        self._reload = reload
        self._silences = silences
        self._clock = clock

    def routes(self) -> list[Route]:
        """The routes, for the admin server."""
        return [
            Route("/-/reload", self._post_reload, methods=["POST", "PUT"]),
            Route("/api/v2/silences", self._get_silences, methods=["GET"]),
            Route("/api/v2/silences", self._post_silence, methods=["POST"]),
            Route("/api/v2/silence/{identifier}", self._delete_silence, methods=["DELETE"]),
        ]

    def _refusal(self, request: Request) -> Response | None:
        if self._token is not None:
            if is_allowed(self._token, request.headers.get("authorization", "")):
                return None
            return _error(401, "the bearer token is missing or wrong; send the one of server.token")
        if "origin" in request.headers:
            return _error(403, "this comes from a page in a browser; use a program, or set server.token")
        if request.client is None or not _is_loopback(request.client.host):
            return _error(403, "this comes from another machine; set server.token and send it")
        return None

    async def _post_reload(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        problems, restart = await run_in_threadpool(self._reload)
        if problems:
            return _error(400, "everything is as before: " + "\n".join(problems))
        return JSONResponse({"status": "success", "needs_restart": restart})

    async def _get_silences(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse(self._silences.shown(self._clock()))

    async def _post_silence(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_BODY_BYTES:
                return _error(413, f"the body is larger than {_MAX_BODY_BYTES} bytes; send less")
        try:
            identifier = self._silences.add(json.loads(body), str(uuid.uuid4()), self._clock())
        except (ValueError, RecursionError) as error:
            return _error(400, str(error))
        return JSONResponse({"silenceID": identifier})

    async def _delete_silence(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if not self._silences.end(request.path_params["identifier"]):
            return _error(404, "there is no silence of that id; GET /api/v2/silences lists them")
        return JSONResponse({})


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"status": "error", "error": sentence}, status_code=status)
