"""The text of a query as tokens, each with its position."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from otel_llm_collector.measure.promql.values import ParseError

Kind = Literal["end", "number", "duration", "string", "word", "symbol"]

_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
_HEX = r"0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_DIGITS = r"\d+(?:_\d+)*"
_TOKEN = re.compile(
    rf"""(?P<space>(?:\s|\#[^\n]*)+)
    |(?P<duration>{_DURATION})(?!\w)
    |(?P<number>(?:{_HEX}|(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?))(?![\w.])
    |(?P<word>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
    |(?P<symbol></|>/|==|!=|=~|!~|<=|>=|[-+*/%^<>=(){{}}\[\],:@])""",
    re.VERBOSE,
)
_DURATION_ORDER = re.compile(r"(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:\d+ms)?")
_ESCAPE = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)"
    r"|[^\\]+",
    re.DOTALL,
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` as written, `at` where it begins, `end` behind it."""

    kind: Kind
    text: str
    at: int
    end: int


def tokens(text: str) -> list[Token]:
    """Every token of `text`, closed by one of kind `end`."""
    found: list[Token] = []
    depth = 0  # inside braces and brackets a colon is not part of a word
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ParseError(_unreadable(text, position), text, position)
        kind, token = match.lastgroup, match.group()
        if kind == "word" and depth and ":" in token:
            token = token[: token.index(":")] or ":"
            kind = "symbol" if token == ":" else "word"  # noqa: S105 - no password
        if token in ("{", "["):
            depth += 1
        elif token in ("}", "]"):
            depth -= 1
        if kind != "space":
            found.append(Token(kind, token, position, position + len(token)))  # type: ignore[arg-type]
        position += len(token)
    found.append(Token("end", "", len(text), len(text)))
    return found


def _unreadable(text: str, position: int) -> str:
    character = text[position]
    if character in "\"'`":
        return f"unterminated quoted string {text[position : position + 20]!r}"
    if character.isdigit() or character == ".":
        word = re.match(r"[\w.]+", text[position:])
        return f"bad number or duration syntax: {word.group() if word else character!r}"
    return f"unexpected character: {character!r}"


def number(token: Token, text: str) -> float:
    """The value of a number token."""
    plain = token.text.replace("_", "")
    try:
        if plain[:2].lower() == "0x":
            return float(int(plain, 16))
        return float(int(plain, 8)) if re.fullmatch(r"0[0-7]+", plain) else float(plain)
    except (ValueError, OverflowError) as error:
        raise ParseError(f"error parsing number: {token.text!r}", text, token.at) from error


def duration_ms(token: Token, text: str) -> int:
    """The length of a duration token; each unit once, the longest first."""
    if not _DURATION_ORDER.fullmatch(token.text):
        raise ParseError(f"not a valid duration string: {token.text!r}", text, token.at)
    total = sum(int(count) * _UNIT_MS[unit] for count, unit in re.findall(r"(\d+)(ms|[smhdwy])", token.text))
    if total > 2**63 // 1_000_000:
        raise ParseError(f"duration out of range: {token.text!r}", text, token.at)
    return total


def unquote(token: Token, text: str) -> str:
    """What a string token says; escapes as in Go."""
    quote, body = token.text[0], token.text[1:-1]
    if quote == "`" or "\\" not in body:
        return body
    raw = bytearray()
    for part in _ESCAPE.findall(body):
        raw += _unescape(part, quote, token, text)
    return raw.decode("utf-8", "surrogateescape")  # what is no UTF-8 is told later, by whoever needs it to be


def _unescape(part: str, quote: str, token: Token, text: str) -> bytes:
    if part[0] != "\\":
        return part.encode()
    code = part[1:]
    if code in _SIMPLE:
        return _SIMPLE[code].encode()
    if code == quote:
        return quote.encode()
    try:
        if code[0] == "x":
            return bytes([int(code[1:], 16)])
        if code[0] in "uU" and len(code) > 1:
            return chr(int(code[1:], 16)).encode()
        if len(code) == 3:  # noqa: PLR2004 - three octal digits
            return bytes([int(code, 8)])
    except (ValueError, OverflowError):
        pass
    raise ParseError(f"unknown escape sequence {part!r} in string", text, token.at)
