"""Text to syntax tree, by Prometheus' grammar and precedence; what is experimental there is refused by name.

A recursive descent over the tokens with precedence climbing for binary operators. Types are checked afterwards
(`check.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NoReturn

from otel_llm_collector.measure.promql import lexer
from otel_llm_collector.measure.promql.lexer import Token
from otel_llm_collector.measure.promql.signatures import (
    AGGREGATIONS,
    EXPERIMENTAL_AGGREGATIONS,
    EXPERIMENTAL_FUNCTIONS,
    PARAMETERS,
    SIGNATURES,
)
from otel_llm_collector.measure.promql.storage import METRIC_NAME, Matcher, anchored
from otel_llm_collector.measure.promql.syntax import (
    Aggregation,
    Binary,
    Call,
    Expr,
    Matching,
    Negation,
    Number,
    Parens,
    Selector,
    Subquery,
    Text,
    When,
    children,
    start_of,
)
from otel_llm_collector.measure.promql.values import ParseError

_PRECEDENCE = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "</", ">/"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%", "atan2"), 5),
    "^": 6,
}
_UNARY = 5  # binds like *, so that -x^2 is -(x^2)
_POWER = 6
_MAX_NESTING = 100  # reject: parentheses, calls and signs inside each other
_MAX_DEPTH = 200  # reject: syntax trees deeper than this; each operator in a row makes one deeper
_WORD_OPERATORS = frozenset({"or", "and", "unless", "atan2"})
_MATCH_OPERATORS = frozenset({"=", "!=", "=~", "!~"})
_NOT_NAMES = frozenset({"bool", "on", "ignoring", "group_left", "group_right", "inf", "nan", "atan2"})


def parse_expression(text: str) -> Expr:
    """The syntax tree of `text`; raises `ParseError`."""
    return _Parser(text).whole()


def parse_selector(text: str) -> Selector:
    """The instant vector selector that `text` is, as the API's `match[]` takes it."""
    found = parse_expression(text)
    if not isinstance(found, Selector) or found.range_ms is not None or found.when != When():
        raise ParseError(f"expected a series selector such as up{{job='x'}}, got {text!r}", text, 0)
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = lexer.tokens(text)
        self._next = 0
        self._depth = 0

    def whole(self) -> Expr:
        if self._peek().kind == "end":
            raise ParseError("no expression found in input", self._text, 0)
        found = self._expression(0)
        if self._peek().kind != "end":
            self._unexpected("")
        self._check_depth(found)
        return found

    def _check_depth(self, expr: Expr) -> None:
        level: list[Expr] = [expr]
        for _ in range(_MAX_DEPTH):
            level = [child for one in level for child in children(one)]
            if not level:
                return
        self._refuse(f"the expression is more than {_MAX_DEPTH} operators and calls deep", start_of(level[0]))

    # Tokens

    def _peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def _take(self) -> Token:
        token = self._peek()
        self._next += 1
        return token

    def _is(self, *texts: str) -> bool:
        token = self._peek()
        return token.text in texts if token.kind == "symbol" else token.kind == "word" and token.text.lower() in texts

    def _expect(self, text: str, context: str) -> Token:
        if not self._is(text):
            self._unexpected(context, f'"{text}"')
        return self._take()

    def _unexpected(self, context: str, wanted: str = "") -> NoReturn:
        token = self._peek()
        seen = {"end": "end of input", "symbol": f'"{token.text}"'}.get(token.kind, f"{token.kind} {token.text!r}")
        message = (
            f"unexpected {seen}" + (f" in {context}" if context else "") + (f", expected {wanted}" if wanted else "")
        )
        raise ParseError(message, self._text, token.at)

    def _refuse(self, message: str, at: int) -> NoReturn:
        raise ParseError(message, self._text, at)

    # Expressions

    def _expression(self, floor: int) -> Expr:
        self._depth += 1
        if self._depth > _MAX_NESTING:
            self._refuse(f"the expression is nested more than {_MAX_NESTING} deep", self._peek().at)
        left = self._unary()
        while (power := self._operator()) > floor:
            operator = self._take()
            as_bool, matching = self._matching()
            right = self._expression(power - 1 if power == _POWER else power)
            left = Binary(operator.text.lower(), left, right, matching, as_bool, operator.at)
        self._depth -= 1
        return left

    def _operator(self) -> int:
        token = self._peek()
        if token.kind == "symbol" or (token.kind == "word" and token.text.lower() in _WORD_OPERATORS):
            return _PRECEDENCE.get(token.text.lower(), 0)
        return 0

    def _matching(self) -> tuple[bool, Matching]:
        as_bool = self._word("bool")
        matching = Matching()
        if self._is("on", "ignoring"):
            on = self._take().text.lower() == "on"
            matching = Matching(self._labels(), on)
            if self._is("group_left", "group_right"):
                many: Literal["left", "right"] = "left" if self._take().text.lower() == "group_left" else "right"
                include = self._labels() if self._is("(") else ()
                matching = Matching(matching.labels, on, many, include)
        if self._is("fill", "fill_left", "fill_right") and self._peek(1).text == "(":
            token = self._take()
            self._refuse(f"the modifier {token.text} is experimental in Prometheus and not supported here", token.at)
        return as_bool, matching

    def _word(self, word: str) -> bool:
        found = self._peek().kind == "word" and self._is(word)
        if found:
            self._take()
        return found

    def _unary(self) -> Expr:
        if not self._is("+", "-"):
            return self._postfix(self._operand())
        sign = self._take()
        inner = self._expression(_UNARY)
        if isinstance(inner, Number):
            return Number(-inner.value if sign.text == "-" else inner.value, sign.at)
        return Negation(inner, sign.text == "-", sign.at)

    def _operand(self) -> Expr:
        token = self._peek()
        if token.kind == "number":
            return Number(lexer.number(self._take(), self._text), token.at)
        if token.kind == "duration":
            return Number(lexer.duration_ms(self._take(), self._text) / 1000, token.at)
        if token.kind == "string":
            return Text(lexer.unquote(self._take(), self._text), token.at)
        if self._is("("):
            self._take()
            inner = self._expression(0)
            self._expect(")", "parenthesized expression")
            return Parens(inner, token.at)
        if self._is("{"):
            return self._selector(None)
        if token.kind != "word":
            self._unexpected("")
        return self._named()

    def _named(self) -> Expr:
        token = self._peek()
        word = token.text.lower()
        follows = self._peek(1)
        if word in AGGREGATIONS | EXPERIMENTAL_AGGREGATIONS and (
            follows.text == "(" or follows.text.lower() in ("by", "without")
        ):
            return self._aggregation()
        if word in ("inf", "nan"):
            self._take()
            return Number(float(word), token.at)
        if follows.text == "(" and follows.kind == "symbol":
            return self._call()
        if word in _NOT_NAMES:
            self._unexpected("")
        return self._selector(self._take())

    def _call(self) -> Call:
        name = self._take()
        if name.text in EXPERIMENTAL_FUNCTIONS:
            self._refuse(f"the function {name.text}() is experimental in Prometheus and not supported here", name.at)
        if name.text not in SIGNATURES:
            self._refuse(f"unknown function with name {name.text!r}", name.at)
        return Call(name.text, self._arguments(), name.at)

    def _arguments(self) -> tuple[Expr, ...]:
        self._expect("(", "function call")
        found: list[Expr] = []
        while not self._is(")"):
            found.append(self._expression(0))
            if not self._is(")"):
                comma = self._expect(",", "function call")
                if self._is(")"):
                    self._refuse("trailing commas not allowed in function call args", comma.at)
        self._take()
        return tuple(found)

    def _aggregation(self) -> Aggregation:
        op = self._take()
        name = op.text.lower()
        if name in EXPERIMENTAL_AGGREGATIONS:
            self._refuse(f"the aggregation {name}() is experimental in Prometheus and not supported here", op.at)
        without, labels = self._grouping()
        arguments = self._arguments()
        if labels is None:
            without, labels = self._grouping()
        wanted = 2 if name in PARAMETERS else 1
        if not arguments:
            self._refuse("no arguments for aggregate expression provided", op.at)
        if len(arguments) != wanted:
            self._refuse(
                f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(arguments)}",
                op.at,
            )
        parameter = arguments[0] if wanted > 1 else None
        return Aggregation(name, arguments[-1], parameter, labels or (), without, op.at)

    def _grouping(self) -> tuple[bool, tuple[str, ...] | None]:
        if not self._is("by", "without"):
            return False, None
        without = self._take().text.lower() == "without"
        return without, self._labels()

    def _labels(self) -> tuple[str, ...]:
        self._expect("(", "grouping opts")
        found: list[str] = []
        while not self._is(")"):
            token = self._peek()
            if token.kind == "string":
                found.append(lexer.unquote(self._take(), self._text))
            elif token.kind == "word" and ":" not in token.text:
                found.append(self._take().text)
            else:
                self._unexpected("grouping opts", "label")
            if not found[-1]:
                self._refuse(f"invalid label name for grouping: {found[-1]!r}", token.at)
            if not self._is(")"):
                self._expect(",", "grouping opts")
        self._take()
        return tuple(found)

    # Selectors

    def _selector(self, name: Token | None) -> Selector:
        at = self._peek().at if name is None else name.at
        matchers = self._matchers() if self._is("{") else []
        if name is not None:
            twice = next((one for one in matchers if one.name == METRIC_NAME), None)
            if twice is not None:
                self._refuse(f"metric name must not be set twice: {name.text!r} or {twice.value!r}", at)
            matchers.append(Matcher(METRIC_NAME, "=", name.text))
        elif all(one.matches("") for one in matchers):
            self._refuse("vector selector must contain at least one non-empty matcher", at)
        return Selector(tuple(matchers), at)

    def _matchers(self) -> list[Matcher]:
        self._take()
        found: list[Matcher] = []
        while not self._is("}"):
            found.append(self._matcher())
            if not self._is("}"):
                self._expect(",", "label matching")
        self._take()
        return found

    def _matcher(self) -> Matcher:
        token = self._peek()
        if token.kind not in ("word", "string"):
            self._unexpected("label matching", 'identifier or "}"')
        self._take()
        label = lexer.unquote(token, self._text) if token.kind == "string" else token.text
        if token.kind == "string" and self._is(",", "}"):
            return Matcher(METRIC_NAME, "=", label)
        if self._peek().text not in _MATCH_OPERATORS:
            self._unexpected("label matching", "label matching operator")
        operator = self._take().text
        value = self._peek()
        if value.kind != "string":
            self._unexpected("label matching", "string")
        matcher = Matcher(label, operator, lexer.unquote(self._take(), self._text))  # type: ignore[arg-type]
        if operator in ("=~", "!~"):
            try:
                anchored(matcher.value)
            except ValueError as error:
                self._refuse(f"error parsing regexp {matcher.value!r}: {error}", value.at)
        return matcher

    def _postfix(self, expr: Expr) -> Expr:
        while True:
            if self._is("["):
                expr = self._range(expr)
            elif self._peek().kind == "word" and self._is("offset"):
                expr = self._offset(expr)
            elif self._is("@"):
                expr = self._fixed(expr)
            elif self._peek().kind == "word" and self._is("anchored", "smoothed"):
                token = self._peek()
                self._refuse(
                    f"the modifier {token.text} is experimental in Prometheus and not supported here", token.at
                )
            else:
                return expr

    def _range(self, expr: Expr) -> Expr:
        bracket = self._take()
        length = self._length("subquery or range selector")
        if self._is(":"):
            self._take()
            step = None if self._is("]") else self._length("subquery selector")
            self._expect("]", "subquery selector")
            return Subquery(expr, length, step, start_of(expr))
        if not self._is("]"):
            self._unexpected("subquery or range", '":" or "]"')
        self._take()
        if not isinstance(expr, Selector) or expr.range_ms is not None:
            self._refuse("ranges only allowed for vector selectors", bracket.at)
        if expr.when.offset_ms:
            self._refuse("no offset modifiers allowed before range", bracket.at)
        if expr.when.fixed is not None:
            self._refuse("no @ modifiers allowed before range", bracket.at)
        return replace(expr, range_ms=length)

    def _length(self, context: str) -> int:
        token = self._peek()
        length = self._milliseconds(context)
        if self._is("+", "-", "*", "/", "%", "^"):
            self._refuse("duration expressions are experimental in Prometheus and not supported here", token.at)
        if length <= 0:
            self._refuse("duration must be greater than 0", token.at)
        return length

    def _milliseconds(self, context: str) -> int:
        sign = -1 if self._is("-") else 1
        if self._is("+", "-"):
            self._take()
        token = self._peek()
        if token.kind == "duration":
            return sign * lexer.duration_ms(self._take(), self._text)
        if token.kind != "number":
            if token.kind == "word" or self._is("("):
                self._refuse("duration expressions are experimental in Prometheus and not supported here", token.at)
            self._unexpected(context, "number or duration")
        seconds = lexer.number(self._take(), self._text)
        if not abs(seconds) < 2**63 / 1e9:
            self._refuse("duration out of range", token.at)
        return sign * (round(seconds * 1e9) // 1_000_000)

    def _offset(self, expr: Expr) -> Expr:
        token = self._take()
        offset = self._milliseconds("offset")
        if not isinstance(expr, (Selector, Subquery)):
            self._refuse(
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                token.at,
            )
        if expr.when.offset_ms:
            self._refuse("offset may not be set multiple times", token.at)
        return replace(expr, when=replace(expr.when, offset_ms=offset))

    def _fixed(self, expr: Expr) -> Expr:
        token = self._take()
        moment = self._moment()
        if not isinstance(expr, (Selector, Subquery)):
            self._refuse(
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                token.at,
            )
        if expr.when.fixed is not None:
            self._refuse("@ <timestamp> may not be set multiple times", token.at)
        return replace(expr, when=replace(expr.when, fixed=moment))

    def _moment(self) -> int | Literal["start", "end"]:
        word = self._peek().text.lower()
        if word in ("start", "end"):
            self._take()
            self._expect("(", "@")
            self._expect(")", "@")
            return "start" if word == "start" else "end"
        sign = -1 if self._is("-") else 1
        if self._is("+", "-"):
            self._take()
        token = self._peek()
        if token.kind == "word" and word in ("inf", "nan"):
            seconds = float(word)
        elif token.kind == "number":
            seconds = lexer.number(token, self._text)
        elif token.kind == "duration":
            seconds = lexer.duration_ms(token, self._text) / 1000
        else:
            self._unexpected("@", "timestamp")
        if not abs(seconds) < 2**63 / 1000:
            self._refuse(f"timestamp out of bounds for @ modifier: {sign * seconds}", token.at)
        self._take()
        return _round_half_away(sign * seconds * 1000)


def _round_half_away(value: float) -> int:
    return int(value + 0.5) if value >= 0 else -int(-value + 0.5)
