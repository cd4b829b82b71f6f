"""Go's text/template as far as Prometheus rules use it: what stands in labels and annotations of a rule.

Text with `{{ … }}`: pipelines, variables, `if`/`else if`/`else`, `range`, `with`, `define`/`template`, comments, trim
marks; the comparison, logic and printing functions of Go, and Prometheus' own (`template_functions.py`). A template is
parsed once, when its rule is loaded, so that a mistake is found then; `Template.expand` runs it (`template_run.py`).

Go is strict about types where a template compares, and so is this: `gt $value 5` is an error there and here, and
`gt $value 5.0` is right. What a map does not have is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from otel_llm_collector.alert.template_functions import BUILTINS, TemplateError
from otel_llm_collector.alert.template_run import (
    Branch,
    Break,
    Command,
    Continue,
    Functions,
    Include,
    Leave,
    Node,
    Operand,
    Pipeline,
    Print,
    Range,
    Run,
    Text,
    dot,
    field_of,
    variable,
)

# What Prometheus puts before every template of a rule.
_PRELUDE = {"$labels": "Labels", "$externalLabels": "ExternalLabels", "$externalURL": "ExternalURL", "$value": "Value"}

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<char>'(?:[^'\\]|\\.)+')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?))
    |(?P<variable>\$\w*)|(?P<field>\.\w+)|(?P<dot>\.)|(?P<word>[A-Za-z_]\w*)|(?P<sign>:=|=|\||\(|\)|,))""",
    re.VERBOSE,
)
_ACTION = re.compile(r"\{\{(?:-(?=\s))?")
_KEYWORDS = frozenset({"if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"})


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    spaced: bool  # whether white space stands before it


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    source: str
    _body: tuple[Node, ...] = field(repr=False)
    _defined: Mapping[str, tuple[Node, ...]] = field(repr=False, hash=False)

    def expand(self, data: Mapping[str, Any], functions: Functions) -> str:
        """The text for `data`; raises `TemplateError`. `functions`: those that need a clock, a query or an address."""
        if not self._defined and len(self._body) <= 1 and all(isinstance(node, Text) for node in self._body):
            return self.source
        run = Run(self._defined, data, functions)
        for name, key in _PRELUDE.items():
            run.assign(name, data.get(key), declares=True)
        run.run(self._body)
        return run.text()


def parse(source: str, functions: Sequence[str] = ()) -> Template:
    """The template in `source`; raises `TemplateError`. `functions` are names that `expand` will be given."""
    parser = _Parser(source, frozenset(functions) | frozenset(BUILTINS))
    body = parser.whole()
    return Template(source, body, parser.defined)


def literal(text: str) -> Template:
    """A template that says `text` whatever stands in it."""
    return Template(text, (Text(text),), {})


