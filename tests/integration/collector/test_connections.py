"""Connections to destinations: TLS both ways, compression, keep-alive, several requests at once."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otel_llm_collector.contract import Parcel, Signal
from otel_llm_collector.deliver.otlp_grpc import OtlpGrpc, OtlpGrpcSettings
from otel_llm_collector.deliver.otlp_http import OtlpHttp, OtlpHttpSettings
from otel_llm_collector.errors import Retryable
from otel_llm_collector.testing import GrpcSink, HttpSink, Sink
from pydantic import ValidationError

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Authority:
    """A certificate authority of this test run, made by openssl, and what it signed."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def pair(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def make(self, name: str, subject: str) -> None:
        """A key and a certificate for `subject`, a DNS name or IP:address."""
        certificate, key = self.pair(name)
        _openssl(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            key,
            "-subj",
            f"/CN={name}",
            "-out",
            self.folder / f"{name}.csr",
        )
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={subject}\n")
        _openssl(
            "x509",
            "-req",
            "-in",
            self.folder / f"{name}.csr",
            "-CA",
            self.ca,
            "-CAkey",
            self.folder / "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            extensions,
            "-out",
            certificate,
        )


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority with a server's certificate for 127.0.0.1, one for another name, and a client's."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; apt-get install openssl gives it")
    made = Authority(tmp_path_factory.mktemp("ca"))
    _openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=Test CA",
        "-keyout",
        made.folder / "ca.key",
        "-out",
        made.ca,
    )
    made.make("server", "IP:127.0.0.1")
    made.make("elsewhere", "DNS:backend.example")
    made.make("client", "DNS:collector")
    return made


def sink(kind: str, authority: Authority, name: str = "server", *, mutual: bool = False) -> Sink:
    """A sink with that certificate, which asks for ours when `mutual`."""
    certificate, key = authority.pair(name)
    if kind == "grpc":
        credentials = grpc.ssl_server_credentials(
            [(key.read_bytes(), certificate.read_bytes())], authority.ca.read_bytes() if mutual else None, mutual
        )
        return GrpcSink(tls=credentials)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca) if mutual else None)
    context.load_cert_chain(certificate, key)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
    return HttpSink(tls=context)


def destination(kind: str, sink: Sink, tls: dict[str, Any], **more: Any) -> OtlpGrpc | OtlpHttp:
    options = {"type": f"otlp_{kind}", "timeout_seconds": 5, "tls": tls, **more}
    if kind == "grpc":
        return OtlpGrpc(OtlpGrpcSettings.model_validate({**options, "endpoint": sink.address}))
    scheme = "http" if tls.get("insecure") else "https"
    return OtlpHttp(OtlpHttpSettings.model_validate({**options, "endpoint": f"{scheme}://{sink.address}"}))


def trace(name: str = "a", size: int = 0) -> Parcel:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name=name).attributes.add(key="x").value.string_value = (
        "x" * size
    )
    return Parcel(Signal.TRACES, request.SerializeToString(), 1)


async def send(kind: str, to: Sink, tls: dict[str, Any], **more: Any) -> None:
    sending = destination(kind, to, tls, **more)
    await sending.start()
    try:
        await sending.send(trace())
    finally:
        await sending.shutdown()


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_certificate_of_a_trusted_authority_is_taken(kind: str, authority: Authority) -> None:
    """With `ca_file` the request arrives over TLS; without it the same server is not trusted."""

    async def run() -> None:
        async with sink(kind, authority) as server:
            await send(kind, server, {"ca_file": str(authority.ca)})
            assert len(server.taken) == 1
            with pytest.raises(Retryable):
                await send(kind, server, {})
            assert len(server.taken) == 1

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_certificate_for_another_name_is_not_taken(kind: str, authority: Authority) -> None:
    """The right authority is not enough; `server_name` says which name is right."""

    async def run() -> None:
        async with sink(kind, authority, "elsewhere") as server:
            with pytest.raises(Retryable):
                await send(kind, server, {"ca_file": str(authority.ca)})
            await send(kind, server, {"ca_file": str(authority.ca), "server_name": "backend.example"})
            assert len(server.taken) == 1

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_mutual_tls(kind: str, authority: Authority) -> None:
    """A server that asks for our certificate gets it, and refuses us without."""
    certificate, key = map(str, authority.pair("client"))

    async def run() -> None:
        async with sink(kind, authority, mutual=True) as server:
            ca = {"ca_file": str(authority.ca)}
            with pytest.raises(Retryable):
                await send(kind, server, ca)
            await send(kind, server, {**ca, "cert_file": certificate, "key_file": key})
            assert len(server.taken) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "compression"), [("http", "none"), ("http", "gzip"), ("http", "zstd"), ("grpc", "none"), ("grpc", "gzip")]
)
def test_requests_arrive_in_each_encoding(kind: str, compression: str) -> None:
    """A server that checks the encoding reads the same request; zstd and gzip make it smaller on the wire."""

    async def run() -> None:
        async with GrpcSink() if kind == "grpc" else HttpSink() as server:
            sending = destination(kind, server, {"insecure": True}, compression=compression)
            await sending.start()
            await sending.send(trace("big", 200_000))
            await sending.shutdown()
            (taken,) = server.taken
            assert taken.request.SerializeToString() == trace("big", 200_000).payload
            if kind == "http":
                assert taken.headers.get("content-encoding", "none") == compression
                assert (taken.size < 10_000) == (compression != "none")

    asyncio.run(run())


def test_zstd_over_grpc_is_refused_with_what_would_be_right() -> None:
    """GRPC has no such codec; the sentence says what to write."""
    with pytest.raises(ValidationError, match="write gzip or none"):
        OtlpGrpcSettings.model_validate({"type": "otlp_grpc", "endpoint": "127.0.0.1:1", "compression": "zstd"})


def test_connections_are_kept_and_used_side_by_side() -> None:
    """Twenty requests one after the other need one connection; four at once need four, not twenty."""

    async def run() -> None:
        async with HttpSink() as server:
            sending = destination("http", server, {"insecure": True}, max_in_flight=4)
            await sending.start()
            for _ in range(20):
                await sending.send(trace())
            assert server.connections == 1
            await asyncio.gather(*(sending.send(trace()) for _ in range(20)))
            assert server.connections <= 4
            await sending.shutdown()
            assert len(server.taken) == 40

    asyncio.run(run())
