"""Field types that several components' settings share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

_MAX_PORT = 65535


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """`host:port` as (host, port); an IPv6 host stands in brackets. Raises `ValueError` with what would be right."""
    host, separator, port = endpoint.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > _MAX_PORT:
        msg = "is not host:port; write for example 127.0.0.1:4317"
        raise ValueError(msg)
    return host, int(port)


def _endpoint(value: str) -> str:
    split_endpoint(value)
    return value


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


# a path in a configuration file; a relative one starts at the folder of that file
ConfigPath = Annotated[Path, AfterValidator(_from_folder)]

# host:port, for example 127.0.0.1:4317; an IPv6 host stands in brackets
Endpoint = Annotated[str, AfterValidator(_endpoint)]
