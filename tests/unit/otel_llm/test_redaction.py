"""Secrets are found by their shape, other texts left as they are, in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llm.redaction import MARK, redact, redact_value

BEGIN_KEY = "-----BEGIN RSA PRIVATE " + "KEY-----"  # apart, or it would look like one that was committed
SECRETS = [
    "sk-proj-" + "a1B2" * 8,
    "sk-ant-api03-" + "x" * 40,
    "ghp_" + "A" * 36,
    "github_pat_" + "A1_" * 12,
    "xoxb-1234567890-abcdefghij",
    "AKIA" + "ABCDEFGH12345678",
    "AIza" + "Sy-abc_DEF" * 4,
    "hf_" + "a" * 34,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLWhlcmU",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_of_known_shape_are_taken_out(secret: str) -> None:
    """Wherever in a sentence they stand, and nothing around them goes with them."""
    assert redact(f"calling with {secret}, then more") == f"calling with {MARK}, then more"
    assert redact(secret) == MARK
    assert secret not in redact(f'{{"key": "{secret}"}}')


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("GET https://bob:hunter22@db.example/x", f"GET https://bob:{MARK}@db.example/x"),
        ("Authorization: Bearer abcdefgh12345", f"Authorization: Bearer {MARK}"),
        ("password=hunter22 user=bob", f"password={MARK} user=bob"),
        ("{'api_key': 'abc123', 'k': 5}", f"{{'api_key': '{MARK}', 'k': 5}}"),
        ("refresh_token: abcdef", f"refresh_token: {MARK}"),
        (
            f"{BEGIN_KEY}\nMIIE\n-----END RSA PRIVATE KEY----- after",
            f"{MARK} after",
        ),
    ],
)
def test_values_in_telling_places_are_taken_out(text: str, right: str) -> None:
    """URLs, headers, assignments, key files: the name stays readable."""
    assert redact(text) == right
    assert redact(right) == right


@pytest.mark.parametrize(
    "text",
    [
        "1024 tokens, 12 keys and a secret garden",
        "max_tokens=512, token type: output",
        "task-force sk-short eyJ",
        "https://example.org/a:b@c",
        "key: value, sort_key=name, next token: hello",
        "The password policy is described in chapter 3.",
    ],
)
def test_ordinary_sentences_stay(text: str) -> None:
    """Words that only look like it are left alone."""
    assert redact(text) == text


def test_fields_are_judged_by_their_names_too() -> None:
    """A value under a telling name goes whatever it looks like, at any depth; counts of tokens stay."""
    value = {"headers": {"X-Api-Key": "plain", "accept": "json"}, "cookies": ["a"], "tokens": 12, "list": [SECRETS[0]]}
    assert redact_value(value) == {
        "headers": {"X-Api-Key": MARK, "accept": "json"},
        "cookies": ["a"],
        "tokens": 12,
        "list": [MARK],
    }
    assert redact_value("x", "db.password") == MARK
    assert redact_value(5, "auth_token") == MARK
    assert redact_value(None, "password") is None


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    """It never fails, and doing it twice changes nothing more."""
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize("piece", ["sk-", "eyJ", "://a:", "-eyJa.", "password=", "Bearer ", BEGIN_KEY])
def test_hostile_texts_cost_no_more_than_their_length(piece: str) -> None:
    """64 KB of beginnings without an end are done within a fraction of a second."""
    text = piece * (64 * 1024 // len(piece))
    before = time.thread_time()
    redact(text)
    assert time.thread_time() - before < 1.0
