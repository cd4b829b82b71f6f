"""The functions of templates: Go's own and Prometheus', with Go's way of writing numbers.

Functions that need a clock, a query or an address are made by `functions_of`.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import quote_plus, urlsplit

import re2

from otel_llm_collector.alert.durations import parse_duration

_EXPONENT_FROM, _EXPONENT_BELOW = 6, -4  # where Go changes to writing an exponent


_MAX_WIDTH = 1000  # of what `printf` writes


_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+)|\$)")  # in a replacement
_QUIET = re2.Options()
_QUIET.log_errors = False


class TemplateError(ValueError):
    """A template that cannot be parsed or expanded."""


def truth(value: Any) -> bool:
    """Whether Go's `if` takes it: not false, 0, empty or nil."""
    if isinstance(value, float):
        return value != 0.0
    return bool(value)


def go_float(value: float) -> str:
    """A float as Go prints it: the shortest digits, with an exponent from 1e+06 on and below 1e-4."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = len(digits) - 1 + int(exponent)
    minus = "-" if sign else ""
    if value and not _EXPONENT_BELOW <= power < _EXPONENT_FROM:
        written = "".join(map(str, digits))
        mantissa = f"{written[0]}.{written[1:]}" if len(written) > 1 else written
        return f"{minus}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"
    return f"{minus}{Decimal((0, digits, int(exponent))):f}" if value else f"{minus}0"


def go_text(value: Any) -> str:
    """A value as Go's `fmt.Print` writes it."""
    simple = _PLAIN.get(type(value))
    if simple is not None:
        return simple(value)
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{go_text(one)}' for key, one in sorted(value.items()))}]"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{' '.join(map(go_text, value))}]"
    return str(value)


def go_time(value: datetime) -> str:
    """A moment as Go prints it."""
    fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
    return f"{value:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def go_duration(value: timedelta) -> str:
    """A duration as Go prints it: `1h2m3.5s`."""
    seconds = value.total_seconds()
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if 0 < seconds < 1:
        unit, factor = ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)  # noqa: PLR2004 - a millisecond
        return f"{sign}{go_float(round(seconds * factor, 6))}{unit}"
    whole, rest = divmod(round(seconds * 1e6), 60_000_000)
    hours, minutes = divmod(whole, 60)
    text = f"{go_float(rest / 1e6)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"


_PLAIN: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    float: go_float,
    type(None): lambda _: "<no value>",
    datetime: go_time,
    timedelta: go_duration,
}


def number(value: Any) -> float:
    """What the humanizing functions take: numbers, durations, and text that is a number."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            msg = f"strconv.ParseFloat: parsing {_quoted(value)}: invalid syntax"
            raise TemplateError(msg) from None
    msg = f"can't convert {_kind(value)} to float"
    raise TemplateError(msg)


def _digits(value: float, digits: int = 4) -> str:
    """Go's `%.4g`."""
    if not math.isfinite(value):
        return go_float(value)
    return f"{value:.{digits}g}"


def _scaled(value: float, prefixes: str, base: float, *, down: bool) -> tuple[float, str]:
    """`value` divided (or multiplied) by `base` until it is of a readable size, and the prefix that stands for it."""
    prefix = ""
    for one in prefixes:
        if abs(value) >= 1 if down else abs(value) < base:
            break
        prefix = one
        value = value * base if down else value / base
    return value, prefix


def humanize(value: Any) -> str:
    """With a metric prefix."""
    found = number(value)
    if found == 0 or not math.isfinite(found):
        return _digits(found)
    small = abs(found) < 1
    scaled, prefix = _scaled(found, "munpfazy" if small else "kMGTPEZY", 1000.0, down=small)
    return f"{_digits(scaled)}{prefix}"


def humanize_1024(value: Any) -> str:
    """With a binary prefix."""
    found = number(value)
    if abs(found) <= 1 or not math.isfinite(found):
        return _digits(found)
    scaled, prefix = _scaled(found, "kMGTPEZY", 1024.0, down=False)
    return f"{_digits(scaled)}{prefix}i" if prefix else _digits(scaled)


def humanize_duration(value: Any) -> str:
    """Seconds in days, hours, minutes and seconds."""
    found = number(value)
    if not math.isfinite(found):
        return _digits(found)
    if abs(found) >= 1:
        sign, found = ("-" if found < 0 else ""), abs(found)
        minutes, seconds = divmod(int(found), 60)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        if days:
            return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
        if hours:
            return f"{sign}{hours}h {minutes}m {seconds}s"
        return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{_digits(found)}s"
    scaled, prefix = _scaled(found, "munpfazy", 1000.0, down=True) if found else (found, "")
    return f"{_digits(scaled)}{prefix}s"


