"""Takes secrets out of texts: keys of known shape, credentials in URLs and headers, values under telling names.

It knows shapes, so it is a net and no wall: a password that looks like a word goes through. Cost is linear in the
length, and texts without any of the tell-tale beginnings are left after one look.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

MARK = "[redacted]"
MAX_CHARACTERS = 64 * 1024  # truncate: what a longer text has beyond it is cut off, unseen as it is
MAX_DEPTH = 8

# Each alternative begins with something fixed and has an upper bound, and no two starts share a run of characters.
_FREE = r"(?<![A-Za-z0-9_-])"
_KEYS = re.compile(
    _FREE
    + r"(?:sk-[A-Za-z0-9_-]{16,250}"  # OpenAI, Anthropic, OpenRouter
    + r"|gh[opsur]_[A-Za-z0-9]{20,250}|github_pat_[A-Za-z0-9_]{20,250}"
    + r"|xox[abprs]-[A-Za-z0-9-]{10,250}"  # Slack
    + r"|(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])"  # AWS
    + r"|AIza[A-Za-z0-9_-]{30,60}"  # Google
    + r"|(?:hf|gsk|pypi|glpat|lsv2_pt|lsv2_sk)[_-][A-Za-z0-9_-]{16,250}"
    + r"|eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,2000}(?:\.[A-Za-z0-9_-]{0,2000})?)"  # JSON web tokens
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.{0,8000}?(?:-----END [A-Z ]{0,30}KEY-----|\Z)", re.DOTALL
)
_SCHEME = re.compile(r"\b((?:bearer|basic)[ =:]{1,3})[a-z0-9._~+/=-]{8,2000}")
_IN_URL = re.compile(r"(://[^/\s:@]{0,200}:)[^/\s@]{1,200}(?=@)")
_NAMED = re.compile(
    r"((?:key|token|passw(?:or)?d|pwd|secret|authorization)[\"']?\s{0,3}[:=]\s{0,3}[\"']?)"
    r"(?!\[redacted\]|bearer|basic)[^\s\"',;&}]{3,2000}"
)
# What may stand before the last word of such a name; `key` and `token` alone name nothing secret.
_BEFORE = re.compile(r"(?:api|secret|access|auth|refresh|id|session|private)[_-]?$")
_NEEDS_MORE = ("key", "token")
# Without one of these in it, in lower case, a text has nothing that the expression beside them would find.
_OF_KEYS = re.compile(r"sk-|gh[opsur]_|github_pat|xox|akia|asia|aiza|hf[_-]|gsk[_-]|pypi-|glpat|lsv2|eyj")
_OF_NAMED = ("key", "token", "passw", "pwd", "secret", "authorization")
_NAMES = re.compile(
    r"(^|[._-])(authorization|api[_-]?key|passwo?r?d|pwd|secret|secret[_-]?key|access[_-]?token|auth[_-]?token"
    r"|refresh[_-]?token|id[_-]?token|session[_-]?token|client[_-]?secret|cookie|set-cookie|credentials?|private[_-]?key"
    r"|token)$",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """`text` with `[redacted]` in the place of each secret that was recognised."""
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:MAX_CHARACTERS]}…[truncated]"
    lower = text.lower()
    if "private key-----" in lower:
        text = _PRIVATE_KEY.sub(MARK, text)
    if "://" in lower and "@" in lower:
        text = _IN_URL.sub(rf"\1{MARK}", text)
    if _OF_KEYS.search(lower):
        text = _KEYS.sub(MARK, text)
    if "bearer" in lower or "basic" in lower:
        text = _replaced(text, _SCHEME)
    if (":" in lower or "=" in lower) and any(word in lower for word in _OF_NAMED):
        text = _replaced(text, _NAMED, _is_named)
    return text


def _replaced(text: str, pattern: re.Pattern[str], holds: Callable[[re.Match[str]], bool] | None = None) -> str:
    """`text` with what follows group 1 of each match marked; the pattern is in lower case, which is searched faster."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters become two when they are made small: then letter by letter
        lower = "".join(one.lower() if len(one.lower()) == 1 else one for one in text)
    parts, end = [], 0
    for match in pattern.finditer(lower):
        if holds is not None and not holds(match):
            continue
        parts += [text[end : match.end(1)], MARK]
        end = match.end()
    return "".join([*parts, text[end:]])


def _is_named(match: re.Match[str]) -> bool:
    """Whether the name of a value is that of a secret: an `api_key` is, a `key` is not."""
    start = match.start()
    return not match[1].startswith(_NEEDS_MORE) or bool(_BEFORE.search(match.string[max(0, start - 20) : start]))


def redact_value(value: Any, name: str = "", depth: int = 0) -> Any:
    """A value of a log record: texts are redacted, mappings and lists within, and whatever has a telling name."""
    if name and _NAMES.search(name) and value is not None and not isinstance(value, bool):
        return MARK
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {str(key): redact_value(one, str(key), depth + 1) for key, one in value.items()}
    if depth < MAX_DEPTH and isinstance(value, (list, tuple, set, frozenset)):
        return [redact_value(one, name, depth + 1) for one in value]
    return redact(value if isinstance(value, str) else str(value))
