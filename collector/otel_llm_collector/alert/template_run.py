"""A parsed template at work: its nodes, and one expansion of them (`Run`). `template` parses.

Everything an expansion may take is bounded: the length of its text, the nodes it runs, templates within templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_llm_collector.alert.template_functions import BUILTINS, TemplateError, go_text, truth

Functions = Mapping[str, Callable[..., Any]]

_MAX_OUTPUT_CHARS = 64 * 1024
_MAX_STEPS = 100_000  # nodes run in one expansion, so that a template cannot run away
_MAX_CALLS = 50  # of templates within templates

# An operand: a function from the running state to a value.
Operand = Callable[["Run"], Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A function with its arguments, or one operand."""

    name: str | None
    arguments: tuple[Operand, ...]

    def run(self, state: Run, piped: tuple[Any, ...]) -> Any:
        if self.name is None:
            if piped:
                msg = "can't give argument to non-function"
                raise TemplateError(msg)
            return self.arguments[0](state)
        if self.name in ("and", "or"):
            return self._short_cut(state, piped)
        return state.call(self.name, [*(argument(state) for argument in self.arguments), *piped])

    def _short_cut(self, state: Run, piped: tuple[Any, ...]) -> Any:
        value: Any = None
        for argument in self.arguments:
            value = argument(state)
            if truth(value) == (self.name == "or"):
                return value
        return piped[0] if piped else value


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each given the value of the one before as its last argument; and the variables that take the value."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    declares: bool = False

    def run(self, state: Run) -> Any:
        value: Any = None
        for index, command in enumerate(self.commands):
            value = command.run(state, (value,) if index else ())
        for name in self.variables:
            state.assign(name, value, declares=self.declares)
        return value


class Node:
    """Something that writes."""

    def run(self, state: Run) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Text(Node):
    """Text as it stands."""

    text: str

    def run(self, state: Run) -> None:
        state.write(self.text)


@dataclass(frozen=True, slots=True)
class Print(Node):
    """The value of a pipeline, unless it goes to a variable."""

    pipeline: Pipeline

    def run(self, state: Run) -> None:
        value = self.pipeline.run(state)
        if not self.pipeline.variables:
            state.write(go_text(value))


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """`if` and `with`."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]
    with_dot: bool

    def run(self, state: Run) -> None:
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
class Range(Node):
    """`range`."""

    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]

    def run(self, state: Run) -> None:
        with state.scope():
            value = Pipeline(self.pipeline.commands).run(state)
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
                    except Continue:
                        continue
                    except Break:
                        break


@dataclass(frozen=True, slots=True)
class Leave(Node):
    """`break` and `continue`."""

    error: type[Exception]

    def run(self, state: Run) -> None:
        raise self.error


@dataclass(frozen=True, slots=True)
class Include(Node):
    """`template`, and what `block` defines."""

    name: str
    pipeline: Pipeline | None

    def run(self, state: Run) -> None:
        value = self.pipeline.run(state) if self.pipeline else None
        state.include(self.name, value)


class Break(Exception):
    """Leaves the innermost `range`."""


class Continue(Exception):
    """Goes on with the next value of the innermost `range`."""


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


class Run:
    """One expansion: the output so far, the variables, and `.`."""

    def __init__(self, defined: Mapping[str, tuple[Node, ...]], data: Any, functions: Functions) -> None:
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

    def run(self, nodes: Sequence[Node]) -> None:
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

    def __init__(self, run: Run, dot: tuple[Any, ...]) -> None:
        self._run, self._dot = run, dot

    def __enter__(self) -> None:
        self._run.variables.append({})
        self._run.dots.extend(self._dot)

    def __exit__(self, *_: object) -> None:
        self._run.variables.pop()
        if self._dot:
            self._run.dots.pop()


def dot(state: Run) -> Any:
    """`.`"""
    return state.dots[-1]


def variable(name: str) -> Operand:
    """`$name`"""
    return lambda state: state.variable(name)


def field_of(operand: Operand, name: str) -> Operand:
    """`operand.name`"""

    def read(state: Run) -> Any:
        value = operand(state)
        if isinstance(value, Mapping):
            return value.get(name, "")
        if value is None:
            msg = f"nil pointer evaluating interface {{}}.{name}"
            raise TemplateError(msg)
        msg = f"can't evaluate field {name} in {go_text(value)!r}"
        raise TemplateError(msg)

    return read