def humanize_percentage(value: Any) -> str:
    """A ratio as a percentage."""
    return f"{_digits(number(value) * 100)}%"


def _moment(seconds: float) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=math.floor(seconds * 1000))
    except OverflowError:
        msg = f"{go_float(seconds)} cannot be represented as a nanoseconds timestamp since it overflows int64"
        raise TemplateError(msg) from None


def humanize_timestamp(value: Any) -> str:
    """Seconds since the epoch as a date."""
    found = number(value)
    return go_time(_moment(found)) if math.isfinite(found) else _digits(found)


def _title(text: str) -> str:
    return re.sub(r"(?<!\w)[^\W\d_]", lambda found: found[0].upper(), text)


def _pattern(text: str) -> Any:
    try:
        return re2.compile(text, _QUIET)
    except re2.error as error:
        msg = f"{text!r} is no regular expression: {error}"
        raise TemplateError(msg) from error


def _replace_all(pattern: str, replacement: str, text: str) -> str:
    """Go's `ReplaceAllString`: `$1`, `${name}`; a group that is not there is empty."""
    compiled = _pattern(pattern)

    def group(found: Any, name: str) -> str:
        key: int | str = int(name) if name.isdecimal() else name
        known = key <= compiled.groups if isinstance(key, int) else key in compiled.groupindex
        return (found.group(key) or "") if known else ""

    def expand(found: Any) -> str:
        return _REFERENCE.sub(lambda part: group(found, part[1] or part[2]) if part[1] or part[2] else "$", replacement)

    return str(compiled.sub(expand, text))


def _strip_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0] if "]" in host else host
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _strip_domain(host: str) -> str:
    name, colon, port = host.partition(":") if not host.startswith("[") else (host, "", "")
    if re.fullmatch(r"[0-9.]+|\[.*\]?", name):
        return host
    return name.partition(".")[0] + colon + port


def _first(vector: Sequence[Any]) -> Any:
    if not vector:
        msg = "first() called on vector with no elements"
        raise TemplateError(msg)
    return vector[0]


def _link(expression: str, tab: int) -> str:
    return f"/graph?g0.expr={quote_plus(expression)}&g0.tab={tab}"


def _comparable(left: Any, right: Any, *, ordered: bool) -> None:
    kinds = {_basic_kind(left), _basic_kind(right)}
    if None in kinds or (ordered and "bool" in kinds):
        msg = "invalid type for comparison"
        raise TemplateError(msg)
    if len(kinds) > 1:
        msg = "incompatible types for comparison"
        raise TemplateError(msg)


def _basic_kind(value: Any) -> str | None:
    kinds: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "string"}
    return kinds.get(type(value))


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def run(left: Any, right: Any) -> bool:
        _comparable(left, right, ordered=True)
        return compare(left, right)

    return run


def _equal(left: Any, *others: Any) -> bool:
    if not others:
        msg = "missing argument for comparison"
        raise TemplateError(msg)
    for one in others:
        if left is not None and one is not None:
            _comparable(left, one, ordered=False)
    return any(left == one for one in others)


def _not_equal(left: Any, right: Any) -> bool:
    return not _equal(left, right)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, Sequence) and isinstance(key, int) and 0 <= key < len(value):
            value = ord(value[key]) if isinstance(value, str) else value[key]
        else:
            msg = f"error indexing with {go_text(key)}"
            raise TemplateError(msg)
    return value


def _slice(value: Any, first: int = 0, last: int | None = None) -> Any:
    end = len(value) if last is None else last
    if not 0 <= first <= end <= len(value):
        msg = f"index out of range: {end if end > len(value) else first}"
        raise TemplateError(msg)
    return value[first:end]


def _length(value: Any) -> int:
    return len(value.encode()) if isinstance(value, str) else len(value)


def _print(*values: Any) -> str:
    parts = [go_text(value) for value in values[:1]]
    for before, value in pairwise(values):
        parts.append(go_text(value) if isinstance(value, str) or isinstance(before, str) else f" {go_text(value)}")
    return "".join(parts)


def _kind(value: Any) -> str:
    kinds = {
        bool: "bool",
        int: "int",
        float: "float64",
        str: "string",
        datetime: "time.Time",
        dict: "map[string]string",
    }
    return kinds.get(type(value), "nil" if value is None else "[]interface {}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d+)?(?:\.(?P<precision>\d*))?(?P<verb>[a-zA-Z%])")


