"""OTLP over HTTP (protobuf) to any backend; the signal's path is appended to the endpoint.

Delivery: at least once. 429, 502, 503 and 504 are tried again, after `Retry-After` where the backend gives it;
other errors are final. What a backend answers is read up to 4 MiB and not further.
"""

from __future__ import annotations

from typing import Literal

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from pydantic import Field

from otel_llm_collector.contract import Parcel, Receipt
from otel_llm_collector.deliver.http_client import Answer, HttpClient, HttpDestination, Url
from otel_llm_collector.deliver.otlp import SHAPES, receipt
from otel_llm_collector.deliver.settings import NetworkSettings
from otel_llm_collector.errors import Permanent

_PROTOBUF = {"content-type": "application/x-protobuf"}


class OtlpHttpSettings(NetworkSettings):
    """OTLP over HTTP."""

    type: Literal["otlp_http"] = Field(description="otlp_http")
    endpoint: Url = Field(
        description="Base URL of the backend, for example http://127.0.0.1:4318; /v1/traces and so on is appended."
    )


class OtlpHttp(HttpDestination):
    """The destination."""

    def __init__(self, settings: OtlpHttpSettings) -> None:
        self._settings = settings
        self.client = HttpClient(settings, settings.endpoint)

    async def send(self, parcel: Parcel) -> Receipt:
        """Send one request; see `contract.Destination`."""
        return await post_otlp(self.client, self._settings, f"/v1/{parcel.signal}", parcel)


async def post_otlp(client: HttpClient, settings: NetworkSettings, path: str, parcel: Parcel) -> Receipt:
    """Send one OTLP request as protobuf and read what the backend says of it."""
    answer = await client.post(path, parcel.payload, {**_PROTOBUF, **parcel.headers})
    result = _receipt(parcel, answer)
    return Receipt(result.refused, settings.said(result.message))


def _receipt(parcel: Parcel, answer: Answer) -> Receipt:
    """What a 2xx says. An empty body is success; one that cannot be read is no proof of it."""
    if not answer.body:
        return Receipt()
    message = SHAPES[parcel.signal].response()
    try:
        if answer.headers.get("content-type", "").startswith("application/json"):
            json_format.Parse(answer.body, message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(answer.body)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
        msg = f"answered {answer.status} with {len(answer.body)} bytes that are no OTLP response"
        raise Permanent(msg) from error
    return receipt(parcel.signal, message)
