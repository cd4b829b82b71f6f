"""Alertmanager's v2 API: every alert to every member of the cluster, never through a load balancer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx2
from prometheus_client import CollectorRegistry, Counter

from otel_llm_collector.contract import Notification

logger = logging.getLogger(__name__)

_BATCH = 256  # alerts in one request, as Prometheus sends them
_TIMEOUT_SECONDS = 5.0
_MAX_ERROR_CHARS = 200


class Alertmanager:
    """The `Notifier` for a list of Alertmanagers."""

    def __init__(self, urls: Sequence[str], registry: CollectorRegistry) -> None:
        self._urls = list(urls)
        self._client: httpx2.AsyncClient | None = None
        sent = "Alerts that an Alertmanager took."
        failed = "Alerts that an Alertmanager did not take; they are sent again."
        self._sent = Counter("otel_llm_notifications_sent", sent, ["target"], registry=registry)
        self._failed = Counter("otel_llm_notifications_failed", failed, ["target"], registry=registry)
        for url in self._urls:
            self._sent.labels(url)
            self._failed.labels(url)

    async def start(self) -> None:
        """Open the HTTP client."""
        self._client = httpx2.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False)

    async def shutdown(self) -> None:
        """Close it."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def notify(self, notifications: Sequence[Notification]) -> bool:
        """Post to every member; True when all of them took everything."""
        if self._client is None or not notifications:
            return self._client is not None
        batches = [notifications[start : start + _BATCH] for start in range(0, len(notifications), _BATCH)]
        results = await asyncio.gather(
            *(self._post(self._client, url, batch) for url in self._urls for batch in batches)
        )
        return all(results)

    async def _post(self, client: httpx2.AsyncClient, url: str, batch: Sequence[Notification]) -> bool:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                body = [_alert(notification) for notification in batch]
                async with client.stream("POST", f"{url}/api/v2/alerts", json=body) as response:
                    problem = "" if response.is_success else f"answered {response.status_code}"
        except (httpx2.HTTPError, TimeoutError, OSError) as error:
            problem = f"{type(error).__name__}: {str(error)[:_MAX_ERROR_CHARS]}"
        if problem:
            self._failed.labels(url).inc(len(batch))
            logger.warning("alertmanager %s: %d alerts not taken (%s); they are sent again", url, len(batch), problem)
            return False
        self._sent.labels(url).inc(len(batch))
        return True


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
