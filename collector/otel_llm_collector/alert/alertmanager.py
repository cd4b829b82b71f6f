"""One Alertmanager by its v2 API. Every member of a cluster is told by a notifier of its own, never a load balancer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx2

from otel_llm_collector.contract import Notification
from otel_llm_collector.errors import Retryable
from otel_llm_collector.masking import without_credentials

_BATCH = 256  # alerts in one request, as Prometheus sends them
_TIMEOUT_SECONDS = 5.0


class Alertmanager:
    """The `Notifier` for the Alertmanager at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.name = without_credentials(url)
        self._client: httpx2.AsyncClient | None = None

    async def start(self) -> None:
        """Open the HTTP client."""
        self._client = httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False)

    async def shutdown(self) -> None:
        """Close it."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def notify(self, notifications: Sequence[Notification]) -> None:
        """Post everything; raises `Retryable` when something was not taken."""
        if self._client is None:
            raise Retryable(f"{self.name}: is not started; start it")
        for start in range(0, len(notifications), _BATCH):
            await self._post(self._client, notifications[start : start + _BATCH])

    async def _post(self, client: httpx2.AsyncClient, batch: Sequence[Notification]) -> None:
        body = [_alert(notification) for notification in batch]
        try:
            async with (
                asyncio.timeout(_TIMEOUT_SECONDS),
                client.stream("POST", f"{self._url}/api/v2/alerts", json=body) as response,
            ):
                if not response.is_success:
                    raise Retryable(f"{self.name}: answered {response.status_code}")
        except (httpx2.HTTPError, TimeoutError, OSError) as error:
            raise Retryable(f"{self.name}: {type(error).__name__}: {without_credentials(str(error))}") from None


def _alert(notification: Notification) -> dict[str, object]:
    return {
        "labels": notification.labels,
        "annotations": notification.annotations,
        "startsAt": _rfc3339(notification.starts_at),
        "endsAt": _rfc3339(notification.ends_at),
        "generatorURL": notification.generator_url,
    }


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
