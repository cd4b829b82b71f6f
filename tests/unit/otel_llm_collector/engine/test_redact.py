"""Detectors find what they are for and leave what only looks like it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otel_llm_collector.engine.redact import DETECTORS, Action, Redactor, pattern_problem

REDACTOR = Redactor(DETECTORS, Action.REPLACE)
MARK = "PRIVATE " + "KEY-----"  # in two parts, so that nobody takes this file for one that holds a key
KEY = f"-----BEGIN RSA {MARK}\nProc-Type: 4,ENCRYPTED\nMIIEow\n-----END RSA {MARK}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("write to bob.o+x@ex-ample.co.uk.", "write to [email]."),
        ("12 4111 1111 1111 1111", "12 [credit_card]"),
        ("4111-1111-1111-1111", "[credit_card]"),
        ("378282246310005", "[credit_card]"),
        ("DE89 3704 0044 0532 0130 00 AND MORE", "[iban] AND MORE"),
        ("GB29NWBK60161331926819", "[iban]"),
        ("from 10.1.2.3", "from [ip]"),
        ("from 2001:db8::8a2e:370:7334", "from [ip]"),
        ("+49 (30) 1234-5678", "[phone]"),
        ("call 030 1234 5678", "call [phone]"),
        ("key sk-proj-abcdefghij0123456789", "key [api_key]"),
        ("AKIA" + "IOSFODNN7EXAMPLE", "[api_key]"),
        ("ghp_" + "a" * 36, "[api_key]"),
        ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2", "[jwt]"),
        (f"it is {KEY} so", "it is [private_key] so"),
        (KEY[:60], "[private_key]"),
    ],
)
def test_what_a_detector_is_for(text: str, wanted: str) -> None:
    """Each kind is found in the form people write it in."""
    assert REDACTOR.redact(text, {}) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # the check digit is wrong
        "0000 0000 0000 0000",
        "1790000000000000000",  # nanoseconds
        "DE88 3704 0044 0532 0130 00",
        "999.1.2.3",
        "12:34:56",
        "2026-11-21 10:00",
        "bob at example dot com",
        "sk-short",
        "version 2.16.2",
        "0.123456789012",
    ],
)
def test_what_only_looks_like_it(text: str) -> None:
    """Check digits, ranges and lengths keep ordinary numbers and words."""
    assert REDACTOR.redact(text, {}) == text


ODD = ["\ud800", "a@b.org", 4111111111111111, "\nx@y.de"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(value=st.lists(json_values) | st.dictionaries(st.text(), json_values))
def test_json_stays_json_of_the_same_shape(value: object) -> None:
    """Whatever the JSON says and however it is escaped, it can be read afterwards and no address is left."""
    text = json.dumps(value)
    if "\\ud800" not in text:
        assert REDACTOR.redact(json.dumps(value, ensure_ascii=False), {}).encode()
    redacted = REDACTOR.redact(text, {})
    redacted.encode()
    after = json.loads(redacted)
    assert type(after) is type(value)
    assert len(after) <= len(value)  # keys that become equal fall together
    assert "a@b.org" not in redacted
    assert "x@y.de" not in redacted


@given(text=st.text())
def test_any_text_is_redacted_without_an_error(text: str) -> None:
    """Text of any characters, JSON or not."""
    REDACTOR.redact(text, {})
    REDACTOR.redact("[" + text, {})


@pytest.mark.parametrize("piece", ["a@", "4111 ", f"-----BEGIN {MARK}", "eyJeyJ.", '"', "\\", "1.", ":"])
def test_time_is_linear_in_hostile_text(piece: str) -> None:
    """Eight times the text takes at most some twenty times the time, whatever it is made of."""

    def seconds(count: int) -> float:
        text = "[" + piece * count
        start = time.process_time()
        REDACTOR.redact(text, {})
        return time.process_time() - start

    small = max(min(seconds(20_000) for _ in range(3)), 0.002)
    assert seconds(160_000) < 20 * small


@pytest.mark.parametrize(("pattern", "words"), [("(a", "missing )"), ("a*", "empty text"), ("x(?=y)", "perl operator")])
def test_a_pattern_that_cannot_be_a_detector_is_told(pattern: str, words: str) -> None:
    """Broken, look-around, or matching nothing at all."""
    assert words in (pattern_problem(pattern) or "")