def go_printf(form: str, *values: Any) -> str:
    """Go's `Sprintf`, with its way of saying what does not fit."""
    rest = list(values)

    def written(match: re.Match[str]) -> str:
        if match["verb"] == "%":
            return "%"
        if not rest:
            return f"%!{match['verb']}(MISSING)"
        text = _verb(match, rest.pop(0))
        width = int(match["width"] or 0)
        if width > _MAX_WIDTH or int(match["precision"] or 0) > _MAX_WIDTH:
            msg = f"a width of more than {_MAX_WIDTH}"
            raise TemplateError(msg)
        if "-" in match["flags"]:
            return text.ljust(width)
        if "0" in match["flags"] and match["verb"] in "dfFeEgGxX":
            return text.zfill(width)
        return text.rjust(width)

    out = _VERB.sub(written, form)
    if rest:
        out += f"%!(EXTRA {', '.join(f'{_kind(value)}={go_text(value)}' for value in rest)})"
    return out


def _verb(match: re.Match[str], value: Any) -> str:
    """One value by one verb."""
    verb, precision = match["verb"], match["precision"]
    digits = int(precision or 0) if precision is not None else None
    written = _written(verb, digits, value)
    if written is None:
        return f"%!{verb}({_kind(value)}={go_text(value)})"
    above = isinstance(value, (int, float)) and value >= 0
    return f"+{written}" if "+" in match["flags"] and above else written


def _written(verb: str, digits: int | None, value: Any) -> str | None:
    kind = _basic_kind(value)
    if verb == "v":
        return go_text(value)
    if verb == "s" and kind in ("string", None):
        return go_text(value)[:digits]
    if kind == "string" and verb in "qxX":
        text = str(value)
        return {"q": _quoted(text), "x": text.encode().hex(), "X": text.encode().hex().upper()}[verb]
    if kind == "int" and verb in "dxXc":
        return chr(value) if verb == "c" else format(value, verb)
    if kind == "float" and verb in "eEfFgG":
        plain = not math.isfinite(value) or (verb in "gG" and digits is None)
        return go_float(value) if plain else format(value, f".{6 if digits is None else digits}{verb}")
    return go_text(value) if kind == "bool" and verb == "t" else None


def _arguments(*values: Any) -> dict[str, Any]:
    return {f"arg{index}": value for index, value in enumerate(values)}


BUILTINS: Mapping[str, Callable[..., Any]] = {
    "and": truth,  # `and` and `or` stop early, so the template runs them itself
    "or": truth,
    "not": lambda value: not truth(value),
    "eq": _equal,
    "ne": _not_equal,
    "lt": _ordered(lambda left, right: left < right),
    "le": _ordered(lambda left, right: left <= right),
    "gt": _ordered(lambda left, right: left > right),
    "ge": _ordered(lambda left, right: left >= right),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": go_printf,
    "println": lambda *values: " ".join(map(go_text, values)) + "\n",
    "html": lambda *values: html.escape(_print(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "urlquery": lambda *values: quote_plus(_print(*values)),
    "args": _arguments,
    "first": _first,
    "graphLink": lambda expression: _link(expression, 0),
    "tableLink": lambda expression: _link(expression, 1),
    "humanize": humanize,
    "humanize1024": humanize_1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "label": lambda name, sample: sample["Labels"].get(name, ""),
    "match": lambda pattern, text: _pattern(pattern).search(text) is not None,
    "parseDuration": parse_duration,
    "reReplaceAll": _replace_all,
    "safeHtml": lambda text: text,
    "sortByLabel": lambda name, vector: sorted(vector, key=lambda sample: sample["Labels"].get(name, "")),
    "stripDomain": _strip_domain,
    "stripPort": _strip_port,
    "strvalue": lambda sample: sample["Labels"].get("__value__", ""),
    "title": _title,
    "toDuration": lambda value: timedelta(seconds=number(value)),
    "toLower": str.lower,
    "toTime": lambda value: _moment(number(value)),
    "toUpper": str.upper,
    "urlQueryEscape": quote_plus,
    "value": lambda sample: sample["Value"],
}
SITUATED = ("query", "now", "externalURL", "pathPrefix")  # the names that `functions_of` adds


def functions_of(
    query: Callable[[str], Sequence[Mapping[str, Any]]], now: float, external_url: str
) -> dict[str, Callable[..., Any]]:
    """The functions that depend on where and when a template is expanded."""
    return {
        "query": query,
        "now": lambda: now,
        "externalURL": lambda: external_url,
        "pathPrefix": lambda: urlsplit(external_url).path.rstrip("/"),
    }
