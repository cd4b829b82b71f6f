"""The admin port: /metrics, health for probes, and queries and alerts as Prometheus answers them.

`/live` says that the process answers; `/ready` that it accepts telemetry (503 while starting and stopping); `/health`
is both for people and simple probes; `/health/detailed` lists every component, `/config` what runs, without secrets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from otel_llm_collector import shipped
from otel_llm_collector._version import __version__
from otel_llm_collector.access import ListenerTls
from otel_llm_collector.config_types import Endpoint
from otel_llm_collector.http_server import HttpServer
from otel_llm_collector.serve.actions import Actions
from otel_llm_collector.serve.prometheus_api import PrometheusApi


class ServerConfig(BaseModel):
    """Where the admin port listens."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Endpoint = Field("127.0.0.1:8889", description="host:port to listen on; port 0 takes a free one.")
    tls: ListenerTls | None = Field(None, description="Serve with TLS; without when not given.")
    token: SecretStr | None = Field(
        None, min_length=8, description="Bearer token for reload and silences; without one only this machine may."
    )


class AlertView(Protocol):
    """What the admin port shows of alerting: the `data` objects of Prometheus' /api/v1/alerts and /api/v1/rules."""

    def alerts(self) -> dict[str, Any]: ...
    def rules(self) -> dict[str, Any]: ...


class AdminServer:
    """Serves the admin port; `ready` is false until the collector accepts telemetry and again while it stops."""

    def __init__(
        self,
        config: ServerConfig,
        expose: Callable[[str], tuple[bytes, str]],
        alerts: AlertView,
        details: Callable[[], dict[str, Any]],
        running: Callable[[], dict[str, Any]],
        queries: PrometheusApi,
        actions: Actions,
        on_closed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._queries = queries
        self._expose = expose
        self._alerts = alerts
        self._details = details
        self._running = running
        self.ready = False
        routes = {
            "/metrics": self._metrics,
            "/health": self._health,
            "/health/detailed": self._health_detailed,
            "/config": self._config,
            "/ready": self._ready,
            "/live": self._live,
            "/api/v1/alerts": self._api_alerts,
            "/api/v1/rules": self._api_rules,
            "/docs/runbooks/{name}": self._runbook,
        }
        own = [Route(path, handler, methods=["GET"]) for path, handler in routes.items()]
        self.scheme = "https" if config.tls else "http"
        application = Starlette(routes=[*own, *queries.routes(), *actions.routes()])
        self._server = HttpServer(application, config.endpoint, "server", tls=config.tls, on_closed=on_closed)

    @property
    def address(self) -> str:
        """host:port that is listened on."""
        return self._server.address

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def shutdown(self) -> None:
        """Stop listening."""
        self.ready = False
        await self._server.shutdown()
        self._queries.close()

    async def _metrics(self, request: Request) -> Response:
        body, content_type = self._expose(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, _: Request) -> Response:
        return JSONResponse({"status": self._status()}, status_code=200 if self.ready else 503)

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": self._status(), "version": __version__}, status_code=200 if self.ready else 503)

    async def _health_detailed(self, _: Request) -> Response:
        details = {"status": self._status(), "version": __version__, **self._details()}
        return JSONResponse(details, status_code=200 if self.ready else 503)

    async def _runbook(self, request: Request) -> Response:
        page = shipped.runbook(request.path_params["name"])
        return PlainTextResponse("no such runbook" if page is None else page, status_code=404 if page is None else 200)

    async def _config(self, _: Request) -> Response:
        return JSONResponse(self._running())

    async def _api_alerts(self, _: Request) -> Response:
        return JSONResponse({"status": "success", "data": self._alerts.alerts()})

    async def _api_rules(self, _: Request) -> Response:
        return JSONResponse({"status": "success", "data": self._alerts.rules()})

    def _status(self) -> str:
        return "ok" if self.ready else "starting or stopping"
