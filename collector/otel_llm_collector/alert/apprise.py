"""Notifications without an Alertmanager: Slack, Discord, e-mail, PagerDuty, webhooks and about a hundred others.

    alerts:
      notify:
        chat:
          type: apprise
          urls: ["slack://…", "mailto://…"]      # apprise's own notation; secrets, never shown

Needs the extra `notify` (`pip install 'otel-llm[notify]'`). `grouping.py` says when a message is sent; each address is
told on its own.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr

from otel_llm_collector.alert.grouping import GroupingSettings, Message, Messenger
from otel_llm_collector.errors import Retryable


def _target(url: SecretStr) -> Any:
    """The address as apprise's own object, or None when apprise knows no such address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its plugins are imported here, and some are old
        try:
            library = importlib.import_module("apprise")
        except ImportError as error:
            msg = "needs the package apprise, which is not installed; pip install 'otel-llm[notify]'"
            raise ValueError(msg) from error
        target = library.Apprise()
        return target if target.add(url.get_secret_value()) else None


def _address(url: SecretStr) -> SecretStr:
    if _target(url) is None:
        msg = "is no address that apprise knows; write for example json://127.0.0.1:8080/hook"
        raise ValueError(msg)
    return url


class AppriseSettings(GroupingSettings):
    """Slack, Discord, e-mail, PagerDuty, Opsgenie, webhooks and many others, through the library apprise."""

    urls: list[Annotated[SecretStr, AfterValidator(_address)]] = Field(
        min_length=1, description="Addresses in apprise's notation."
    )


class Apprise:
    """The messenger for one address; see the module."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._target: Any = None

    async def start(self) -> None:
        """Read the address."""
        self._target = _target(self._url)

    async def shutdown(self) -> None:
        """Nothing is kept open."""
        self._target = None

    async def send(self, message: Message) -> None:
        """Send; raises `Retryable` when it was not taken."""
        kinds = {"critical": "failure", "warning": "warning"}
        kind = "success" if message.over else kinds.get(message.severity, "info")
        taken = self._target is not None and await self._target.async_notify(
            title=message.title, body=message.text, notify_type=kind, body_format="text"
        )
        if not taken:
            raise Retryable("apprise: the address did not take the message")


def messengers(settings: AppriseSettings) -> list[Messenger]:
    """One for each address, so that one that fails holds back no other and nobody is told twice."""
    return [Apprise(url) for url in settings.urls]
