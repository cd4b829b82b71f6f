"""What other services get of a session: W3C baggage, only the keys and only to the hosts that `configure` was given.

Imported where both are given: the propagation API looks through every installed package when it is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import baggage, propagate, trace
from opentelemetry import context as context_api
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from otel_llm_semconv import attributes as attr

from otel_llm.sessions import KEY, MAX_VALUE_CHARACTERS, attributes_of


class SessionPropagator(TextMapPropagator):
    """Carries chosen keys of the scope as baggage, to chosen hosts only.

    The host is read from the current span, which HTTP client instrumentations start before they write their headers. A
    host that is not known is not a chosen one.
    """

    def __init__(self, keys: Iterable[str], hosts: Iterable[str]) -> None:
        self._keys = tuple(keys)
        self._hosts = tuple(host.lower() for host in hosts)
        self._baggage = W3CBaggagePropagator()

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        context = context if context is not None else context_api.get_current()
        received = baggage.get_all(self._baggage.extract(carrier, context, getter))
        found = {key: str(received[key])[:MAX_VALUE_CHARACTERS] for key in self._keys if key in received}
        if attr.OTEL_LLM_TAGS in found:
            found[attr.OTEL_LLM_TAGS] = tuple(found[attr.OTEL_LLM_TAGS].split(","))  # type: ignore[assignment]
        return context_api.set_value(KEY, {**attributes_of(context), **found}, context) if found else context

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        context = context if context is not None else context_api.get_current()
        attributes = attributes_of(context)
        sent = [key for key in self._keys if key in attributes]
        if not sent or not self._is_chosen(_host_of(trace.get_current_span(context))):
            return
        for key in sent:
            value = attributes[key]
            context = baggage.set_baggage(key, ",".join(value) if isinstance(value, tuple) else str(value), context)
        self._baggage.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        return self._baggage.fields

    def _is_chosen(self, host: str | None) -> bool:
        return host is not None and any(fnmatchcase(host.lower(), pattern) for pattern in self._hosts)


def _host_of(span: trace.Span) -> str | None:
    """The host that a client span is about to call."""
    attributes: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    host = attributes.get(attr.SERVER_ADDRESS) or attributes.get(_OLD_HOST)
    if host is None:
        url = next((attributes[key] for key in _URLS if key in attributes), None)
        host = urlsplit(str(url)).hostname if url else None
    return None if host is None else str(host)


_OLD_HOST = "net.peer.name"  # instrumentations before the stable HTTP conventions
_URLS = (attr.URL_FULL, "http.url")


def propagate_sessions(keys: Iterable[str], hosts: Iterable[str]) -> None:
    """Add the propagator to the program's own."""
    propagate.set_global_textmap(CompositePropagator([propagate.get_global_textmap(), SessionPropagator(keys, hosts)]))