class _Parser:
    """Recursive descent over actions; variables are checked to be declared, functions to exist."""

    def __init__(self, source: str, functions: frozenset[str]) -> None:
        self._pieces = list(_pieces(source))
        self._index = 0
        self._functions = functions
        self._scopes: list[set[str]] = [{"$", *_PRELUDE}]
        self._loops = 0
        self.defined: dict[str, tuple[Node, ...]] = {}

    def whole(self) -> tuple[Node, ...]:
        nodes, ended_by = self._nodes()
        if ended_by is not None:
            msg = f"unexpected {{{{{ended_by[0].text}}}}}"
            raise TemplateError(msg)
        return nodes

    def _nodes(self) -> tuple[tuple[Node, ...], list[_Token] | None]:
        """Nodes up to an `else` or `end`, whose tokens come second, or to the end of the text."""
        nodes: list[Node] = []
        while self._index < len(self._pieces):
            piece = self._pieces[self._index]
            self._index += 1
            if isinstance(piece, str):
                nodes.append(Text(piece))
                continue
            tokens = list(piece)
            if not tokens:
                msg = "missing value for command"
                raise TemplateError(msg)
            word = tokens[0].text if tokens[0].kind == "word" else ""
            if word in ("else", "end"):
                return tuple(nodes), tokens
            node = self._keyword(word, tokens[1:]) if word in _KEYWORDS else Print(self._pipeline(tokens))
            if node is not None:
                nodes.append(node)
        return tuple(nodes), None

    def _keyword(self, word: str, rest: list[_Token]) -> Node | None:
        if word in ("if", "with"):
            return self._branch(word, rest)
        if word == "range":
            return self._range(rest)
        if word in ("break", "continue"):
            if not self._loops:
                msg = f"{{{{{word}}}}} outside {{{{range}}}}"
                raise TemplateError(msg)
            return Leave(Break if word == "break" else Continue)
        if not rest or rest[0].kind != "string":
            msg = f"{word} needs the name of a template in quotes"
            raise TemplateError(msg)
        name = _string(rest[0].text)
        if word == "template":
            return Include(name, self._pipeline(rest[1:]) if rest[1:] else None)
        pipeline = self._pipeline(rest[1:]) if word == "block" else None
        outside, self._scopes = self._scopes, [{"$"}]
        self.defined[name] = self._body(word)
        self._scopes = outside
        return Include(name, pipeline) if word == "block" else None

    def _body(self, word: str) -> tuple[Node, ...]:
        nodes, ended_by = self._nodes()
        if ended_by is None or ended_by[0].text != "end":
            msg = f"{{{{{word}}}}} is not ended by {{{{end}}}}"
            raise TemplateError(msg)
        return nodes

    def _branch(self, word: str, rest: list[_Token]) -> Node:
        self._scopes.append(set())
        pipeline = self._pipeline(rest)
        body, ended_by = self._nodes()
        otherwise: tuple[Node, ...] = ()
        if ended_by is not None and ended_by[0].text == "else":
            if len(ended_by) > 1 and ended_by[1].text in ("if", "with"):
                otherwise = (self._branch(ended_by[1].text, ended_by[2:]),)
            else:
                otherwise = self._body(word)
        elif ended_by is None:
            msg = f"{{{{{word}}}}} is not ended by {{{{end}}}}"
            raise TemplateError(msg)
        self._scopes.pop()
        return Branch(pipeline, body, otherwise, word == "with")

    def _range(self, rest: list[_Token]) -> Node:
        self._scopes.append(set())
        self._loops += 1
        pipeline = self._pipeline(rest, most=2)
        body, ended_by = self._nodes()
        if ended_by is None:
            msg = "{{range}} is not ended by {{end}}"
            raise TemplateError(msg)
        otherwise = self._body("range") if ended_by[0].text == "else" else ()
        self._loops -= 1
        self._scopes.pop()
        return Range(pipeline, body, otherwise)

    def _pipeline(self, tokens: list[_Token], most: int = 1) -> Pipeline:
        variables, declares, tokens = self._variables(tokens, most)
        commands, rest = self._commands(tokens)
        if rest:
            _unexpected(rest[0])
        if declares:
            self._scopes[-1].update(variables)
        return Pipeline(commands, variables, declares)

    def _variables(self, tokens: list[_Token], most: int) -> tuple[tuple[str, ...], bool, list[_Token]]:
        """`$x :=`, `$x =` or `$i, $x :=` at the front."""
        names, index = [], 0
        while index + 1 < len(tokens) and tokens[index].kind == "variable":
            names.append(tokens[index].text)
            sign = tokens[index + 1].text
            if sign in (":=", "="):
                if sign == "=" and not all(map(self._is_declared, names)):
                    msg = f"undefined variable {names[0]}"
                    raise TemplateError(msg)
                return tuple(names), sign == ":=", tokens[index + 2 :]
            if sign != "," or len(names) >= most:
                break
            index += 2
        return (), False, tokens

    def _is_declared(self, name: str) -> bool:
        return any(name in scope for scope in self._scopes)

    def _commands(self, tokens: list[_Token]) -> tuple[tuple[Command, ...], list[_Token]]:
        """Commands up to a closing parenthesis or the end; and what is left."""
        commands: list[Command] = []
        while True:
            command, tokens = self._command(tokens, first=not commands)
            commands.append(command)
            if not tokens or tokens[0].text != "|" or tokens[0].kind != "sign":
                return tuple(commands), tokens
            tokens = tokens[1:]

    def _command(self, tokens: list[_Token], *, first: bool) -> tuple[Command, list[_Token]]:
        if tokens and tokens[0].kind == "word" and tokens[0].text not in ("true", "false", "nil"):
            name = tokens[0].text
            if name not in self._functions:
                msg = f'function "{name}" not defined'
                raise TemplateError(msg)
            arguments, rest = self._operands(tokens[1:])
            return Command(name, tuple(arguments)), rest
        arguments, rest = self._operands(tokens)
        if not arguments:
            msg = "missing value for command"
            raise TemplateError(msg)
        if len(arguments) > 1 or not first:
            msg = f"can't give argument to non-function {tokens[0].text}"
            raise TemplateError(msg)
        return Command(None, tuple(arguments)), rest

    def _operands(self, tokens: list[_Token]) -> tuple[list[Operand], list[_Token]]:
        operands = []
        while tokens and not (tokens[0].kind == "sign" and tokens[0].text in ("|", ")")):
            operand, tokens = self._operand(tokens)
            operands.append(operand)
        return operands, tokens

    def _operand(self, tokens: list[_Token]) -> tuple[Operand, list[_Token]]:
        token, rest = tokens[0], tokens[1:]
        operand: Operand
        if token.kind == "sign" and token.text == "(":
            commands, rest = self._commands(rest)
            if not rest or rest[0].text != ")":
                msg = "unclosed left paren"
                raise TemplateError(msg)
            pipeline = Pipeline(commands)
            operand, rest = pipeline.run, rest[1:]
        elif token.kind == "variable":
            if not self._is_declared(token.text):
                msg = f"undefined variable {token.text}"
                raise TemplateError(msg)
            operand = variable(token.text)
        elif token.kind == "field":
            operand = field_of(dot, token.text[1:])
        elif token.kind == "dot":
            operand = dot
        elif token.kind == "word" and token.text in self._functions:
            operand = Pipeline((Command(token.text, ()),)).run
        else:
            operand = _constant(token)
        while rest and rest[0].kind == "field" and not rest[0].spaced:
            operand, rest = field_of(operand, rest[0].text[1:]), rest[1:]
        return operand, rest


