"""pytest's fixture `llm_spans`: a `capture` around each test that asks for it; a failed test shows the spans it saw."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from otel_llm.testing import Captured

_KEY = pytest.StashKey["Captured"]()


@pytest.fixture
def llm_spans(request: pytest.FixtureRequest) -> Iterator[Captured]:
    """The spans of this test, as `otel_llm.testing.Captured`."""
    from otel_llm.testing import capture  # noqa: PLC0415 - pytest loads this module in every project

    with capture() as captured:
        request.node.stash[_KEY] = captured
        yield captured


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Add the spans to the report of a failed test."""
    outcome = yield
    report = outcome.get_result()
    captured = item.stash.get(_KEY, None)
    if captured is not None and report.when == "call" and report.failed:
        report.sections.append(("spans", captured.tree() or "(none)"))
