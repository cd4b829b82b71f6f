"""A collector in this process on free ports, with sinks behind it where a test wants them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from otel_llm_collector import config
from otel_llm_collector.app import App
from otel_llm_collector.contract import Engine
from otel_llm_collector.engine import load_engine
from otel_llm_collector.engine.prices import RateBook

FREE_PORTS = """
receivers: {otlp: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}
server: {endpoint: "127.0.0.1:0"}
"""

Running = Callable[[str], AbstractAsyncContextManager[App]]


@pytest.fixture(scope="session")
def rates() -> RateBook:
    """One price book for all tests, which takes longest to make."""
    return RateBook()


@pytest.fixture
def engine(rates: RateBook) -> Engine:
    """The engine that runs where nothing is said; it remembers calls, so each test has its own."""
    return load_engine({}, rates=rates)


@pytest.fixture
def running(engine: Engine) -> Running:
    """Makes a started collector on free ports, `more` added to its configuration."""

    @contextlib.asynccontextmanager
    async def run(more: str = "") -> AsyncIterator[App]:
        app = App(config.parse(FREE_PORTS + more, {}, source="test", folder=Path()), engine)
        await app.start()
        try:
            yield app
        finally:
            await app.shutdown()

    return run


@pytest.fixture(scope="session")
def promtool() -> str:
    """The path of promtool."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool; apt-get install prometheus")
    return found
