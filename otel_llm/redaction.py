"""Takes secrets out of texts: keys of known shape, credentials in URLs and headers, values under telling names.

It knows shapes, so it is a net and no wall: a password that looks like a word goes through. Cost is linear in the
length, and texts without any of the tell-tale beginnings are left after one look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
_SCHEME = re.compile(r"\b(Bearer|Basic|Token)([ =:]{1,3})[A-Za-z0-9._~+/=-]{8,2000}", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^/\s:@]{0,200}:)[^/\s@]{1,200}(?=@)")
_NAMED = re.compile(
    r"((?:api[_-]?key|passwo?r?d|secret(?:[_-]?key)?|(?:access|auth|refresh|id|session|api)[_-]?token|client[_-]?secret"
    r"|authorization|private[_-]?key)[\"']?\s{0,3}[:=]\s{0,3}[\"']?)(?!\[redacted\]|Bearer|Basic)[^\s\"',;&}]{3,2000}",
    re.IGNORECASE,
)
# Without one of these in it, in lower case, a text has nothing that the expressions above would find.
_TELLTALES = (
    "sk-", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat", "xox", "akia", "asia", "aiza", "hf_", "hf-", "gsk",
    "pypi-", "glpat", "lsv2", "eyj", "private", "bearer", "basic", "token", "://", "key", "passw", "pwd", "secret",
    "authorization",
)  # fmt: skip
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
    if not any(one in lower for one in _TELLTALES):
        return text
    text = _PRIVATE_KEY.sub(MARK, text)
    text = _IN_URL.sub(rf"\1{MARK}", text)
    text = _KEYS.sub(MARK, text)
    text = _SCHEME.sub(rf"\1\2{MARK}", text)
    return _NAMED.sub(rf"\1{MARK}", text)


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
