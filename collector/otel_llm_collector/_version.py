"""The installed version of the distribution, for `--version`, health pages and the User-Agent."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("otel-llm")
except PackageNotFoundError:  # run from a bare source tree
    __version__ = "0+unknown"
