"""Finding and replacing personal data and secrets in text, in time linear in its length.

A detector is a row of `DETECTORS`: a pattern in the syntax that RE2 and Rust's `regex` share (no look-around, no
back-references, both linear), and the name of a check that looks at what the pattern found, because a number with 16
digits is a card only when its digits say so. Rows are applied in order; what one row replaced the next ones do not see
as it was. Text that is JSON is edited string by string, so that it stays JSON.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import re2

from otel_llm_collector.engine import json_text, patterns


class Action(StrEnum):
    """What happens to what was found."""

    REPLACE = "replace"  # `[email]` stands in its place
    HASH = "hash"  # `[email:5f2c…]`: equal values stay recognisable as equal
    DROP = "drop"  # the whole text it was found in becomes `[dropped:email]`


@dataclass(frozen=True, slots=True)
class Detector:
    """One row of the table; several rows may share a name."""

    name: str
    pattern: str
    check: str = ""  # a key of `_CHECKS`


_KEYS = (
    r"sk-[A-Za-z0-9_\-]{20,}",  # OpenAI, Anthropic, and those who imitate them
    r"(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{20,}",  # Stripe
    r"A(?:KIA|SIA)[0-9A-Z]{16}",  # AWS
    r"AIza[0-9A-Za-z_\-]{35}",  # Google
    r"gh[pousr]_[A-Za-z0-9]{36,}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,}",
    r"glpat-[A-Za-z0-9_\-]{20,}",  # GitLab
    r"xox[abprs]-[A-Za-z0-9\-]{10,}",  # Slack
    r"hf_[A-Za-z0-9]{30,}",  # Hugging Face
    r"gsk_[A-Za-z0-9]{40,}",  # Groq
    r"xai-[A-Za-z0-9]{60,}",
    r"pplx-[A-Za-z0-9]{40,}",  # Perplexity
    r"r8_[A-Za-z0-9]{37}",  # Replicate
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-[A-Za-z0-9_\-]{50,}",
    r"lsv2_[a-z]{2}_[a-f0-9]{32}_[a-f0-9]{10}",  # LangSmith
    r"SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}",  # SendGrid
)

# In the order in which they are applied: what is longest and surest comes first.
DETECTORS = (
    Detector(
        "private_key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----[^\x00]*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----|\x00|\z)",
    ),
    Detector("jwt", r"\beyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}"),
    Detector("api_key", r"\b(?:" + "|".join(_KEYS) + ")"),
    Detector("email", r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,24}\b"),
    Detector("iban", r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", "iban"),
    Detector("credit_card", r"\b[0-9](?:[ \-]?[0-9]){12,30}\b", "luhn"),
    Detector("ip", r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b", "ip"),
    Detector("ip", r"(?:[0-9A-Fa-f]{1,4}|:):(?:[0-9A-Fa-f]{0,4}:){0,6}[0-9A-Fa-f]{0,4}", "ip"),
    Detector("phone", r"\+[1-9][0-9 ().\-]{6,17}[0-9]\b", "phone"),
    Detector("phone", r"\(?\b[0-9]{2,5}\)?[ .\-/][0-9]{2,4}(?:[ .\-][0-9]{2,4}){1,3}\b", "phone"),
)
NAMES = tuple(dict.fromkeys(detector.name for detector in DETECTORS))

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28,
    "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24,
    "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
_CARD_DIGITS = (13, 19)
_PHONE_DIGITS = (9, 15)
_DATE = re.compile(rb"(?:19|20)\d\d[-./]\d\d[-./]\d\d")
# A JSON text apart: its strings (the last one may have lost its end), and what stands between them.
_JSON_PARTS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|[^"]+', re.DOTALL)
_NUMBER = re.compile(r"-?[0-9][0-9.eE+\-]*")


def pattern_problem(pattern: str) -> str | None:
    """Why `pattern` cannot be a detector, or None."""
    try:
        _compile(pattern)
        is_nullable = patterns.read(pattern).is_nullable
    except re2.error as error:
        return f"is no pattern of RE2's syntax ({_reason(error)})"
    except patterns.UnsharedError as error:
        return str(error)
    return "matches the empty text" if is_nullable else None


def table_problem(detectors: Sequence[Detector]) -> str | None:
    """Why these, each of which can be one, cannot be detectors together, or None."""
    try:
        Redactor(detectors, Action.REPLACE)
    except re2.error as error:
        return f"are too large together ({_reason(error)}); write fewer, or repeat less in them"
    return None


def is_free(detectors: Sequence[Detector]) -> bool:
    """Whether what these find in a part of a JSON text they find in all of it too."""
    return not any(patterns.read(one.pattern).is_anchored for one in detectors if one not in DETECTORS)


class Redactor:
    """Redacts texts by a table of detectors. Thread-safe.

    `key` is the secret of the keyed hash; who has it can test guesses, nobody else.
    """

    def __init__(self, detectors: Sequence[Detector], action: Action, key: bytes = b"") -> None:
        self._action = action
        self._key = key
        self._rows = [(one.name, _compile(one.pattern), _CHECKS[one.check]) for one in detectors]
        self._any = re2.Set.SearchSet(_options())
        for one in detectors:
            self._any.Add(one.pattern.encode())
        self._any.Compile()
        self._is_free = is_free(detectors)

    def redact(self, text: str, found: dict[str, int]) -> str:
        """`text` with what the detectors find replaced; each find is counted in `found` by the detector's name."""
        if not text[:1] or text[0] not in "[{":
            return self._plain(text, found)
        parts = _JSON_PARTS.findall(text)
        bare = [_unquoted(part) for part in parts]
        if self._is_free and not self._any.Match("\x00".join(bare).encode()):
            return text
        return "".join(self._part(part, inner, found) for part, inner in zip(parts, bare, strict=True))

    def _part(self, part: str, inner: str, found: dict[str, int]) -> str:
        """One string of a JSON text, or what stands between two, redacted."""
        if part[0] == '"':
            redacted = self._plain(inner, found)
            return part if redacted == inner else json_text.dump(redacted)

        def number(match: re.Match[str]) -> str:
            redacted = self._plain(match.group(), found)
            return match.group() if redacted == match.group() else f'"{redacted}"'

        return self._plain(_NUMBER.sub(number, part), found)

    def _plain(self, text: str, found: dict[str, int]) -> str:
        data = text.encode()
        hits = self._any.Match(data)
        if not hits:
            return text
        for index in sorted(hits):
            name, pattern, check = self._rows[index]
            data, count = self._replaced(data, name, pattern, check)
            if count:
                found[name] = found.get(name, 0) + count
                if self._action is Action.DROP:
                    return f"[dropped:{name}]"
        return data.decode()

    def _replaced(self, data: bytes, name: str, pattern: re2._Regexp, check: _Check) -> tuple[bytes, int]:
        pieces: list[bytes] = []
        done = count = 0
        for match in pattern.finditer(data):
            span = check(match.group())
            if span is None:
                continue
            start, end = match.start() + span[0], match.start() + span[1]
            pieces += [data[done:start], self._token(name, data[start:end])]
            done = end
            count += 1
        return b"".join([*pieces, data[done:]]), count

    def _token(self, name: str, value: bytes) -> bytes:
        if self._action is not Action.HASH:
            return f"[{name}]".encode()
        return f"[{name}:{hmac.new(self._key, value, hashlib.sha256).hexdigest()[:16]}]".encode()


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _compile(pattern: str) -> re2._Regexp:
    return re2.compile(pattern.encode(), _options())


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def _unquoted(part: str) -> str:
    """What a JSON string says; what stands between strings as it is."""
    if part[0] != '"':
        return part
    inner = part[1:-1] if len(part) > 1 and part[-1] == '"' else part[1:]
    if "\\" not in inner:
        return inner
    try:
        return str(json_text.parse(f'"{inner}"'))
    except ValueError:  # cut off inside an escape, or no JSON at all
        return inner


