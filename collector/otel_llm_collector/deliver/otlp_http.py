"""OTLP over HTTP (protobuf) to any backend; the signal's path is appended to the endpoint.

Delivery: at least once. 429, 502, 503 and 504 are tried again, after `Retry-After` where the backend gives it;
other errors are final. What a backend answers is read up to 4 MiB and not further.
"""

from __future__ import annotations

import asyncio
import gzip
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal

import httpx2
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from pydantic import AfterValidator, Field

from otel_llm_collector._version import __version__
from otel_llm_collector.contract import Parcel, Receipt
from otel_llm_collector.deliver.chain import aside
from otel_llm_collector.deliver.otlp import SHAPES, receipt
from otel_llm_collector.deliver.settings import Compression, DestinationSettings, TlsSettings
from otel_llm_collector.errors import Permanent, Retryable, Unacceptable
from otel_llm_collector.limits import MAX_RESPONSE_BYTES

_RETRYABLE = frozenset({429, 502, 503, 504})
_UNACCEPTABLE = frozenset({400, 413, 422, 500})  # about what the request holds; 500 is how many say it
_MAX_ERROR_BYTES = 64 * 1024


def _url(value: str) -> str:
    try:
        url = httpx2.URL(value)
    except (httpx2.InvalidURL, ValueError):
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not url.host or not value.isprintable() or " " in value:
        msg = "is not a URL; write for example http://127.0.0.1:4318"
        raise ValueError(msg)
    return value.rstrip("/")


class OtlpHttpSettings(DestinationSettings):
    """OTLP over HTTP."""

    type: Literal["otlp_http"] = Field(description="otlp_http")
    endpoint: Annotated[str, AfterValidator(_url)] = Field(
        description="Base URL of the backend, for example http://127.0.0.1:4318; /v1/traces and so on is appended."
    )


class OtlpHttp:
    """The destination."""

    def __init__(self, settings: OtlpHttpSettings) -> None:
        self._settings = settings
        self._client: httpx2.AsyncClient | None = None

    async def start(self) -> None:
        """Open the client; it connects when it sends."""
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        headers |= {
            "content-type": "application/x-protobuf",
            "accept-encoding": "identity",
            "user-agent": f"otel-llm-collector/{__version__}",
        }
        if self._settings.compression is Compression.GZIP:
            headers["content-encoding"] = "gzip"
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=self._settings.timeout_seconds,
            verify=_context(self._settings.tls) if self._settings.endpoint.startswith("https") else True,
            limits=httpx2.Limits(max_connections=self._settings.max_in_flight),
            trust_env=False,
        )

    async def shutdown(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def send(self, parcel: Parcel) -> Receipt:
        """Send one request; see `contract.Destination`."""
        body = parcel.payload
        if self._settings.compression is Compression.GZIP:
            body = await aside(body, lambda: gzip.compress(parcel.payload, compresslevel=1))
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                response, answer = await self._post(f"{self._settings.endpoint}/v1/{parcel.signal}", body)
        except TimeoutError:
            msg = f"no whole answer within {self._settings.timeout_seconds:g} s"
            raise Retryable(msg) from None
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            msg = f"{type(error).__name__}: {self._settings.said(str(error))}"
            raise Retryable(msg) from None
        if response.is_success:
            return self._receipt(parcel, response, answer)
        message = f"answered {response.status_code}: {self._settings.said(answer)}"
        if response.status_code in _RETRYABLE:
            raise Retryable(message, retry_after(response.headers.get("retry-after"), lambda: datetime.now(UTC)))
        raise (Unacceptable if response.status_code in _UNACCEPTABLE else Permanent)(message)

    async def _post(self, url: str, body: bytes) -> tuple[httpx2.Response, bytes]:
        assert self._client is not None  # noqa: S101 - start comes first, by contract
        name = self._settings.tls.server_name
        extensions = {"sni_hostname": name} if name else None
        async with self._client.stream("POST", url, content=body, extensions=extensions) as response:
            limit = MAX_RESPONSE_BYTES if response.is_success else _MAX_ERROR_BYTES
            answer = bytearray()
            async for piece in response.aiter_raw():  # raw: nobody asked for compression, which could unfold to more
                answer += piece[: limit - len(answer)]
                if len(answer) >= limit:
                    break
            return response, bytes(answer)

    def _receipt(self, parcel: Parcel, response: httpx2.Response, answer: bytes) -> Receipt:
        """What a 2xx says. An empty body is success; one that cannot be read is no proof of it."""
        if not answer:
            return Receipt()
        message = SHAPES[parcel.signal].response()
        try:
            if response.headers.get("content-type", "").startswith("application/json"):
                json_format.Parse(answer, message, ignore_unknown_fields=True)
            else:
                message.ParseFromString(answer)
        except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
            msg = f"answered {response.status_code} with {len(answer)} bytes that are no OTLP response"
            raise Permanent(msg) from error
        result = receipt(parcel.signal, message)
        return Receipt(result.refused, self._settings.said(result.message))


def retry_after(value: str | None, now: Callable[[], datetime]) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number or an HTTP date. None when it says neither."""
    if value is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now().timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, seconds)


def _context(tls: TlsSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file else None)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context
