"""HTTP to a backend: bounded in time and in what is read of an answer, which becomes `Permanent` or `Retryable`.

429, 502, 503 and 504 may pass, after `Retry-After` where the backend gives it, and so may whatever happens to the
connection; other refusals are final. What a backend answers is read up to 4 MiB and not further; redirects are not
followed, proxies of the environment not used.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Annotated, Any

import cramjam
import httpx2
from pydantic import AfterValidator

from otel_llm_collector._version import __version__
from otel_llm_collector.deliver.aside import aside
from otel_llm_collector.deliver.settings import Compression, NetworkSettings, TlsSettings
from otel_llm_collector.errors import NotYet, Permanent, Retryable, Unacceptable
from otel_llm_collector.limits import MAX_RESPONSE_BYTES

_RETRYABLE = frozenset({429, 502, 503, 504})
_UNACCEPTABLE = frozenset({400, 413, 422, 500})  # about what the request holds; 500 is how many say it
_KEEP_ALIVE_SECONDS = 30.0  # less than most servers; a connection that was closed meanwhile is noticed before its use
_MAX_ERROR_BYTES = 64 * 1024


def _url(value: str) -> str:
    try:
        url = httpx2.URL(value)
    except (httpx2.InvalidURL, ValueError):
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not url.host or not value.isprintable() or " " in value:
        msg = "is not a URL; write for example http://127.0.0.1:4318"
        raise ValueError(msg)
    if url.userinfo:
        msg = "holds a name or password; put them into headers, where they stay secret"
        raise ValueError(msg)
    return value.rstrip("/")


# http:// or https://, without a slash at the end
Url = Annotated[str, AfterValidator(_url)]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend answered to a request that it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class HttpClient:
    """The connections of one destination; `headers` go with each request unless its settings name others."""

    def __init__(self, settings: NetworkSettings, endpoint: str, headers: Mapping[str, str] | None = None) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._headers = {
            **(headers or {}),
            **{name: value.get_secret_value() for name, value in settings.headers.items()},
            "accept-encoding": "identity",
            "user-agent": f"otel-llm-collector/{__version__}",
        }
        self._client: httpx2.AsyncClient | None = None

    async def start(self) -> None:
        """Open the client; it connects when it sends."""
        self._client = httpx2.AsyncClient(
            headers=self._headers,
            timeout=self._settings.timeout_seconds,
            verify=_context(self._settings.tls) if self._endpoint.startswith("https") else True,
            limits=httpx2.Limits(
                max_connections=self._settings.max_in_flight,
                max_keepalive_connections=self._settings.max_in_flight,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
            ),
            trust_env=False,
        )

    async def shutdown(self) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send `body`, compressed as the settings say. Raises `Permanent` or `Retryable`."""
        encoding = self._settings.compression
        if encoding is not Compression.NONE:
            body = await aside(body, partial(_compressed, body, encoding))
            headers = {**headers, "content-encoding": encoding.value}
        return await self.request("POST", path, body, headers)

    async def call(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        may_pass: frozenset[int] = frozenset(),
    ) -> Answer:
        """Send JSON. A status in `may_pass` raises `NotYet`."""
        body = b"" if document is None else json.dumps(document, allow_nan=False).encode()
        more = {"content-type": "application/json"} if body else {}
        return await self.request(method, path, body, {**more, **(headers or {})}, may_pass)

    async def request(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], may_pass: frozenset[int] = frozenset()
    ) -> Answer:
        """One request as it stands. Raises `Permanent` or `Retryable`."""
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                answer = await self._exchange(method, self._endpoint + path, body, headers)
        except TimeoutError:
            msg = f"no whole answer within {self._settings.timeout_seconds:g} s"
            raise Retryable(msg) from None
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            msg = f"{type(error).__name__}: {self._settings.said(str(error))}"
            raise Retryable(msg) from None
        if httpx2.codes.is_success(answer.status):
            return answer
        message = f"answered {answer.status}: {self._settings.said(answer.body)}"
        if answer.status in may_pass:
            raise NotYet(message)
        if answer.status in _RETRYABLE:
            raise Retryable(message, retry_after(answer.headers.get("retry-after"), lambda: datetime.now(UTC)))
        raise (Unacceptable if answer.status in _UNACCEPTABLE else Permanent)(message)

    async def _exchange(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        assert self._client is not None  # noqa: S101 - start comes first, by contract
        name = self._settings.tls.server_name
        extensions = {"sni_hostname": name} if name else None
        async with self._client.stream(
            method, url, content=body, headers=dict(headers), extensions=extensions
        ) as response:
            limit = MAX_RESPONSE_BYTES if response.is_success else _MAX_ERROR_BYTES
            answer = bytearray()
            async for piece in response.aiter_raw():  # raw: nobody asked for compression, which could unfold to more
                answer += piece[: limit - len(answer)]
                if len(answer) >= limit:
                    break
            return Answer(response.status_code, response.headers, bytes(answer))


class HttpDestination:
    """What destinations over HTTP share: a client that opens and closes with them."""

    client: HttpClient

    async def start(self) -> None:
        """Open the client; it connects when it sends."""
        await self.client.start()

    async def shutdown(self) -> None:
        """Close the client."""
        await self.client.shutdown()


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


def _compressed(body: bytes, encoding: Compression) -> bytes:
    """The fastest level of each: the bytes travel once."""
    if encoding is Compression.ZSTD:
        return bytes(cramjam.zstd.compress(body, level=1))
    return gzip.compress(body, compresslevel=1)


def _context(tls: TlsSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file else None)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context
