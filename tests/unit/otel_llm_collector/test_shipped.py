"""The rules that come along are found by name wherever the package is, and their links lead to their runbooks."""

from __future__ import annotations

from pathlib import Path

import pytest
from otel_llm_collector import config, shipped
from otel_llm_collector.errors import ConfigError


def loaded(*rules: str, **more: str) -> config.Config:
    """A configuration with these entries in `alerts.rules`."""
    lines = [f"  {key}: {value}" for key, value in {"rules": list(rules), **more}.items()]
    return config.parse("\n".join(["alerts:", *lines]), {}, source="test", folder=Path("/nowhere"))


def test_all_are_found_by_name() -> None:
    """Every file, by `*` and by its own name; groups say where they come from."""
    groups = config.load_rules(loaded("shipped:*"))
    assert {group.file for group in groups} == {f"shipped:{name}" for name in shipped.names()}
    assert len(shipped.names()) == 9
    (group,) = config.load_rules(loaded("shipped:latency"))
    assert group.rules


def test_a_name_that_is_none_is_refused() -> None:
    """With the names that there are."""
    with pytest.raises(ConfigError) as refused:
        config.load_rules(loaded("shipped:latncy", "shipped:../tests/latency"))
    assert len(refused.value.problems) == 2
    assert "budget, collector, cost" in str(refused.value)


@pytest.mark.parametrize("url", ["https://wiki/llm", "https://wiki/llm/"])
def test_links_lead_to_a_page_that_is_there(url: str) -> None:
    """Every rule links a heading of a page that `runbook` gives; where the pages are is configured."""
    for group in config.load_rules(loaded("shipped:*", runbooks_url=url)):
        for rule in group.rules:
            if rule.records:
                continue
            link = rule.annotations["runbook_url"].source
            page, _, heading = link.removeprefix("https://wiki/llm/").partition("#")
            text = shipped.runbook(page)
            assert text is not None, link
            assert f"\n## {heading}\n" in text.lower(), link


def test_nothing_else_is_served() -> None:
    """A name from outside reads no other file."""
    assert shipped.runbook("../rules/latency.yaml") is None
    assert shipped.runbook("") is None
