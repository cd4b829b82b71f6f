r"""Patterns as RE2 and Rust's `regex` both read them: what a user writes in RE2's syntax, in the other's, and the same.

Both take time linear in the text, and both prefer what an alternation names first. They differ in spelling and in small
print: whether `\d` knows the digits of other scripts, what `\s` holds, what `[` means within brackets. A pattern that
only one of them would take is refused for both, so that a configuration means one thing wherever it is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAX_DEPTH = 100  # of groups in groups
_CLASSES = {"d": "0-9", "s": r"\t\n\x0C\r\x20", "w": "0-9A-Za-z_"}
_CONTROLS = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_EMPTY = {"A": r"\A", "z": r"\z", "b": r"(?-u:\b)", "B": r"(?-u:\B)"}  # escapes that stand between characters
_ANCHORS = frozenset("Az")
# Categories that hold what is no character yet, or never is one: the two differ on them.
_UNCERTAIN = frozenset({"C", "Cs"})
_REPEAT = re.compile(r"(?:[*+?]|\{(\d+)(?:,(\d*))?\})\??")
_GROUP = re.compile(r"\((?:\?(?:P?<[^>]*>|([imsU]*(?:-[imsU]+)?)([:)])))?")
_POSIX = re.compile(r"\[:\^?[a-z]+:\]")
_NAMED = re.compile(r"[pP](?:\{(\^?)(\w+)\}|(\w))", re.ASCII)
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2}))")
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\.", re.DOTALL)
_OCTAL = re.compile(r"[0-7]{1,3}")


class UnsharedError(ValueError):
    """A pattern that the two would not read alike."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A pattern in the syntax of `regex`."""

    rust: str
    is_nullable: bool  # it can match where there is nothing
    is_anchored: bool  # it asks where a line or the text begins or ends


def read(pattern: str) -> Shared:
    """`pattern`, which RE2 took, in the syntax of `regex`. Raises `UnsharedError`."""
    reader = _Reader(_QUOTED.sub(_unquoted, pattern))
    is_nullable = reader.alternatives(0)
    return Shared("".join(reader.written), is_nullable, reader.is_anchored)


class _Reader:
    """Reads from the left and writes what it read."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self.written: list[str] = []
        self.is_anchored = False

    def alternatives(self, depth: int) -> bool:
        """Up to the end of the group; whether it can match nothing."""
        if depth > _MAX_DEPTH:
            msg = f"has more than {_MAX_DEPTH} groups in each other"
            raise UnsharedError(msg)
        is_nullable = False
        while True:
            is_nullable |= self._sequence(depth)
            if self._peek() != "|":
                return is_nullable
            self._take("|")

    def _sequence(self, depth: int) -> bool:
        is_nullable = True
        while self._peek() not in ("", "|", ")"):
            is_nullable &= self._repeated(depth)
        return is_nullable

    def _repeated(self, depth: int) -> bool:
        is_nullable = self._one(depth)
        repeat = _REPEAT.match(self._pattern, self._at)
        if repeat is None:
            return is_nullable
        self._take(repeat.group())
        least = repeat.group(1)
        return is_nullable or (int(least) == 0 if least else repeat.group()[0] != "+")

    def _one(self, depth: int) -> bool:
        character = self._peek()
        if character == "(":
            return self._group(depth)
        if character == "\\":
            return self._escape()
        if character == "[":
            self._set()
            return False
        if character in "^$":
            self.is_anchored = True
            self._take(character)
            return True
        if character == ".":
            self._take(character)
            return False
        self._at += 1
        self.written.append(_literal(ord(character)))
        return False

    def _group(self, depth: int) -> bool:
        opened = _GROUP.match(self._pattern, self._at)
        if opened is None:
            msg = f"has a group of a kind that is not known (at {self._at})"
            raise UnsharedError(msg)
        self._at = opened.end()
        flags, end = opened.group(1, 2)
        self.written.append(f"(?{flags}{end}" if end else "(?:")
        if end == ")":  # flags for the rest of the group around
            if _REPEAT.match(self._pattern, self._at):
                msg = f"repeats flags (at {self._at})"
                raise UnsharedError(msg)
            if not flags:
                self.written[-1] = ""
            return True
        is_nullable = self.alternatives(depth + 1)
        self._take(")")
        return is_nullable

    def _escape(self) -> bool:
        """One escape outside brackets."""
        character = self._peek(1)
        if character in _EMPTY:
            self.is_anchored |= character in _ANCHORS
            self._at += 2
            self.written.append(_EMPTY[character])
            return True
        negated, held = self._class_escape()
        if held:
            self.written.append(f"[{negated}{held}]")
        else:
            self.written.append(_literal(self._character()))
        return False

    def _set(self) -> None:
        """Characters in brackets."""
        self._take("[^" if self._pattern.startswith("[^", self._at) else "[")
        first = True
        while first or self._peek() != "]":
            first = False
            posix = _POSIX.match(self._pattern, self._at)
            if posix is not None:
                self._take(posix.group())
                continue
            negated, held = self._class_escape()
            if held:
                self.written.append(f"[^{held}]" if negated else held)
                continue
            low = high = self._character()
            if self._peek() == "-" and self._peek(1) not in ("]", ""):
                self._at += 1
                high = self._character()
            self.written.append(_literal(low) if low == high else f"{_literal(low)}-{_literal(high)}")
        self._take("]")

    def _class_escape(self) -> tuple[str, str]:
        r"""`^` or nothing, and what a class such as `\d` holds; nothing of both where none stands."""
        if self._peek() != "\\":
            return "", ""
        character = self._peek(1)
        if character.lower() in _CLASSES:
            self._at += 2
            return "^" if character.isupper() else "", _CLASSES[character.lower()]
        named = _NAMED.match(self._pattern, self._at + 1)
        if named is None:
            return "", ""
        name = named.group(2) or named.group(3)
        if name in _UNCERTAIN:
            msg = f"asks for the characters of \\p{{{name}}}, which change from year to year; name others"
            raise UnsharedError(msg)
        self._at = named.end()
        return "^" if (character == "P") != bool(named.group(1)) else "", f"\\p{{{name}}}"

    def _character(self) -> int:
        """One character, escaped or not."""
        character = self._peek()
        self._at += 1
        if character != "\\":
            return ord(character)
        rest = self._pattern
        number = _HEX.match(rest, self._at) or _OCTAL.match(rest, self._at)
        if number is not None:
            self._at = number.end()
            return int(number.group(1) or number.group(2), 16) if number.re is _HEX else int(number.group(), 8)
        character = self._peek()
        if character == "C":
            msg = "asks for single bytes with \\C, which would cut characters in two"
            raise UnsharedError(msg)
        self._at += 1
        return _CONTROLS.get(character, ord(character))

    def _peek(self, ahead: int = 0) -> str:
        return self._pattern[self._at + ahead : self._at + ahead + 1]

    def _take(self, text: str) -> None:
        self._at += len(text)
        self.written.append(text)


def _unquoted(match: re.Match[str]) -> str:
    r"""`\Q...\E` as escapes of its characters; other escapes as they are."""
    quoted = match.group(1)
    return match.group() if quoted is None else "".join(f"\\x{{{ord(one):X}}}" for one in quoted)


def _literal(character: int) -> str:
    if 0xD800 <= character <= 0xDFFF:  # noqa: PLR2004 - halves of surrogate pairs
        msg = f"names half a character, \\x{{{character:X}}}"
        raise UnsharedError(msg)
    return chr(character) if chr(character).isascii() and chr(character).isalnum() else f"\\x{{{character:X}}}"