# What a pattern found -> the part of it that is meant, or None. Positions count bytes.
_Check = Callable[[bytes], tuple[int, int] | None]


def _always(value: bytes) -> tuple[int, int] | None:
    return 0, len(value)


def _luhn(value: bytes) -> tuple[int, int] | None:
    """The first run of whole groups that is a card number: 13 to 19 digits whose check digit is right."""
    groups = [(match.start(), match.end()) for match in re.finditer(rb"[0-9]+", value)]
    for first in range(len(groups)):
        digits = b""
        for start, end in groups[first:]:
            digits += value[start:end]
            if len(digits) > _CARD_DIGITS[1]:
                break
            if len(digits) >= _CARD_DIGITS[0] and _is_card(digits):
                return groups[first][0], end
    return None


def _is_card(digits: bytes) -> bool:
    if digits[:1] not in b"23456" or len(set(digits)) == 1:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = digit - 48
        if place % 2:
            number = number * 2 - 9 * (number > 4)  # noqa: PLR2004
        total += number
    return total % 10 == 0


def _iban(value: bytes) -> tuple[int, int] | None:
    length = IBAN_LENGTHS.get(value[:2].decode())
    compact = value.replace(b" ", b"")
    if length is None or len(compact) < length:
        return None
    number = compact[4:length] + compact[:4]
    if int("".join(str(int(chr(letter), 36)) for letter in number)) % 97 != 1:
        return None
    seen = 0
    for place, letter in enumerate(value):
        seen += letter != 32  # noqa: PLR2004 - a space
        if seen == length:
            return 0, place + 1
    return None


def _ip(value: bytes) -> tuple[int, int] | None:
    try:
        address = ipaddress.ip_address(value.decode())
    except ValueError:
        return None
    return None if address.is_unspecified else (0, len(value))


def _phone(value: bytes) -> tuple[int, int] | None:
    digits = sum(48 <= letter <= 57 for letter in value)  # noqa: PLR2004 - 0 to 9
    if not _PHONE_DIGITS[0] <= digits <= _PHONE_DIGITS[1] or _DATE.match(value):
        return None
    return 0, len(value)


_CHECKS: dict[str, _Check] = {"": _always, "luhn": _luhn, "iban": _iban, "ip": _ip, "phone": _phone}
