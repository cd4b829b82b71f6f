"""Who may send: a bearer token, TLS both ways, pages of named origins. What is refused is counted and not kept."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.contract import Engine
from otel_llm_collector.errors import StartError

pytestmark = pytest.mark.integration

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TOKEN = "correct horse battery"
PROTOBUF = {"content-type": "application/x-protobuf"}


def request() -> bytes:
    made = ExportTraceServiceRequest()
    made.resource_spans.add().scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="x")
    return made.SerializeToString()


@asynccontextmanager
async def collector(engine: Engine, options: str) -> AsyncIterator[App]:
    """A collector both of whose receivers have these options."""
    text = f"""
receivers:
  otlp:
    grpc: {{endpoint: "127.0.0.1:0", {options.partition("|")[0]}}}
    http: {{endpoint: "127.0.0.1:0", {options.replace("|", "")}}}
server: {{endpoint: "127.0.0.1:0"}}
"""
    app = App(config.parse(text, {}, source="test", folder=Path()), engine)
    await app.start()
    try:
        yield app
    finally:
        await app.shutdown()


def http_post(app: App, headers: dict[str, str], scheme: str = "http", **more: Any) -> httpx2.Response:
    url = f"{scheme}://{app.receivers['OTLP/HTTP'].address}/v1/traces"
    with httpx2.Client(trust_env=False, timeout=10, **more) as client:
        return client.post(url, content=request(), headers={**PROTOBUF, **headers})


async def grpc_post(app: App, metadata: tuple[tuple[str, str], ...], credentials: Any = None) -> grpc.StatusCode:
    address = app.receivers["OTLP/gRPC"].address
    channel = grpc.aio.secure_channel(address, credentials) if credentials else grpc.aio.insecure_channel(address)
    async with channel:
        try:
            await channel.unary_unary(EXPORT)(request(), metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


async def metrics(app: App) -> str:
    answer = await asyncio.to_thread(httpx2.get, f"http://{app.admin.address}/metrics", trust_env=False)
    return answer.text


@pytest.mark.parametrize(
    "shown", ["", "Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer", "Bearer \u00e9"], ids=lambda text: text or "none"
)
def test_without_the_token_nobody_sends(engine: Engine, shown: str) -> None:
    """401 and UNAUTHENTICATED, with a sentence that does not hold the token; nothing is received, all is counted."""

    async def run() -> None:
        async with collector(engine, f"token: {TOKEN}") as app:
            headers = {"authorization": shown} if shown and shown.isascii() else {}
            answer = await asyncio.to_thread(http_post, app, headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert b"bearer token is missing or wrong" in answer.content
            assert TOKEN.encode() not in answer.content
            code = await grpc_post(app, tuple(headers.items()))
            assert code is grpc.StatusCode.UNAUTHENTICATED
            text = await metrics(app)
            for transport in ("grpc", "http"):
                name = f'otel_llm_receiver_received_spans_total{{receiver="otlp",transport="{transport}"}}'
                assert f"{name} 0.0" in text
            assert text.count('outcome="refused"') >= 2

    asyncio.run(run())


def test_with_the_token_all_is_as_ever(engine: Engine) -> None:
    """The scheme's case does not matter, as RFC 9110 says."""

    async def run() -> None:
        async with collector(engine, f"token: {TOKEN}") as app:
            for shown in (f"Bearer {TOKEN}", f"bearer {TOKEN}"):
                assert (await asyncio.to_thread(http_post, app, {"authorization": shown})).status_code == 200
                assert await grpc_post(app, (("authorization", shown),)) is grpc.StatusCode.OK

    asyncio.run(run())


def test_a_page_of_a_named_origin_may_send(engine: Engine) -> None:
    """A browser's preflight is answered without the token, which it never carries; other origins get no permission."""

    async def run() -> None:
        async with collector(engine, f"token: {TOKEN} |, cors_origins: ['https://app.example.com']") as app:
            url = f"http://{app.receivers['OTLP/HTTP'].address}/v1/traces"
            asked = {
                "origin": "https://app.example.com",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            }
            allow = "access-control-allow-origin"
            preflight = await asyncio.to_thread(httpx2.options, url, headers=asked, trust_env=False)
            assert (preflight.status_code, preflight.headers[allow]) == (200, "https://app.example.com")
            assert "authorization" in preflight.headers["access-control-allow-headers"]
            elsewhere = {**asked, "origin": "https://evil.example"}
            refused = await asyncio.to_thread(httpx2.options, url, headers=elsewhere, trust_env=False)
            assert (refused.status_code, refused.headers.get(allow)) == (400, None)
            shown = {"authorization": f"Bearer {TOKEN}", "origin": "https://app.example.com"}
            answer = await asyncio.to_thread(http_post, app, shown)
            assert (answer.status_code, answer.headers[allow]) == (200, "https://app.example.com")

    asyncio.run(run())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signed itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; apt-get install openssl gives it")
    folder = tmp_path_factory.mktemp("certificate")
    pair = folder / "own.pem", folder / "own.key"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    more = ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(pair[0]), "-keyout", str(pair[1])]
    subprocess.run(["openssl", *words.split(), *more], check=True, capture_output=True, timeout=30)
    return pair


def test_tls_and_mutual_tls(engine: Engine, certificate: tuple[Path, Path]) -> None:
    """Both protocols listen with TLS; with client_ca_file, who has no certificate of it does not get in."""
    own, key = certificate
    trusted, pair = own.read_bytes(), (key.read_bytes(), own.read_bytes())

    async def run(options: str, *, mutual: bool) -> None:
        async with collector(engine, options) as app:
            credentials = grpc.ssl_channel_credentials(trusted, *(pair if mutual else ()))
            assert await grpc_post(app, (), credentials) is grpc.StatusCode.OK
            context = ssl.create_default_context(cafile=str(own))
            if mutual:
                context.load_cert_chain(own, key)
            answer = await asyncio.to_thread(http_post, app, {}, "https", verify=context)
            assert answer.status_code == 200
            with pytest.raises(httpx2.HTTPError):
                await asyncio.to_thread(http_post, app, {})
            if mutual:
                stranger = grpc.ssl_channel_credentials(trusted)
                assert await grpc_post(app, (), stranger) is grpc.StatusCode.UNAVAILABLE
                anonymous = ssl.create_default_context(cafile=str(own))
                with pytest.raises(httpx2.HTTPError):
                    await asyncio.to_thread(http_post, app, {}, "https", verify=anonymous)

    files = f"cert_file: {own}, key_file: {key}"
    asyncio.run(run(f"tls: {{{files}}}", mutual=False))
    asyncio.run(run(f"tls: {{{files}, client_ca_file: {own}}}", mutual=True))


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_certificate_that_cannot_be_used_stops_the_start(engine: Engine, tmp_path: Path, protocol: str) -> None:
    """The error names the option; the collector does not run without TLS instead."""
    (tmp_path / "broken.pem").write_text("no certificate")
    file = tmp_path / ("none.pem" if protocol == "grpc" else "broken.pem")
    text = """
receivers: {otlp: {grpc: null, http: null}}
server: {endpoint: "127.0.0.1:0"}
""".replace(
        f"{protocol}: null", f'{protocol}: {{endpoint: "127.0.0.1:0", tls: {{cert_file: {file}, key_file: {file}}}}}'
    )
    app = App(config.parse(text, {}, source="test", folder=Path()), engine)

    async def run() -> None:
        try:
            with pytest.raises(StartError, match=rf"receivers\.otlp\.{protocol}\.tls: cannot be used"):
                await app.start()
        finally:
            await app.shutdown()

    asyncio.run(run())
