"""Go's text/template as far as Prometheus rules use it: what stands in labels and annotations of a rule.

Text with `{{ … }}`: pipelines, variables, `if`/`else if`/`else`, `range`, `with`, `define`/`template`, comments, trim
marks; the comparison, logic and printing functions of Go, and Prometheus' own (`template_functions.py`). A template is
parsed once, when its rule is loaded, so that a mistake is found then; `Template.expand` runs it.

Go is strict about types where a template compares, and so is this: `gt $value 5` is an error there and here, and
`gt $value 5.0` is right. What a map does not have is empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from otel_llm_collector.alert.template_functions import BUILTINS, TemplateError, go_text, truth

Functions = Mapping[str, Callable[..., Any]]

# What Prometheus puts before every template of a rule.
_PRELUDE = {"$labels": "Labels", "$externalLabels": "ExternalLabels", "$externalURL": "ExternalURL", "$value": "Value"}

_MAX_OUTPUT_CHARS = 64 * 1024
_MAX_STEPS = 100_000  # nodes run in one expansion, so that a template cannot run away
_MAX_CALLS = 50  # of templates within templates

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


# An operand: a function from the running state to a value.
_Operand = Callable[["_Run"], Any]


@dataclass(frozen=True, slots=True)
class _Command:
    """A function with its arguments, or one operand."""

    name: str | None
    arguments: tuple[_Operand, ...]

    def run(self, state: _Run, piped: tuple[Any, ...]) -> Any:
        if self.name is None:
            if piped:
                msg = "can't give argument to non-function"
                raise TemplateError(msg)
            return self.arguments[0](state)
        if self.name in ("and", "or"):
            return self._short_cut(state, piped)
        return state.call(self.name, [*(argument(state) for argument in self.arguments), *piped])

    def _short_cut(self, state: _Run, piped: tuple[Any, ...]) -> Any:
        value: Any = None
        for argument in self.arguments:
            value = argument(state)
            if truth(value) == (self.name == "or"):
                return value
        return piped[0] if piped else value


@dataclass(frozen=True, slots=True)
class _Pipeline:
    """Commands, each given the value of the one before as its last argument; and the variables that take the value."""

    commands: tuple[_Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False

    def run(self, state: _Run) -> Any:
        value: Any = None
        for index, command in enumerate(self.commands):
            value = command.run(state, (value,) if index else ())
        for name in self.variables:
            state.assign(name, value, declares=self.declares)
        return value


class _Node:
    """Something that writes."""

    def run(self, state: _Run) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Text(_Node):
    text: str

    def run(self, state: _Run) -> None:
        state.write(self.text)


@dataclass(frozen=True, slots=True)
class _Print(_Node):
    pipeline: _Pipeline

    def run(self, state: _Run) -> None:
        value = self.pipeline.run(state)
        if not self.pipeline.variables:
            state.write(go_text(value))


@dataclass(frozen=True, slots=True)
class _Branch(_Node):
    """`if` and `with`."""

    pipeline: _Pipeline
    body: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]
    with_dot: bool

    def run(self, state: _Run) -> None:
        with state.scope():
            value = self.pipeline.run(state)
            if not truth(value):
                state.run(self.otherwise)
            elif self.with_dot:
                with state.scope(value):
                    state.run(self.body)
            else:
                state.run(self.body)


@dataclass(frozen=True, slots=True)
class _Range(_Node):
    pipeline: _Pipeline
    body: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]

    def run(self, state: _Run) -> None:
        with state.scope():
            value = _Pipeline(self.pipeline.commands).run(state)
            pairs = list(_pairs(value))
            if not pairs:
                state.run(self.otherwise)
            for key, one in pairs:
                with state.scope(one):
                    names = self.pipeline.variables
                    for name, what in zip(names, (key, one)[-len(names) :], strict=False):
                        state.assign(name, what, declares=True)
                    try:
                        state.run(self.body)
                    except _Continue:
                        continue
                    except _Break:
                        break


@dataclass(frozen=True, slots=True)
class _Leave(_Node):
    error: type[Exception]

    def run(self, state: _Run) -> None:
        raise self.error


@dataclass(frozen=True, slots=True)
class _Include(_Node):
    name: str
    pipeline: _Pipeline | None

    def run(self, state: _Run) -> None:
        value = self.pipeline.run(state) if self.pipeline else None
        state.include(self.name, value)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


def _pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from sorted(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from enumerate(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from ((index, index) for index in range(min(value, _MAX_STEPS)))
    elif value is not None:
        msg = f"range can't iterate over {go_text(value)}"
        raise TemplateError(msg)


class _Run:
    """One expansion: the output so far, the variables, and `.`."""

    def __init__(self, defined: Mapping[str, tuple[_Node, ...]], data: Any, functions: Functions) -> None:
        self._defined = defined
        self._functions = functions
        self._out: list[str] = []
        self._length = 0
        self._steps = 0
        self._depth = 0
        self.dots = [data]
        self.variables: list[dict[str, Any]] = [{"$": data}]

    def text(self) -> str:
        return "".join(self._out)

    def write(self, text: str) -> None:
        self._length += len(text)
        if self._length > _MAX_OUTPUT_CHARS:
            msg = f"the text is longer than {_MAX_OUTPUT_CHARS} characters"
            raise TemplateError(msg)
        self._out.append(text)

    def run(self, nodes: Sequence[_Node]) -> None:
        self._steps += 1 + len(nodes)
        if self._steps > _MAX_STEPS:
            msg = f"more than {_MAX_STEPS} steps"
            raise TemplateError(msg)
        for node in nodes:
            node.run(self)

    def include(self, name: str, data: Any) -> None:
        if name not in self._defined:
            msg = f'template "{name}" not defined'
            raise TemplateError(msg)
        self._depth += 1
        if self._depth > _MAX_CALLS:
            msg = "templates call each other too deeply"
            raise TemplateError(msg)
        outside, self.variables = self.variables, [{"$": data}]
        try:
            with self.scope(data):
                self.run(self._defined[name])
        finally:
            self.variables = outside
            self._depth -= 1

    def scope(self, *dot: Any) -> _Scope:
        return _Scope(self, dot)

    def assign(self, name: str, value: Any, *, declares: bool) -> None:
        if declares:
            self.variables[-1][name] = value
            return
        for scope in reversed(self.variables):
            if name in scope:
                scope[name] = value
                return

    def variable(self, name: str) -> Any:
        return next((scope[name] for scope in reversed(self.variables) if name in scope), None)

    def call(self, name: str, arguments: list[Any]) -> Any:
        function = self._functions.get(name) or BUILTINS[name]
        try:
            return function(*arguments)
        except TemplateError as error:
            msg = f"error calling {name}: {error}"
            raise TemplateError(msg) from error
        except (TypeError, ValueError, IndexError, KeyError, OverflowError, re.error) as error:
            msg = f"error calling {name}: {type(error).__name__}: {error}"
            raise TemplateError(msg) from error


class _Scope:
    """Variables, and `.` where given, that end with a block."""

    def __init__(self, run: _Run, dot: tuple[Any, ...]) -> None:
        self._run, self._dot = run, dot

    def __enter__(self) -> None:
        self._run.variables.append({})
        self._run.dots.extend(self._dot)

    def __exit__(self, *_: object) -> None:
        self._run.variables.pop()
        if self._dot:
            self._run.dots.pop()


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    source: str
    _body: tuple[_Node, ...] = field(repr=False)
    _defined: Mapping[str, tuple[_Node, ...]] = field(repr=False, hash=False)

    def expand(self, data: Mapping[str, Any], functions: Functions) -> str:
        """The text for `data`; raises `TemplateError`. `functions`: those that need a clock, a query or an address."""
        if not self._defined and len(self._body) <= 1 and all(isinstance(node, _Text) for node in self._body):
            return self.source
        run = _Run(self._defined, data, functions)
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
    return Template(text, (_Text(text),), {})


class _Parser:
    """Recursive descent over actions; variables are checked to be declared, functions to exist."""

    def __init__(self, source: str, functions: frozenset[str]) -> None:
        self._pieces = list(_pieces(source))
        self._index = 0
        self._functions = functions
        self._scopes: list[set[str]] = [{"$", *_PRELUDE}]
        self._loops = 0
        self.defined: dict[str, tuple[_Node, ...]] = {}

    def whole(self) -> tuple[_Node, ...]:
        nodes, ended_by = self._nodes()
        if ended_by is not None:
            msg = f"unexpected {{{{{ended_by[0].text}}}}}"
            raise TemplateError(msg)
        return nodes

    def _nodes(self) -> tuple[tuple[_Node, ...], list[_Token] | None]:
        """Nodes up to an `else` or `end`, whose tokens come second, or to the end of the text."""
        nodes: list[_Node] = []
        while self._index < len(self._pieces):
            piece = self._pieces[self._index]
            self._index += 1
            if isinstance(piece, str):
                nodes.append(_Text(piece))
                continue
            tokens = list(piece)
            if not tokens:
                msg = "missing value for command"
                raise TemplateError(msg)
            word = tokens[0].text if tokens[0].kind == "word" else ""
            if word in ("else", "end"):
                return tuple(nodes), tokens
            node = self._keyword(word, tokens[1:]) if word in _KEYWORDS else _Print(self._pipeline(tokens))
            if node is not None:
                nodes.append(node)
        return tuple(nodes), None

    def _keyword(self, word: str, rest: list[_Token]) -> _Node | None:
        if word in ("if", "with"):
            return self._branch(word, rest)
        if word == "range":
            return self._range(rest)
        if word in ("break", "continue"):
            if not self._loops:
                msg = f"{{{{{word}}}}} outside {{{{range}}}}"
                raise TemplateError(msg)
            return _Leave(_Break if word == "break" else _Continue)
        if not rest or rest[0].kind != "string":
            msg = f"{word} needs the name of a template in quotes"
            raise TemplateError(msg)
        name = _string(rest[0].text)
        if word == "template":
            return _Include(name, self._pipeline(rest[1:]) if rest[1:] else None)
        pipeline = self._pipeline(rest[1:]) if word == "block" else None
        outside, self._scopes = self._scopes, [{"$"}]
        self.defined[name] = self._body(word)
        self._scopes = outside
        return _Include(name, pipeline) if word == "block" else None

    def _body(self, word: str) -> tuple[_Node, ...]:
        nodes, ended_by = self._nodes()
        if ended_by is None or ended_by[0].text != "end":
            msg = f"{{{{{word}}}}} is not ended by {{{{end}}}}"
            raise TemplateError(msg)
        return nodes

    def _branch(self, word: str, rest: list[_Token]) -> _Node:
        self._scopes.append(set())
        pipeline = self._pipeline(rest)
        body, ended_by = self._nodes()
        otherwise: tuple[_Node, ...] = ()
        if ended_by is not None and ended_by[0].text == "else":
            if len(ended_by) > 1 and ended_by[1].text in ("if", "with"):
                otherwise = (self._branch(ended_by[1].text, ended_by[2:]),)
            else:
                otherwise = self._body(word)
        elif ended_by is None:
            msg = f"{{{{{word}}}}} is not ended by {{{{end}}}}"
            raise TemplateError(msg)
        self._scopes.pop()
        return _Branch(pipeline, body, otherwise, word == "with")

    def _range(self, rest: list[_Token]) -> _Node:
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
        return _Range(pipeline, body, otherwise)

    def _pipeline(self, tokens: list[_Token], most: int = 1) -> _Pipeline:
        variables, declares, tokens = self._variables(tokens, most)
        commands, rest = self._commands(tokens)
        if rest:
            _unexpected(rest[0])
        if declares:
            self._scopes[-1].update(variables)
        return _Pipeline(commands, variables, declares)

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

    def _commands(self, tokens: list[_Token]) -> tuple[tuple[_Command, ...], list[_Token]]:
        """Commands up to a closing parenthesis or the end; and what is left."""
        commands: list[_Command] = []
        while True:
            command, tokens = self._command(tokens, first=not commands)
            commands.append(command)
            if not tokens or tokens[0].text != "|" or tokens[0].kind != "sign":
                return tuple(commands), tokens
            tokens = tokens[1:]

    def _command(self, tokens: list[_Token], *, first: bool) -> tuple[_Command, list[_Token]]:
        if tokens and tokens[0].kind == "word" and tokens[0].text not in ("true", "false", "nil"):
            name = tokens[0].text
            if name not in self._functions:
                msg = f'function "{name}" not defined'
                raise TemplateError(msg)
            arguments, rest = self._operands(tokens[1:])
            return _Command(name, tuple(arguments)), rest
        arguments, rest = self._operands(tokens)
        if not arguments:
            msg = "missing value for command"
            raise TemplateError(msg)
        if len(arguments) > 1 or not first:
            msg = f"can't give argument to non-function {tokens[0].text}"
            raise TemplateError(msg)
        return _Command(None, tuple(arguments)), rest

    def _operands(self, tokens: list[_Token]) -> tuple[list[_Operand], list[_Token]]:
        operands = []
        while tokens and not (tokens[0].kind == "sign" and tokens[0].text in ("|", ")")):
            operand, tokens = self._operand(tokens)
            operands.append(operand)
        return operands, tokens

    def _operand(self, tokens: list[_Token]) -> tuple[_Operand, list[_Token]]:
        token, rest = tokens[0], tokens[1:]
        operand: _Operand
        if token.kind == "sign" and token.text == "(":
            commands, rest = self._commands(rest)
            if not rest or rest[0].text != ")":
                msg = "unclosed left paren"
                raise TemplateError(msg)
            pipeline = _Pipeline(commands)
            operand, rest = pipeline.run, rest[1:]
        elif token.kind == "variable":
            if not self._is_declared(token.text):
                msg = f"undefined variable {token.text}"
                raise TemplateError(msg)
            operand = _variable(token.text)
        elif token.kind == "field":
            operand = _field(_dot, token.text[1:])
        elif token.kind == "dot":
            operand = _dot
        elif token.kind == "word" and token.text in self._functions:
            operand = _Pipeline((_Command(token.text, ()),)).run
        else:
            operand = _constant(token)
        while rest and rest[0].kind == "field" and not rest[0].spaced:
            operand, rest = _field(operand, rest[0].text[1:]), rest[1:]
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


def _dot(state: _Run) -> Any:
    return state.dots[-1]


def _variable(name: str) -> _Operand:
    return lambda state: state.variable(name)


def _field(operand: _Operand, name: str) -> _Operand:
    def read(state: _Run) -> Any:
        value = operand(state)
        if isinstance(value, Mapping):
            return value.get(name, "")
        if value is None:
            msg = f"nil pointer evaluating interface {{}}.{name}"
            raise TemplateError(msg)
        msg = f"can't evaluate field {name} in {go_text(value)!r}"
        raise TemplateError(msg)

    return read


def _constant(token: _Token) -> _Operand:
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
