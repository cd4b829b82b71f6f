"""Keeping secrets out of whatever the collector says: logs, crashes, error answers, health, `/config`.

A secret is what the configuration declares as one (`SecretStr`), the name and password in an address, whatever came
from a `${file:…}` or from a variable called like one, and what stands under such a name in the settings of a plug-in.
`Mask` knows them in the forms in which programs repeat them: as they are, word by word, quoted for URLs and JSON, in
base64. Words shorter than four characters are not masked in text; they would blot out ordinary words.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import permutations
from typing import Any, TextIO, cast
from urllib.parse import quote, quote_plus, unquote

from pydantic import BaseModel, SecretStr

HIDDEN = "***"
SECRET_NAME = re.compile(r"key|token|secret|pass|auth|credential|dsn|headers|urls|client|settings", re.IGNORECASE)
_SHORTEST = 4
_SHORTEST_UNDECLARED = 6
_SCHEMES = frozenset({"bearer", "basic", "token", "apikey", "digest", "negotiate"})  # words before a secret
_USERINFO = re.compile(r"://([^/\s?#]*)@")
_LONGER_THAN_HOSTS = 32
_MOST_PAIRED = 6  # secrets of one place of which pairs are looked for as `base64(name:password)`


def without_credentials(text: str) -> str:
    """`text` with the name and password of each address in it hidden."""
    return _USERINFO.sub(f"://{HIDDEN}@", text)


def secrets_in(settings: object) -> Iterator[str]:
    """Every secret anywhere in `settings`: models, dataclasses, mappings, lists."""
    own = [one.get_secret_value() for one in _values(settings) if isinstance(one, SecretStr)]
    yield from own
    for name, password in permutations(own[:_MOST_PAIRED], 2):
        yield base64.b64encode(f"{name}:{password}".encode()).decode()
    for one in _values(settings):
        if isinstance(one, str):
            yield from (found for found in _USERINFO.findall(one) if ":" in found or len(found) >= 2 * _SHORTEST)
        elif not isinstance(one, SecretStr):
            yield from secrets_in(one)


def named_secrets(settings: Mapping[Any, Any], *, known: bool = False) -> Iterator[str]:
    """The texts that stand under a secret's name in settings that nobody declared."""
    for key, value in settings.items():
        named = known or (isinstance(key, str) and SECRET_NAME.search(key) is not None)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                yield from named_secrets(one, known=named)
            elif named and isinstance(one, str) and len(one) >= _SHORTEST_UNDECLARED:
                yield one


def shown(settings: object, mask: Mask) -> Any:
    """`settings` as JSON has it, with every secret hidden."""
    if isinstance(settings, BaseModel):
        return {name: shown(value, mask) for name, value in settings}
    if is_dataclass(settings):
        return {one.name: shown(getattr(settings, one.name), mask) for one in fields(settings)}
    if isinstance(settings, Mapping):
        return {str(key): shown(value, mask) for key, value in settings.items()}
    if isinstance(settings, list | tuple | set | frozenset):
        found = [shown(one, mask) for one in settings]
        return sorted(found, key=str) if isinstance(settings, set | frozenset) else found
    plain = settings is None or isinstance(settings, bool | int | float)
    return settings if plain else mask(str(settings))  # a SecretStr writes itself as stars


class Mask:
    """Hides secrets in text; `learn` adds to them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these from now on, too."""
        self._forms.update(form for secret in secrets for form in _forms(secret) if len(form) >= _SHORTEST)
        longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """`text` without any of the secrets."""
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        return without_credentials(text)


class MaskedStream:
    """A text stream that hides secrets in what is written: for `sys.stderr`, where logs, warnings and crashes go."""

    def __init__(self, stream: TextIO, mask: Mask) -> None:
        self._stream = stream
        self._mask = mask

    def write(self, text: str) -> int:
        """Write `text` without secrets."""
        self._stream.write(self._mask(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def masked(stream: TextIO, mask: Mask) -> TextIO:
    """`stream` behind `mask`."""
    return cast("TextIO", MaskedStream(stream, mask))


def _values(settings: object) -> Iterator[object]:
    """What stands one level below `settings`, lists opened."""
    below: Iterable[object] = ()
    if isinstance(settings, BaseModel):
        below = (value for _, value in settings)
    elif is_dataclass(settings):
        below = (getattr(settings, one.name) for one in fields(settings))
    elif isinstance(settings, Mapping):
        below = settings.values()
    elif isinstance(settings, list | tuple):
        below = settings
    for one in below:
        yield from _values(one) if isinstance(one, list | tuple | Mapping) else [one]


def _forms(secret: str) -> Iterator[str]:
    """A secret as programs repeat it."""
    words = [word for word in secret.split() if word.lower() not in _SCHEMES]
    if not words:
        return
    for word in {secret, *words, *(part for one in words for part in _parts(one))}:
        yield from (word, quote(word, safe=""), quote_plus(word), json.dumps(word)[1:-1], repr(word)[1:-1])
        yield base64.b64encode(word.encode()).decode()


def _parts(word: str) -> Iterator[str]:
    """What is secret within a word: the password of `name:password`, also in base64, and the parts of an address."""
    try:
        decoded = base64.b64decode(word, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        decoded = ""
    for pair in (word, decoded):
        name, colon, password = pair.partition(":")
        if colon and name and not password.startswith("//") and len(password) >= _SHORTEST:
            yield from (pair, password)
    if "://" in word:
        parts = (unquote(part) for part in re.split(r"[/?#&=@:]", word.partition("://")[2]))
        for part in parts:
            if len(part) >= 2 * _SHORTEST and ("." not in part or len(part) >= _LONGER_THAN_HOSTS):
                yield part