def _pieces(source: str) -> Iterator[str | list[_Token]]:
    """Texts and actions in turn, with the white space gone that trim marks take."""
    position, trim = 0, False
    while True:
        start = source.find("{{", position)
        text = source[position:] if start < 0 else source[position:start]
        trim_right = start >= 0 and re.match(r"\{\{-\s", source[start : start + 4]) is not None
        text = text.lstrip() if trim else text
        text = text.rstrip() if trim_right else text
        if text:
            yield text
        if start < 0:
            return
        inside = start + (3 if trim_right else 2)
        comment = re.compile(r"\s*/\*.*?\*/\s*?(\s-)?\}\}", re.DOTALL).match(source, inside)
        if comment:
            position, trim = comment.end(), bool(comment.group(1))
            continue
        tokens, position, trim = _tokens(source, inside)
        yield tokens


def _tokens(source: str, position: int) -> tuple[list[_Token], int, bool]:
    """The tokens of an action, where the text goes on, and whether its white space is to go."""
    tokens: list[_Token] = []
    while True:
        end = re.compile(r"(\s+-)?\s*\}\}").match(source, position)
        if end:
            return tokens, end.end(), bool(end.group(1))
        match = _TOKEN.match(source, position)
        if match is None or match.end() == position:
            if not source[position:].strip():
                msg = "unclosed action"
                raise TemplateError(msg)
            msg = f"unexpected {source[position : position + 10].strip()!r} in an action"
            raise TemplateError(msg)
        kind = match.lastgroup or ""
        tokens.append(_Token(kind, match.group(kind), match.start(kind) > position))
        position = match.end()


def _unexpected(token: _Token) -> NoReturn:
    msg = f"unexpected {token.text!r} in command"
    raise TemplateError(msg)


def _constant(token: _Token) -> Operand:
    if token.kind == "string":
        value: Any = _string(token.text)
    elif token.kind == "char":
        value = ord(_string(f'"{token.text[1:-1]}"'))
    elif token.kind == "number":
        value = int(token.text, 0) if re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]+|\d+)", token.text) else float(token.text)
    elif token.kind == "word" and token.text in ("true", "false", "nil"):
        value = {"true": True, "false": False, "nil": None}[token.text]
    elif token.kind == "word":
        msg = f'function "{token.text}" not defined'
        raise TemplateError(msg)
    else:
        _unexpected(token)
    return lambda _: value


def _string(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return text[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError as error:
        msg = f"invalid syntax in string {text}"
        raise TemplateError(msg) from error
