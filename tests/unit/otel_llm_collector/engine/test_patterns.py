"""Patterns in RE2's syntax become patterns of Rust's `regex` that mean the same, or are refused."""

from __future__ import annotations

import pytest
from otel_llm_collector.engine.patterns import read
from otel_llm_collector.engine.redact import pattern_problem
from otel_llm_collector.engine.settings import RedactionConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("pattern", "rust"),
    [
        ("CUST-[0-9]{6}", r"CUST\x{2D}[0-9]{6}"),
        (r"\bkey\d+\s\W", r"(?-u:\b)key[0-9]+[\t\n\x0C\r\x20][^0-9A-Za-z_]"),
        ("[]a&&b-]", r"[\x{5D}a\x{26}\x{26}b\x{2D}]"),
        (r"[^\w\S[:alpha:]]x{,3}", r"[^0-9A-Za-z_[^\t\n\x0C\r\x20][:alpha:]]x\x{7B}\x{2C}3\x{7D}"),
        (r"\Qa.b\E+?", r"a\x{2E}b+?"),
        (r"(?i)(?P<name>é|\x{e9})\141\07", r"(?i)(?:\x{E9}|\x{E9})a\x{7}"),
        (r"\pN\P{Greek}\p{^Lu}", r"[\p{N}][^\p{Greek}][^\p{Lu}]"),
    ],
)
def test_a_pattern_is_spelt_as_the_other_has_it(pattern: str, rust: str) -> None:
    """Classes are ASCII's, what only one of them treats specially is escaped, names of groups go."""
    assert pattern_problem(pattern) is None
    assert read(pattern).rust == rust


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"a\C", "single bytes"),
        (r"\x{D800}", "half a character"),
        (r"\pC", r"\p{C}"),
        ("a(?i)*", "repeats flags"),
        ("(" * 101 + "a" + ")" * 101, "more than 100 groups"),
        (r"\b", "empty text"),
        ("x*|y", "empty text"),
        ("(?:a{0,2}b?)+", "empty text"),
    ],
)
def test_what_the_two_would_read_differently_is_refused(pattern: str, words: str) -> None:
    """RE2 takes each of these; the configuration does not."""
    assert words in (pattern_problem(pattern) or "")


def test_patterns_that_are_too_large_together_are_refused() -> None:
    """Each may be taken by itself; the sentence says what to do."""
    large = r"\pL{200}"
    assert pattern_problem(large) is None
    with pytest.raises(ValidationError, match=r"patterns: are too large together .*write fewer"):
        RedactionConfig(patterns={"large": large})


def test_a_pattern_that_asks_for_an_end_is_known() -> None:
    """What stands in a part of a text may then not be found in the whole of it."""
    assert [read(one).is_anchored for one in ("^a", "a$", r"\Aa", r"a\z", r"\ba", "[$^]a")] == [True] * 4 + [False] * 2
